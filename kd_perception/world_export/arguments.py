# SPDX-License-Identifier: Apache-2.0
"""Arguments of the command `kd-perception world`; imports no numerical library."""

from __future__ import annotations

import argparse
from pathlib import Path

LAYOUT_NAMES = ('mfnet', 'kitti', 'cityscapes', 'nyu', 'voc', 'bag', 'stereo_bag')


def declare_world(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `kd-perception world`."""
    add = parser.add_argument
    add('layout', choices=LAYOUT_NAMES, metavar='LAYOUT', help=f'one of {", ".join(LAYOUT_NAMES)}')
    add('out', type=Path, metavar='OUT', help='folder to make')
    add('--count', type=int, metavar='N', help='labeled frames, half of them to train on')
    add(
        '--splits', nargs='+', default=[], metavar='NAME=N',
        help='labeled frames by split (train, val, test, shifted), instead of --count',
    )  # fmt: skip
    add('--seed', type=int, default=0, help='which world (%(default)s)')
    add('--preset', default='default',
        help='default, day, night, glare, rain, fog, hard or shifted (%(default)s)')  # fmt: skip
    add('--size', default='480x640', metavar='HxW', help='of the images (%(default)s)')
    add('--rate', type=float, default=10.0, metavar='HZ', help='of kitti and bags (%(default)s)')
    add('--paired', action='store_true', help='let things co-occur that tags cannot tell apart')
    add('--encoding', default='mono16', help='thermal images of bag: mono16 or 16UC1')
    add('--workers', type=int, default=0, help='processes; 0 chooses (%(default)s)')
    add('--overwrite', action='store_true', help='replace an older export')
    add('--quiet', action='store_true', help='no progress bar')
