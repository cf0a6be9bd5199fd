# SPDX-License-Identifier: Apache-2.0
"""Small recordings for the tests of evaluation and report: a drive, and what a node made of it."""

from __future__ import annotations

import numpy as np

from kd_perception.bags import BagReader, BagWriter
from kd_perception.bags.types import common_types
from kd_perception.encodings import frame_from_message

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
IMAGE, LABEL = '/thermal/image_raw', '/thermal/label'
PREFIX = '/thermal/thermal_seg/'


def stamp_of(index):
    return START_NS + index * STEP_NS


def level_scene(index, size=(96, 128), classes=9):
    """A 16-bit image whose gray levels are steps from cold to hot, and their class ids.

    The tiny student's class is the gray level in ninths, so it predicts the labels except at the
    borders of the steps. The stripes move from frame to frame.
    """
    columns = (np.arange(size[1]) + 5 * index) // 8 % classes
    label = np.broadcast_to(columns, size).astype(np.uint8)
    return (29_000 + 100 * label.astype(np.uint16)), label


def write_drive(path, count=6, *, with_labels=True, labels_first=False, skip_labels=()):
    """Write images, and labels of the same stamps but those left out."""
    with BagWriter(path) as bag:
        for index in range(count):
            image, label = level_scene(index)
            pair = [(IMAGE, image)]
            if with_labels and index not in skip_labels:
                pair.insert(0 if labels_first else 1, (LABEL, label))
            for topic, array in pair:
                bag.write_image(topic, array, stamp_ns=stamp_of(index))
    return path


def predictions_of(pipeline, bag, skip=()):
    """What a live node would have published for a bag: {stamp: (mask, confidence, ...)}."""
    pipeline.reset()
    frames = {}
    with BagReader(bag) as source:
        for index, message in enumerate(source.messages([IMAGE])):
            frame = frame_from_message(message.deserialize())
            result = pipeline.step(frame)
            if index not in skip:
                frames[frame.stamp_ns] = (result.mask, result.confidence, result.uncertainty)
    pipeline.reset()
    return frames


def write_predictions(
    path, frames, *, latency_ms=12.0, diagnostics=None, status=None, topics=('mask',)
):
    """Write what a node published.

    Args:
        path: Bag to make.
        frames: {stamp_ns: (mask, confidence, uncertainty)}.
        latency_ms: Recording time minus stamp.
        diagnostics: Values of the node's input entry, written once at the end.
        status: {stamp_ns: values of frame_status}.
        topics: Which of the three images are recorded.
    """
    names = ('mask', 'confidence', 'uncertainty')
    with BagWriter(path) as bag:
        for stamp_ns, images in frames.items():
            log_time_ns = stamp_ns + round(latency_ms * 1e6)
            for name, image in zip(names, images, strict=True):
                if name in topics:
                    bag.write_image(
                        PREFIX + name, image, stamp_ns=stamp_ns, log_time_ns=log_time_ns
                    )
            if status is not None:
                entries = {'thermal_seg: frame': status[stamp_ns]}
                _write_status(bag, f'{PREFIX}frame_status', stamp_ns, log_time_ns, entries)
        if diagnostics is not None:
            _write_status(bag, '/diagnostics', 0, log_time_ns + 1, diagnostics)
    return path


def _write_status(bag, topic, stamp_ns, log_time_ns, entries):
    types = common_types().types
    stamp = types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, 10**9))
    header = types['std_msgs/msg/Header'](stamp=stamp, frame_id='')
    pair = types['diagnostic_msgs/msg/KeyValue']
    statuses = [
        types['diagnostic_msgs/msg/DiagnosticStatus'](
            level=0,
            name=name,
            message='',
            hardware_id='',
            values=[pair(key=key, value=str(value)) for key, value in values.items()],
        )
        for name, values in entries.items()
    ]
    message = types['diagnostic_msgs/msg/DiagnosticArray'](header=header, status=statuses)
    bag.write_message(topic, message, log_time_ns=log_time_ns)
