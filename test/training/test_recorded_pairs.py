# SPDX-License-Identifier: Apache-2.0
"""CEKD and compression read a recording as they are told to: topics, registration, stride."""

from __future__ import annotations

import cekd_runs
import compress_runs
import numpy as np
import pytest
import yaml
from pair_bags import COLOR, THERMAL, color, heat, stamp_of, write_pairs

from kd_perception.bags import BagWriter
from kd_perception.errors import ConfigError
from training.data.bag import BagPairsConfig, PairingConfig, load_bag
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_data import student_frames
from training.recipes.compress_config import CompressConfig
from training.recipes.compress_data import training_frames
from training.settings import load_config, plain

SHIFT = (1.0, 0.0, 8.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
OPTIONS = ('--bag_pairs.rgb_to_thermal', str(list(SHIFT)), '--bag_pairs.stride', '2')


@pytest.fixture
def teacher(tmp_path):
    path = tmp_path / 'cekd.yaml'
    config = cekd_runs.tiny_run(tmp_path, tmp_path / 'cache')
    path.write_text(yaml.safe_dump(plain(config)), encoding='utf-8')
    return path


@pytest.fixture(params=['cekd', 'compress'])
def recipe(request, tmp_path, teacher):
    """The class of a configuration, arguments of a tiny run, and what it draws from."""
    if request.param == 'cekd':
        return CekdConfig, ['--config_path', str(teacher)], lambda run: student_frames(run).frames
    config = compress_runs.tiny_run(
        tmp_path, tmp_path / 'cache', teacher, 'teacher', label_weight=0.0
    )
    path = tmp_path / 'compress.yaml'
    path.write_text(yaml.safe_dump(plain(config)), encoding='utf-8')
    return CompressConfig, ['--config_path', str(path)], training_frames


def test_frames_are_the_pairs_that_are_asked_for(recipe, tmp_path):
    kind, arguments, frames_of = recipe
    drive = write_pairs(tmp_path / 'drive', count=5)
    found = frames_of(load_config(kind, [*arguments, '--bag', str(drive), *OPTIONS]))
    size = (64, 96)
    expected, plain_ones = (
        load_bag(BagPairsConfig(drive, size, stride=2, rgb_to_thermal=matrix), tmp_path / 'cache')
        for matrix in (SHIFT, ())
    )
    assert len(found) == len(expected) == 3
    np.testing.assert_array_equal(found[1].thermal, expected[1].thermal)
    np.testing.assert_array_equal(found[1].rgb, expected[1].rgb)
    assert not np.array_equal(expected[1].rgb, plain_ones[1].rgb)


def test_a_recording_with_two_thermal_cameras_is_read_by_topic(recipe, tmp_path):
    kind, arguments, frames_of = recipe
    other = '/rear/image_raw'
    with BagWriter(tmp_path / 'two') as bag:
        for index in range(3):
            for topic, image in (
                (THERMAL, heat(index)), (other, heat(10 + index)), (COLOR, color(index)),
            ):  # fmt: skip
                bag.write_image(topic, image, stamp_ns=stamp_of(index))
    arguments = [*arguments, '--bag', str(tmp_path / 'two')]
    with pytest.raises(ConfigError, match='thermal_topic'):
        frames_of(load_config(kind, arguments))
    first, rear = (
        frames_of(load_config(kind, [*arguments, '--bag_pairs.thermal_topic', topic]))[0].thermal
        for topic in (THERMAL, other)
    )
    assert not np.array_equal(first, rear)


def test_what_changes_the_pairs_makes_another_run(recipe):
    kind, arguments, _ = recipe
    arguments = [*arguments, '--bag', 'drive']
    own = load_config(kind, arguments)
    assert 'bag_pairs' in plain(own)
    for changes, same in (
        (OPTIONS[:2], False), (OPTIONS[2:], False),
        (('--bag_pairs.max_gb', '3'), True), (('--bag_pairs.stride', '1'), True),
    ):  # fmt: skip
        other = load_config(kind, [*arguments, *changes])
        assert (other.fingerprint() == own.fingerprint()) == same, changes


def test_pairing_needs_a_recording(recipe):
    kind, arguments, _ = recipe
    with pytest.raises(ConfigError, match=r'bag_pairs\.stride, bag_pairs\.rgb_to_thermal must'):
        load_config(kind, [*arguments, *OPTIONS])


def test_settings_of_pairs_are_checked_before_there_is_a_recording():
    with pytest.raises(ConfigError, match='max_gap_ms'):
        PairingConfig(max_gap_ms=-1.0)
    with pytest.raises(ConfigError, match='nine'):
        PairingConfig(rgb_to_thermal=(1.0, 0.0))
