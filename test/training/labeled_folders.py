# SPDX-License-Identifier: Apache-2.0
"""Small folders laid out as real data sets with labels, for tests of what learns from them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from kd_perception.label_sets import MFNET, PST900

SETS = {'mfnet': (MFNET, (60, 80)), 'pst900': (PST900, (72, 128))}
CITYSCAPES_SIZE = (64, 128)


def frame(number, classes, size):
    """One class per frame in a box on the background, warmer with its id; counted up by number."""
    rng = np.random.default_rng(number)
    label = np.zeros(size, np.uint8)
    label[20:50, 20:60] = 1 + number % (classes - 1)
    thermal = (30 + 20 * label + rng.integers(0, 10, size)).astype(np.uint8)
    rgb = (25 * label[..., None] + rng.integers(0, 20, (*size, 3))).astype(np.uint8)
    return rgb, thermal, label


def write_mfnet(root, counts):
    labels, size = SETS['mfnet']
    for folder in ('images', 'labels'):
        (root / folder).mkdir(parents=True)
    for split, count in counts.items():
        stems = [f'{number:05d}{split[0].upper()}' for number in range(count)]
        (root / f'{split}.txt').write_text('\n'.join(stems))
        for number, stem in enumerate(stems):
            rgb, thermal, label = frame(number, labels.num_classes, size)
            Image.fromarray(np.dstack([rgb, thermal])).save(root / 'images' / f'{stem}.png')
            Image.fromarray(label).save(root / 'labels' / f'{stem}.png')


def write_pst900(root, counts):
    """Recordings of two frames each."""
    labels, size = SETS['pst900']
    for split, count in counts.items():
        for folder in ('rgb', 'thermal', 'labels'):
            (root / split / folder).mkdir(parents=True)
        for number in range(count):
            stem = f'{number // 2}_bag_rect_rgb_frame{number:010d}'
            parts = frame(number, labels.num_classes, size)
            for folder, pixels in zip(('rgb', 'thermal', 'labels'), parts, strict=True):
                Image.fromarray(pixels).save(root / split / folder / f'{stem}.png')


WRITERS = {
    'mfnet': (write_mfnet, {'train': 9, 'val': 2, 'test': 3}),
    'pst900': (write_pst900, {'train': 9, 'test': 3}),
}


def write_cityscapes(root, counts):
    """Frames of cities by the name of the split: `{'train': {'ulm': 2}}`."""
    for split, cities in counts.items():
        for city, count in cities.items():
            for number in range(count):
                _write_street(root, f'{split}/{city}/{city}_{number:06d}_000019', number)


def _write_street(root, name, number):
    """Road below, sky above, a box of another class, and a part that does not count."""
    rng = np.random.default_rng(number)
    ids = np.full(CITYSCAPES_SIZE, 7, np.uint8)
    ids[:24] = 23
    ids[20:50, 30:80] = (26, 24, 33)[number % 3]
    ids[-6:] = 1
    rgb = 6 * ids[..., None] + rng.integers(0, 30, (*CITYSCAPES_SIZE, 3))
    for kind, end, pixels in (
        ('leftImg8bit', 'leftImg8bit', rgb.astype(np.uint8)),
        ('gtFine', 'gtFine_labelIds', ids),
    ):
        path = root / kind / f'{name}_{end}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
