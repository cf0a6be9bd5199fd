# SPDX-License-Identifier: Apache-2.0
"""Folders laid out as those of the real samples, with frames whose masks can be worked out.

The tiny student of conftest.py answers with the gray level in eighths: black is class 0 and white
is class 8, that is, unlabeled and bump.
"""

from __future__ import annotations

import cv2
import numpy as np

SIZE = (96, 128)
LEFT, RIGHT = np.s_[:, :60], np.s_[:, 68:]
"""Both halves without the border between them, where gray levels blend."""


def half_white(dtype=np.uint8):
    """Black on the left, white on the right: unlabeled and bump."""
    image = np.full(SIZE, 10, dtype)
    image[:, 64:] = 200
    return image


def half_right():
    """Label of that frame: all of the left is right, of the right the upper half."""
    label = np.full(SIZE, 255, np.uint8)
    label[LEFT], label[RIGHT] = 0, 2
    label[:48, 68:] = 8
    return label


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def labeled_frames(folder, stems):
    for stem in stems:
        write(folder / f'{stem}_thermal.png', half_white())
        write(folder / f'{stem}_label.png', half_right())


def real_folder(root):
    """Four tiles, one pair, two deep frames and one in false color."""
    labeled_frames(root / 'rtfnet_tiles', ('00', '01', '02', '03'))
    for number in range(4):
        write(root / 'rtfnet_tiles' / f'{number:02}_rgb.png', color())
    write(root / 'msrs_pairs' / 'makers' / 'ir' / '00001D.png', half_white())
    write(root / 'msrs_pairs' / 'makers' / 'vi' / '00001D.png', color())
    write(root / 'thermal16' / 'a' / 'deep.png', half_white(np.uint16) * 50)
    write(root / 'thermal16' / 'b' / 'deeper.tiff', half_white(np.uint16) * 90)
    write(root / 'thermal16' / 'a' / 'gray.png', half_white())
    write(root / 'thermal16' / 'a' / 'false_color.jpg', color())
    return root


def color():
    """A picture whose three channels differ, in the order in which OpenCV writes it."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[..., 1], image[:40, :, 2], image[60:, :, 0] = 90, 200, 120
    return image
