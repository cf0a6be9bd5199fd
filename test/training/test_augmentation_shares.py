# SPDX-License-Identifier: Apache-2.0
"""Every share of the thermal augmentation turns on what it is named for, in the whole chain."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from training.data.augmentation import AugmentationConfig, JointConfig, SensorConfig, augment

SIZE = (96, 128)
SEEDS = range(12)
PLAIN_SENSOR = SensorConfig(corner_share=0.0)
PLAIN = AugmentationConfig(
    JointConfig(*SIZE, scale_low=1.25, scale_high=1.25, focus_share=0.0),
    coarse_share=0.0,
    raw_share=1.0,
    scene_share=0.0,
    clutter_share=0.0,
    sensor=PLAIN_SENSOR,
)
"""Nothing but the view and a camera's gain."""


@pytest.fixture(autouse=True)
def _quiet_camera(monkeypatch):
    monkeypatch.setattr(
        'training.data.augmentation.cameras._noise', lambda shape, *_: np.zeros(shape, np.float32)
    )


def frame():
    """A warm car in the middle of a flat ground, in centikelvin."""
    thermal, label = np.full(SIZE, 28000, np.uint16), np.zeros(SIZE, np.uint8)
    thermal[30:66, 40:88], label[30:66, 40:88] = 30000, 1
    return thermal, label


def mean_effect(effect, config):
    """Of what an effect measures in (gray, label), over some samples."""
    thermal, label = frame()
    values = [effect(*augment(thermal, label, np.random.default_rng(s), config)) for s in SEEDS]
    return float(np.mean(values))


def contrast(gray, label):
    return gray[label == 1].mean() - gray[label == 0].mean()


def unevenness(gray, label):
    """Of the ground, far enough from the car for its blur."""
    far = ~grown(label == 1)
    return gray[far & (label == 0)].std()


def roughness(gray, label):
    """Steps between neighbors on the ground: shapes and pixels have them, drifts do not."""
    far = ~grown(label == 1)[:, 1:] & (label[:, 1:] == 0)
    return np.percentile(np.abs(np.diff(gray, axis=1))[far], 99.5)


def column_steps(gray, label):
    """Odd from even columns, in the rows that show the ground alone."""
    rows = gray[~grown(label == 1).any(axis=1)]
    return np.abs(np.diff(rows, axis=1)).mean() if rows.size else 0.0


def row_steps(gray, label):
    """Neighboring rows, in the columns that show the ground alone."""
    columns = gray[:, ~grown(label == 1).any(axis=0)]
    return np.abs(np.diff(columns, axis=0)).mean() if columns.size else 0.0


def softness(gray, _):
    """Pixels that are neither ground nor car."""
    return ((gray > 0.1) & (gray < 0.9)).mean()


def unknown(_, label):
    return (label == 255).mean()


def unknown_corners(_, label):
    return (label[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).mean()


def grown(mask):
    wide = mask.copy()
    for axis in (0, 1):
        for step in range(1, 13):
            wide |= np.roll(mask, step, axis) | np.roll(mask, -step, axis)
        mask = wide.copy()
    return wide


SHARES = {
    'scene_share': ({}, {}, unevenness, 0.01),
    'clutter_share': ({}, {}, roughness, 0.02),
    'coarse_share': ({'coarsest': 12.0}, {}, softness, 0.02),
    'polarity_share': ({}, {}, lambda g, t: -contrast(g, t), 1.0),
    'vignette_share': ({}, {'vignette_k': 9.0}, unevenness, 0.02),
    'column_share': ({}, {'column_k': 3.0}, column_steps, 0.02),
    'row_share': ({}, {'column_k': 3.0}, row_steps, 0.02),
    'drift_share': ({}, {'drift_k': 6.0}, unevenness, 0.02),
    'corner_share': ({}, {}, unknown_corners, 0.2),
    'region_share': ({}, {}, unknown, 0.01),
    'pixel_share': ({}, {'pixel_most': 0.2}, roughness, 0.2),
}
"""Share: what makes it clear, of the camera and its sensor; what it changes, by how much."""


def config_of(share, value):
    changes, sensor_changes, *_ = SHARES[share]
    sensor = dataclasses.replace(PLAIN_SENSOR, **sensor_changes)
    if hasattr(sensor, share):
        sensor = dataclasses.replace(sensor, **{share: value})
    else:
        changes = {**changes, share: value}
    return dataclasses.replace(PLAIN, sensor=sensor, **changes)


@pytest.mark.parametrize('share', SHARES)
def test_share_turns_its_change_on(share):
    effect, least = SHARES[share][2:]
    off, on = (mean_effect(effect, config_of(share, value)) for value in (0.0, 1.0))
    assert on > off + least


def test_smooth_changes_of_the_scene_are_no_clutter():
    smooth, rough = (
        mean_effect(roughness, config_of(name, 1.0)) for name in ('scene_share', 'clutter_share')
    )
    assert smooth < 0.5 * rough


def test_weak_contrast_of_the_scene_is_weak_beside_the_faults_of_the_camera():
    sensor = dataclasses.replace(PLAIN_SENSOR, column_share=1.0, column_k=1.0, contrast_least=0.1)
    steps = [
        mean_effect(column_steps, dataclasses.replace(PLAIN, sensor=changed))
        for changed in (sensor, dataclasses.replace(sensor, contrast_share=1.0))
    ]
    assert steps[1] > 1.5 * steps[0]


def test_raw_share_keeps_more_levels_than_a_display_has():
    config = config_of('scene_share', 1.0)
    display, raw = (
        [
            len(np.unique(augment(*frame(), np.random.default_rng(seed), changed)[0]))
            for seed in SEEDS
        ]
        for changed in (dataclasses.replace(config, raw_share=share) for share in (0.0, 1.0))
    )
    assert max(display) <= 256
    assert max(raw) > 1000
