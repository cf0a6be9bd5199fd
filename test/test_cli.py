# SPDX-License-Identifier: Apache-2.0
"""The command line: exit codes, one clear line instead of a traceback, and few imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kd_perception.bags import BagReader, BagWriter
from kd_perception.cli import main
from kd_perception.cuda_driver import device_count

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    *('demo', 'play', 'replay', 'evaluate', 'world', 'tag'),
    *('bench', 'build-engine', 'doctor'),
)
TOPIC = '/thermal/image_raw'


@pytest.fixture
def drive(tmp_path):
    with BagWriter(tmp_path / 'drive') as bag:
        for index in range(4):
            image = np.full((96, 128), 29_000, np.uint16)
            image[:, 20 * (index + 1) :] = 31_000
            bag.write_image(TOPIC, image, stamp_ns=(index + 1) * 100_000_000)
    return tmp_path / 'drive'


@pytest.fixture
def options(tiny_student_folder):
    student = ('--student', str(tiny_student_folder))
    return (*student, '--backend', 'onnxruntime', '--threads', '1', '--quiet')


def run_python(code, *arguments):
    return subprocess.run(
        [sys.executable, '-c', code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize('command', COMMANDS)
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, '--help'])
    assert end.value.code == 0
    assert f'example:\n  kd-perception {command}' in capsys.readouterr().out


def test_help_needs_no_numerical_library():
    code = (
        'import sys\nfrom kd_perception.cli import main\n'
        'try: main(["--help"])\nexcept SystemExit: pass\n'
        'print(sorted({"numpy", "cv2", "rclpy", "torch", "yaml"} & set(sys.modules)))'
    )
    result = run_python(code)
    assert result.stdout.splitlines()[-1] == '[]', result.stderr
    assert all(command in result.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    'arguments',
    [
        [],
        ['fly'],
        ['play'],
        ['play', 'drive', '--remap', 'image:=other'],
        ['play', 'drive', '--stamp', 'later'],
        ['replay', 'drive'],
        ['demo', '--seconds', 'long'],
    ],
)
def test_wrong_arguments_are_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert 'usage: kd-perception' in capsys.readouterr().err


@pytest.mark.ros
def test_the_demo_refuses_students_of_other_tasks(tmp_path, tiny_depth_folder, capsys):
    pytest.importorskip('rclpy')
    out = tmp_path / 'demo'
    assert main(['demo', '--student', str(tiny_depth_folder), '--out', str(out)]) == 2
    assert 'the demo must have a student for segmentation of thermal' in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ('arguments', 'code', 'text'),
    [
        (['play', 'x', '--rate', '0'], 2, 'The rate must lie in'),
        (['play', 'x', '--step', '/mask', '--loop'], 2, 'Stepping follows the answers'),
        (['demo', '--seconds', '1'], 2, 'The demo takes 2 to 120 seconds'),
        (['demo', '--student', '/nowhere/at_all'], 1, 'check model.path'),
        (['replay', 'x', '--out', 'y', '--threads', '9999'], 2, 'must lie in [0, 256]'),
        (['replay', 'x', '--out', 'y', '--backend', 'abacus'], 2, 'must be one of auto, openvino'),
        (['replay', 'x', '--out', 'y', '--params', '/no/file'], 2, 'cannot be read'),
    ],
)
def test_user_errors_are_one_line(arguments, code, text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert text in err
    assert 'Traceback' not in err
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == [], 'nothing is left behind'


def test_debug_shows_the_origin(capsys):
    assert main(['play', 'x', '--rate', '0', '--debug']) == 2
    assert 'Traceback' in capsys.readouterr().err
    assert main(['--debug', 'play', 'x', '--rate', '0']) == 2
    assert 'Traceback' in capsys.readouterr().err


def test_replay_writes_a_bag_and_says_how_it_went(drive, options, tmp_path, capsys):
    assert main(['replay', str(drive), '--out', str(tmp_path / 'out'), *options]) == 0
    out = capsys.readouterr().out
    assert 'tiny on onnxruntime fp32, cpu' in out
    assert 'received 4, published 4, held 0, failed 0' in out
    with BagReader(tmp_path / 'out') as bag:
        assert bag.topics['/thermal/thermal_seg/mask'].message_count == 4
    assert main(['replay', str(drive), '--out', str(tmp_path / 'out'), *options]) == 1
    assert 'exists already' in capsys.readouterr().err
    assert (
        main(['replay', str(drive), '--out', str(tmp_path / 'out'), '--overwrite', *options]) == 0
    )


def test_replay_takes_the_node_file_and_options_win(drive, options, tmp_path, capsys):
    params = tmp_path / 'params.yaml'
    params.write_text(
        'thermal_seg:\n  ros__parameters:\n    backend: openvino\n    threads: 2\n'
        '    radiometry.preset: lepton_10mk\n'
    )
    arguments = ['replay', str(drive), '--out', str(tmp_path / 'out'), '--params', str(params)]
    assert main([*arguments, *options]) == 0
    assert 'tiny on onnxruntime' in capsys.readouterr().out
    with BagReader(tmp_path / 'out') as bag:
        temperature = next(bag.frames('/thermal/thermal_seg/temperature')).image
    assert temperature[0, 0] == pytest.approx(290.0 - 273.15, abs=1e-3)


def test_replay_without_a_usable_frame_fails(options, tmp_path, capsys):
    with BagWriter(tmp_path / 'color') as bag:
        bag.write_image(TOPIC, np.zeros((8, 8, 3), np.uint8), stamp_ns=1)
    arguments = ['replay', str(tmp_path / 'color'), '--out', str(tmp_path / 'out')]
    assert main([*arguments, *options]) == 1
    captured = capsys.readouterr()
    assert 'published 0, held 0, failed 1' in captured.out
    assert 'failed at 1 ns' in captured.err


def test_replay_works_without_ros_and_torch(drive, options, tmp_path):
    code = (
        'import sys\n'
        'class Absent:\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        '        if name.split(".")[0] in {"rclpy", "sensor_msgs", "torch"}:\n'
        '            raise ModuleNotFoundError(f"No module named {name!r}", name=name)\n'
        'sys.meta_path.insert(0, Absent())\n'
        'from kd_perception.cli import main\n'
        'sys.exit(main(sys.argv[1:]))\n'
    )
    result = run_python(code, 'replay', drive, '--out', tmp_path / 'out', *options)
    assert result.returncode == 0, result.stderr
    for command in (['play', drive], ['demo', '--out', tmp_path / 'demo']):
        result = run_python(code, *command)
        assert result.returncode == 1
        assert 'rclpy is not installed here' in result.stderr
        assert 'pip install' in result.stderr
        assert 'Traceback' not in result.stderr
    assert not (tmp_path / 'demo').exists()


def test_evaluate_without_ground_truth(drive, options, tmp_path, capsys):
    out = tmp_path / 'evaluation'
    assert main(['evaluate', str(drive), '--out', str(out), *options]) == 0
    metrics = json.loads((out / 'metrics.json').read_text())
    assert len(metrics['frames']) == 4
    assert (out / 'report.html').is_file()


def test_interrupt_has_its_exit_code(drive, options, tmp_path):
    with BagWriter(tmp_path / 'long') as bag:
        image = np.arange(480 * 640, dtype=np.uint16).reshape(480, 640)
        for index in range(400):
            bag.write_image(TOPIC, image + index, stamp_ns=(index + 1) * 100_000_000)
    command = ['replay', tmp_path / 'long', '--out', tmp_path / 'out', *options]
    process = subprocess.Popen(
        [sys.executable, '-m', 'kd_perception.cli', *map(str, command)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline_s = time.monotonic() + 60
    while not list(tmp_path.glob('.out.*.partial')) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == 'interrupted'
    assert 'Traceback' not in err
    assert not list(tmp_path.glob('*out*')), 'the unfinished bag is gone'


@pytest.mark.parametrize(
    ('arguments', 'code', 'told'),
    [
        (['evaluate', '--images', 'IMAGES', '--predictions', 'X', '--out', 'O'], 2, '--images'),
        (['demo', '--out', 'FILE'], 1, 'FILE'),
        (['demo', '--rate-hz', 'nan'], 2, '1 to 30 frames'),
        (['replay', 'DRIVE', '--out', 'O', '--threads', '-7'], 2, 'threads'),
        (['replay', 'DRIVE', '--out', 'DRIVE', '--overwrite'], 1, 'another bag'),
    ],
)
def test_errors_of_use_are_one_line_and_harm_nothing(
    arguments, code, told, drive, options, tmp_path, capsys
):
    (tmp_path / 'file').write_text('')
    places = {'DRIVE': drive, 'IMAGES': tmp_path, 'O': tmp_path / 'o', 'FILE': tmp_path / 'file'}
    arguments = [str(places.get(argument, argument)) for argument in arguments]
    before = sorted(path.name for path in drive.iterdir())
    assert main(arguments) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert str(places.get(told, told)) in lines[0]
    assert sorted(path.name for path in drive.iterdir()) == before


def test_doctor_tells_of_a_missing_library(tmp_path):
    code = (
        'import sys\nsys.modules["cv2"] = None\n'
        'from kd_perception.cli import main\nsys.exit(main(["doctor"]))\n'
    )
    result = run_python(code)
    assert result.returncode == 1, result.stderr
    assert 'PROBLEM OpenCV' in result.stdout
    assert 'Traceback' not in result.stderr


@pytest.mark.skipif(device_count() > 0, reason='this machine has a GPU')
def test_an_engine_needs_a_gpu(tiny_student_folder, capsys):
    assert main(['build-engine', str(tiny_student_folder)]) == 1
    assert 'cuda:0 must be a device of the CUDA driver' in capsys.readouterr().err
    assert main(['build-engine', str(tiny_student_folder), '--device', 'cpu']) == 2
    assert 'tensorrt runs on cuda only' in capsys.readouterr().err
