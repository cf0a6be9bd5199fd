# SPDX-License-Identifier: Apache-2.0
"""Small folders of tagged frames, for the tests of sources and recipe."""

from __future__ import annotations

import numpy as np

from kd_perception.bags import BagWriter
from kd_perception.tagging.command import make_tag_set
from kd_perception.tagging.extraction import TagSetConfig
from kd_perception.tagging.frame_names import frame_name

HEAT, COLOR, LABEL = '/thermal/image_raw', '/camera/image_raw', '/thermal/label'
START, STEP = 1_700_000_000_000_000_000, 100_000_000
SIZE = (64, 96)
CLASSES = ('car', 'person')


def label_of(index):
    """A car on the left of two frames of three, a person on the right of every second one."""
    label = np.zeros(SIZE, np.uint8)
    if index % 3:
        label[20:50, 8:40] = 1
    if index % 2:
        label[10:50, 60 + index % 8 : 76 + index % 8] = 2
    return label


def heat_of(index):
    noise = np.random.default_rng(index).integers(0, 40, SIZE)
    heat = 29_500 + noise + np.where(label_of(index) == 1, 300, 0)
    return (heat + np.where(label_of(index) == 2, 800, 0)).astype(np.uint16)


def color_of(index):
    colors = np.array([[90, 110, 90], [200, 40, 40], [40, 60, 220]], np.int64)
    noise = np.random.default_rng([index, 1]).integers(-15, 16, (*SIZE, 3))
    return (colors[label_of(index)] + noise).clip(0, 255).astype(np.uint8)


def tagged_folder(
    folder, *, topic=HEAT, count=12, label_topic=LABEL, start=START, name='tagged', **changes
):
    """A drive and what `kd-perception tag` makes of it."""
    drive = folder / 'drive'
    if not drive.exists():
        with BagWriter(drive) as bag:
            for index in range(count):
                stamp = start + index * STEP
                bag.write_image(HEAT, heat_of(index), stamp_ns=stamp)
                bag.write_image(COLOR, color_of(index), stamp_ns=stamp)
                bag.write_image(LABEL, label_of(index), stamp_ns=stamp)
    values = {'classes': CLASSES, 'stride': 1, 'label_topic': label_topic, 'image_topic': topic}
    target = folder / f'{name}{topic.replace("/", "_")}'
    make_tag_set(target, TagSetConfig(drive, **{**values, **changes}))
    return target


def name_of(index):
    return frame_name(START + index * STEP)
