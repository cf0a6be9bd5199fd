# SPDX-License-Identifier: Apache-2.0
"""Arguments of the command `kd-perception tag`; imports no numerical library."""

from __future__ import annotations

import argparse
from pathlib import Path


def declare_tag(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `kd-perception tag`."""
    add = parser.add_argument
    add('bag', type=Path, metavar='BAG', help='rosbag2 folder, .mcap or .db3 file')
    add('--out', type=Path, required=True, metavar='FOLDER', help='folder of frames and tags')
    add('--classes', nargs='+', required=True, metavar='NAME', help='what there is to be tagged')
    add('--image-topic', default='', metavar='TOPIC', help='images (the only image topic)')
    add('--stride', type=int, default=10, metavar='N', help='every N-th image (%(default)s)')
    add('--max-frames', type=int, default=400, metavar='N', help='at most (%(default)s)')
    add(
        '--tiles', default='1x1', metavar='RxC',
        help='cut each image into rows and columns that are tagged apart (%(default)s)',
    )  # fmt: skip
    add('--label-topic', default='', metavar='TOPIC',
        help='labels in the recording that fill in the tags and are kept for scoring')  # fmt: skip
    add('--neighbors', action='store_true',
        help='keep the images before and after each one too, for detectors of motion')  # fmt: skip
    add('--quiet', action='store_true', help='no progress bar')
