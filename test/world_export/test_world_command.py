# SPDX-License-Identifier: Apache-2.0
"""The command: what it refuses, that it leaves nothing half, and that it makes the same again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from kd_perception.bags import BagReader
from kd_perception.cli import main
from kd_perception.world import render_frame
from kd_perception.world.presets import preset
from kd_perception.world.splits import split_seed
from kd_perception.world_export import bag
from kd_perception.world_export.arguments import LAYOUT_NAMES
from kd_perception.world_export.layouts import LAYOUTS
from kd_perception.world_export.plan import shared_out
from kd_perception.world_export.staging import staged_folder

ROOT = Path(__file__).resolve().parents[2]
SMALL = ('--size', '48x64', '--workers', '1', '--quiet')


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_the_command_line_knows_every_layout():
    assert tuple(LAYOUTS) == LAYOUT_NAMES


@pytest.mark.parametrize('layout', LAYOUT_NAMES)
def test_each_layout_says_that_it_is_synthetic_and_how_to_make_it_again(
    layout, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(['world', layout, 'first', '--count', '4', '--seed', '3', *SMALL]) == 0
    assert 'frames/s' in capsys.readouterr().out
    assert os.listdir() == ['first']
    about = json.loads(Path('first/world.json').read_text())
    assert about['synthetic'] is True
    assert sum(about['splits'].values()) == 4
    readme = Path('first/README.md').read_text()
    assert 'Not real data' in readme
    assert about['command'] in readme
    again = shlex.split(about['command'])
    assert again[:4] == ['kd-perception', 'world', layout, 'first']
    Path('first').rename('kept')
    assert main([*again[1:], '--workers', '2', '--quiet']) == 0
    first, second = digests(Path('kept')), digests(Path('first'))
    if layout.endswith('bag'):  # the container notes its own writer's statistics
        first = _messages(Path('kept') / 'first.mcap')
        second = _messages(Path('first') / 'first.mcap')
    assert first == second


def _messages(path):
    with BagReader(path) as source:
        return [(m.topic, m.log_time_ns, bytes(m.data)) for m in source.messages()]


def test_splits_are_those_of_the_world_and_shifted_has_its_own_sensor(tmp_path):
    out = tmp_path / 'set'
    splits = ('train=2', 'test=1', 'shifted=1')
    arguments = ['world', 'mfnet', str(out), '--splits', *splits, '--seed', '5', *SMALL]
    assert main([*arguments, '--preset', 'rain']) == 0
    lists = {path.stem: path.read_text().split() for path in out.glob('*.txt')}
    for split, name in (('train', 'rain'), ('test', 'rain'), ('shifted', 'shifted')):
        config = preset(name, height=48, width=64)
        for index, stem in enumerate(lists[split]):
            frame = render_frame(config, split_seed(split, 5), index, ('thermal',))
            thermal = cv2.imread(str(out / 'thermal16' / f'{stem}.png'), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(thermal, frame.thermal)


def test_a_recording_holds_a_drive_with_its_pose(tmp_path):
    out = tmp_path / 'drive'
    arguments = ['world', 'bag', str(out), '--count', '3', '--rate', '5', '--encoding', '16UC1']
    assert main([*arguments, *SMALL]) == 0
    with BagReader(out) as source:
        frames = list(source.frames(bag.IMAGE_TOPIC))
        bodies = [m.deserialize().transforms[0].transform for m in source.messages([bag.TF_TOPIC])]
    assert [frame.encoding for frame in frames] == ['16UC1'] * 3
    assert np.diff([frame.stamp_ns for frame in frames]).tolist() == [200_000_000] * 2
    celsius = frames[0].image * 0.01 - 273.15
    assert -60 < celsius.min() < celsius.max() < 150
    places = np.array([[b.translation.x, b.translation.y, b.translation.z] for b in bodies])
    step_m = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert (step_m > 0.05).all() and (step_m < 4).all()


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['--count', '0'], '--count must be at least 1'),
        ([], 'either --count N or --splits'),
        (['--count', '3', '--splits', 'train=3'], 'either --count N or --splits'),
        (['--splits', 'train=3', 'train=4'], "received 'train=4'"),
        (['--splits', 'training=3'], "received 'training=3'"),
        (['--splits', 'train=-3'], "received 'train=-3'"),
        (['--splits', 'train=0'], '1 to 9999 frames'),
        (['--count', '10000'], '1 to 9999 frames'),
        (['--count', '3', '--size', '480'], 'HEIGHTxWIDTH'),
        (['--count', '3', '--size', '8x8'], 'at least 32'),
        (['--count', '3', '--size', '99999x64'], 'at most 8192'),
        (['--count', '3', '--preset', 'snow'], 'preset must be one of default'),
        (['--count', '3', '--rate', 'nan'], '0.1 to 100 frames per second'),
        (['--count', '3', '--seed', '-1'], 'the seed must be at least 0'),
        (['--count', '3', '--workers', '99'], 'the workers must be 0 to 64'),
        (['--count', '3', '--encoding', 'mono8'], 'mono16, 16UC1'),
    ],
)
def test_errors_of_use_are_one_line_and_leave_nothing(arguments, told, tmp_path, capsys):
    assert main(['world', 'mfnet', str(tmp_path / 'out'), *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert told in lines[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('layout', 'split', 'told'),
    [('nyu', 'val', 'train, test'), ('voc', 'test', 'train, val'), ('bag', 'train', 'test')],
)
def test_splits_that_a_set_does_not_have_are_refused(layout, split, told, tmp_path, capsys):
    arguments = ['world', layout, str(tmp_path / 'out'), '--splits', f'{split}=2']
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def test_what_is_there_is_replaced_on_request_only_and_never_if_foreign(tmp_path, capsys):
    out = tmp_path / 'set'
    arguments = ['world', 'nyu', str(out), '--count', '2', *SMALL]
    assert main(arguments) == 0
    before = digests(out)
    capsys.readouterr()
    assert main([*arguments, '--seed', '1']) == 1
    assert 'exists already' in capsys.readouterr().err
    assert digests(out) == before
    assert main([*arguments, '--seed', '1', '--overwrite']) == 0
    assert digests(out) != before
    foreign = tmp_path / 'thesis'
    foreign.mkdir()
    (foreign / 'chapter.txt').write_text('years of work')
    assert main(['world', 'nyu', str(foreign), '--count', '2', '--overwrite', *SMALL]) == 1
    assert 'will not be replaced' in capsys.readouterr().err
    assert (foreign / 'chapter.txt').read_text() == 'years of work'
    assert sorted(os.listdir(tmp_path)) == ['set', 'thesis']


def test_a_failed_export_leaves_the_old_one(tmp_path):
    with staged_folder(tmp_path / 'set', overwrite=False) as folder:
        folder.mkdir()
        (folder / 'world.json').write_text('old')
    with (
        pytest.raises(KeyboardInterrupt),
        staged_folder(tmp_path / 'set', overwrite=True) as folder,
    ):
        folder.mkdir()
        (folder / 'world.json').write_text('new')
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ['set']
    assert (tmp_path / 'set' / 'world.json').read_text() == 'old'


@pytest.mark.parametrize('layout', ['mfnet', 'bag'])
def test_ctrl_c_ends_all_processes_and_leaves_nothing(layout, tmp_path):
    arguments = ['world', layout, str(tmp_path / 'out'), '--count', '5000', '--workers', '2']
    process = subprocess.Popen(
        [sys.executable, '-m', 'kd_perception.cli', *arguments, '--size', '48x64'],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A background job of a shell, such as this one may be, is started deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s:
        if any(path.stat().st_size > 0 for path in tmp_path.rglob('*.*') if path.is_file()):
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers get it
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines() == ['interrupted']
    assert list(tmp_path.iterdir()) == []
    while running_in_group(process.pid) and time.monotonic() < deadline_s:
        time.sleep(0.05)  # what watches over semaphores ends a moment after its parent
    assert running_in_group(process.pid) == []


def running_in_group(group):
    """Ids of the processes of a group, without those that only wait to be reaped."""
    found = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, _, pgid = path.read_text().rpartition(')')[2].split()[:3]
            if int(pgid) == group and state != 'Z':
                found.append(int(path.parent.name))
    return found


def test_frames_are_shared_out():
    assert shared_out(100, ('train', 'val', 'test')) == {'train': 50, 'val': 25, 'test': 25}
    assert shared_out(7, ('train', 'val', 'test')) == {'train': 5, 'val': 1, 'test': 1}
    assert shared_out(3, ('train', 'val', 'test')) == {'train': 3}
    assert shared_out(5, ('train', 'test')) == {'train': 3, 'test': 2}
    assert shared_out(9, ('test',)) == {'test': 9}
