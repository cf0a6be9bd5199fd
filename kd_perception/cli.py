# SPDX-License-Identifier: Apache-2.0
"""The command `kd-perception`.

Exit codes: 0 done, 1 the run failed, 2 wrong usage or settings, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from kd_perception.bench.command import declare_bench
from kd_perception.errors import ConfigError, KdPerceptionError
from kd_perception.tagging.arguments import declare_tag
from kd_perception.world_export.arguments import declare_world

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

Declare = Callable[[argparse.ArgumentParser], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program name; None takes those of the process.

    Returns:
        The exit code.

    Raises:
        SystemExit: With 0 after `--help` and with 2 on wrong arguments.
    """
    arguments = _parser().parse_args(argv)
    _take_ends_as_interrupts()
    try:
        return _run(arguments)
    except KdPerceptionError as error:
        if arguments.debug:
            traceback.print_exc()
        print(f'kd-perception {arguments.command}: {error}', file=sys.stderr)
        return WRONG_USAGE if isinstance(error, ConfigError) else FAILED
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:  # a full disk, a file where a folder should be, no permission
        if arguments.debug:
            traceback.print_exc()
        print(f'kd-perception {arguments.command}: {error}', file=sys.stderr)
        return FAILED


def run_and_exit() -> None:
    """Run the command of this process and end it with the exit code.

    An interrupt that arrives while a library executes generated source leaves a mark in CPython
    that would turn any later exit into death by SIGINT, however well it was handled. By then all
    is cleaned up, so the process ends at once.
    """
    code = main()
    if code == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _take_ends_as_interrupts() -> None:
    """Let a closed terminal and a polite kill clean up as Ctrl-C does."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) != signal.SIG_IGN:  # as under nohup
            signal.signal(signum, signal.default_int_handler)


def _run(arguments: argparse.Namespace) -> int:
    # Imported only here, so that --help does not wait for numerical libraries.
    from kd_perception import commands

    name = 'run_' + arguments.command.replace('-', '_')
    run: Callable[[argparse.Namespace], int] = getattr(commands, name)
    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='kd-perception',
        description='Live segmentation and depth: demo, recordings, evaluation, diagnosis.',
        epilog='exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted',
    )
    parser.add_argument('--debug', action='store_true', help='show where an error came from')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, (summary, example, declare) in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + '.',
            epilog=f'example:\n  {example}',
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument(
            '--debug', action='store_true', default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        declare(command)
    return parser


def _declare_demo(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--out', type=Path, default=Path('demo'), help='folder of the results (%(default)s)')
    add('--seconds', type=float, default=8.0, help='length of the drive, 2 to 120 (%(default)s)')
    add('--rate-hz', type=float, default=10.0, help='frames per second, 1 to 30 (%(default)s)')
    add('--seed', type=int, default=7, help='which drive (%(default)s)')
    add('--student', default='thermal_seg_s', help='student name or bundle folder (%(default)s)')
    add('--fresh', action='store_true', help='make the drive again even if it is there')


def _declare_play(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('bag', type=Path, metavar='BAG', help='rosbag2 folder, .mcap or .db3 file')
    add('--rate', type=float, default=1.0, help='speed (%(default)s)')
    add('--loop', action='store_true', help='start again at the end')
    add('--clock', type=float, default=0.0, metavar='HZ', help='publish /clock in bag time')
    add('--topics', nargs='+', default=[], metavar='TOPIC', help='topics to play (all)')
    add(
        '--remap', nargs='+', default=[], type=_remapping, metavar='FROM:=TO', help='rename topics'
    )
    add('--wait-subscribers', type=int, default=0, metavar='N',
        help='start when the played topics have N subscriptions together')  # fmt: skip
    add(
        '--wait-timeout', type=float, default=60.0, metavar='S', help='give up after (%(default)s)'
    )
    add('--start-delay', type=float, default=0.0, metavar='S', help='pause before the first')
    add('--step', default='', metavar='TOPIC',
        help='one image per answer on this topic, so that no frame is dropped')  # fmt: skip
    add('--step-image', default='', metavar='TOPIC', help='image topic that is answered')
    add('--step-timeout', type=float, default=10.0, metavar='S', help='longest wait (%(default)s)')
    add('--stamp', choices=('bag', 'now'), default='bag',
        help='keep header stamps, or replace them by the time of publication')  # fmt: skip
    _declare_quiet(parser)


def _declare_replay(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('bag', type=Path, metavar='BAG', help='rosbag2 folder, .mcap or .db3 file')
    add('--out', type=Path, required=True, metavar='BAG', help='bag to make')
    add('--overwrite', action='store_true', help='replace the output bag')
    _declare_pipeline(parser)
    _declare_quiet(parser)


def _declare_evaluate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('bag', type=Path, nargs='?', metavar='BAG', help='recording with the images')
    add('--images', type=Path, metavar='FOLDER',
        help='8 or 16 bit image files instead of a recording: makes a contact sheet')  # fmt: skip
    add('--out', type=Path, required=True, metavar='FOLDER', help='folder of the results')
    add('--predictions', type=Path, metavar='BAG',
        help='recorded outputs of a live node, instead of running the student here')  # fmt: skip
    add('--label-topic', default='', metavar='TOPIC',
        help='ground truth (label, for depth students depth, beside the images)')  # fmt: skip
    add('--labels', type=Path, metavar='FOLDER',
        help='ground truth: <stamp in ns>.png, or as many files as images in order')  # fmt: skip
    add('--depth-scale', type=float, default=0.001, metavar='M',
        help='meters per count of 16 bit depth files in --labels (%(default)s)')  # fmt: skip
    _declare_pipeline(parser)
    _declare_quiet(parser)


def _declare_pipeline(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--image-topic', default='', metavar='TOPIC', help='images (the only image topic)')
    add('--camera-info-topic', default='', metavar='TOPIC',
        help='their calibration, for depth (camera_info beside the images)')  # fmt: skip
    add('--params', type=Path, metavar='FILE', help='parameter file of the node (YAML)')
    add('--node-name', type=_node_name, metavar='NAME',
        help='name of the live node: its section of --params, and where replay puts the results '
        '(thermal_seg, rgb_seg or mono_depth, by the student)')  # fmt: skip
    add('--student', default='', help='student name or bundle folder (thermal_seg_s)')
    add('--backend', default='', help='auto, openvino, onnxruntime, torch or tensorrt (auto)')
    add('--device', default='', help='auto, cpu or cuda:N (auto)')
    add('--precision', default='', help='auto, fp32, bf16, fp16 or int8 (auto)')
    add('--threads', type=int, default=None, help='CPU threads; 0 chooses')


def _declare_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--quiet', action='store_true', help='no progress bar')


def _declare_build_engine(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('student', help='student name or bundle folder')
    add('--device', default='cuda:0', help='cuda:N (%(default)s)')
    add('--precision', default='fp16', help='fp16 or fp32 (%(default)s)')


def _declare_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--student', default='thermal_seg_s', help='student to load (default: %(default)s)'
    )


def _remapping(text: str) -> tuple[str, str]:
    source, separator, target = text.partition(':=')
    if not (separator and source.startswith('/') and target.startswith('/')):
        raise argparse.ArgumentTypeError(f'{text!r} must look like /from:=/to')
    return source, target


def _node_name(text: str) -> str:
    if not re.fullmatch('[A-Za-z_][A-Za-z0-9_]*', text):
        raise argparse.ArgumentTypeError(
            f'{text!r} must be letters, digits and underscores, without a namespace'
        )
    return text


_COMMANDS: dict[str, tuple[str, str, Declare]] = {
    'demo': (
        'make a drive, play it to the live node, record, evaluate and show the results',
        'kd-perception demo --out demo',
        _declare_demo,
    ),
    'play': (
        'publish a bag on ROS topics at its recorded pace',
        'kd-perception play drive --rate 0.5 --loop --stamp now',
        _declare_play,
    ),
    'replay': (
        'run a bag through the student in this process and write the results to another bag',
        'kd-perception replay drive --image-topic /thermal/image_raw --out results',
        _declare_replay,
    ),
    'evaluate': (
        'replay a bag and compare with ground truth: metrics, hashes, report',
        'kd-perception evaluate drive --labels ground_truth --out evaluation',
        _declare_evaluate,
    ),
    'world': (
        'make a synthetic data set in a public layout, or a recorded drive',
        'kd-perception world mfnet synthetic --splits train=400 val=100 test=100',
        declare_world,
    ),
    'tag': (
        'take frames out of a recording and make a page on which they are tagged',
        'kd-perception tag drive --out tagged --classes car person --stride 10',
        declare_tag,
    ),
    'bench': (
        'time students on every backend of this machine, beside the usual ways',
        'kd-perception bench --rounds 50 --json latency.jsonl',
        declare_bench,
    ),
    'build-engine': (
        'build the TensorRT engine of a student for this GPU, driver and libraries',
        'kd-perception build-engine thermal_seg_s --device cuda:0',
        _declare_build_engine,
    ),
    'doctor': (
        'tell what works on this machine, and what to do about what does not',
        'kd-perception doctor',
        _declare_doctor,
    ),
}


if __name__ == '__main__':
    run_and_exit()
