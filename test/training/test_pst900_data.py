# SPDX-License-Identifier: Apache-2.0
"""PST900: five folders of one split, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kd_perception.errors import ConfigError, DatasetError
from training.data.pst900 import PST900, VIEWS

STEMS = ('31_bag1a_rect_rgb_frame0000000007', '31_bag1a_rect_rgb_frame0000000100', '4_bag')
SIZE = (6, 10)


def parts(number):
    rng = np.random.default_rng(number)
    return {
        'rgb': rng.integers(0, 256, (*SIZE, 3), np.uint8),
        'thermal': rng.integers(0, 256, SIZE, np.uint8),
        'thermal_raw': rng.integers(0, 65536, SIZE, np.uint16),
        'depth': rng.integers(0, 65536, SIZE, np.uint16),
        'labels': rng.integers(0, 5, SIZE, np.uint8),
    }


def write(root, split, stems):
    for number, stem in enumerate(stems):
        for part, pixels in parts(number).items():
            (root / split / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / split / part / f'{stem}.png')


@pytest.fixture
def root(tmp_path):
    write(tmp_path, 'train', STEMS)
    write(tmp_path, 'test', STEMS[:1])
    return tmp_path


def test_every_part_arrives_with_all_its_bits(root):
    data = PST900(root, 'train', views=VIEWS)
    assert data.names == STEMS and len(data) == 3
    for number, sample in enumerate(data):
        expected = parts(number)
        for part, pixels in expected.items():
            read = getattr(sample, {'labels': 'label', 'depth': 'depth_raw'}.get(part, part))
            assert read.dtype == pixels.dtype
            np.testing.assert_array_equal(read, pixels)


def test_samples_are_in_the_order_of_their_names(root):
    for stem in ('0_first', 'z_last'):
        for part, pixels in parts(9).items():
            Image.fromarray(pixels).save(root / 'train' / part / f'{stem}.png')
    assert PST900(root).names == ('0_first', *STEMS, 'z_last')


def test_what_is_not_asked_for_need_not_be_there(root):
    for part in ('thermal_raw', 'depth'):
        for path in (root / 'train' / part).iterdir():
            path.unlink()
    with pytest.raises(DatasetError, match=r'6 of 15 files are missing: train/thermal_raw/'):
        PST900(root, views=VIEWS)
    sample = PST900(root)[0]
    assert sample.thermal_raw is None and sample.depth_raw is None
    assert sample.label.shape == SIZE


def test_only_depth(root):
    sample = PST900(root, views=['depth_raw'])[1]
    np.testing.assert_array_equal(sample.depth_raw, parts(1)['depth'])
    assert sample.thermal_raw is None


def test_what_is_not_offered_is_refused(root):
    with pytest.raises(ConfigError, match='views must be'):
        PST900(root, views=['depth'])
    for index in (-1, 3):
        with pytest.raises(IndexError, match='0 to 2'):
            PST900(root)[index]


@pytest.mark.parametrize('part', ['rgb', 'thermal', 'thermal_raw', 'depth', 'labels'])
def test_lists_of_unequal_length_are_refused(root, part):
    (root / 'train' / part / f'{STEMS[1]}.png').unlink()
    with pytest.raises(DatasetError, match=rf'1 of 15 .*: train/{part}/{STEMS[1]}\.png'):
        PST900(root, 'train', views=VIEWS)


def test_equal_counts_of_different_names_are_refused(root):
    folder = root / 'train/labels'
    (folder / f'{STEMS[2]}.png').rename(folder / '4_beg.png')
    with pytest.raises(DatasetError, match=r'5 of 20 .* train/rgb/4_beg\.png'):
        PST900(root, 'train', views=VIEWS)


def test_swapped_splits_are_refused(tmp_path):
    write(tmp_path, 'train', STEMS[:1])
    write(tmp_path, 'test', STEMS)
    with pytest.raises(DatasetError, match=r'larger one .* 1 training and 3 test'):
        PST900(tmp_path, 'test')


def test_one_split_alone_can_be_read(tmp_path):
    write(tmp_path, 'test', STEMS[:2])
    assert len(PST900(tmp_path, 'test')) == 2


def test_missing_and_empty_sets_say_what_is_expected(tmp_path):
    with pytest.raises(DatasetError, match=r'no such folder(.|\n)*pst900_thermal_rgb'):
        PST900(tmp_path / 'none')
    with pytest.raises(DatasetError, match=r'thermal_raw(.|\n)*missing: train/rgb/\*\.png'):
        PST900(tmp_path)


@pytest.mark.parametrize(
    ('part', 'pixels', 'message'),
    [
        ('labels', np.zeros((*SIZE, 3), np.uint8), r'labels/.*png must be a label.*mode RGB'),
        ('labels', np.full(SIZE, 5, np.uint8), r'PST900 labels.*received \[5\]'),
        ('thermal_raw', np.zeros(SIZE, np.uint8), r'thermal_raw/.*16 bits; it is of mode L'),
        ('thermal', np.zeros(SIZE, np.uint16), r'thermal/.*8 bits'),
        ('thermal', np.zeros((5, 10), np.uint8), r'one size; .* thermal 5x10'),
        ('depth', np.zeros((6, 5), np.uint16), r'one size; .* depth_raw 6x5'),
    ],
)
def test_parts_of_another_form_are_refused(root, part, pixels, message):
    Image.fromarray(pixels).save(root / 'train' / part / f'{STEMS[0]}.png')
    data = PST900(root, 'train', views=VIEWS)
    with pytest.raises(DatasetError, match=message):
        data[0]
    assert data[1].name == STEMS[1]


@pytest.mark.parametrize('part', ['rgb', 'thermal_raw', 'labels'])
def test_truncated_files_are_refused_by_name(root, part):
    path = root / 'train' / part / f'{STEMS[0]}.png'
    path.write_bytes(path.read_bytes()[:45])
    with pytest.raises(DatasetError, match=rf'{part}/{STEMS[0]}\.png is damaged'):
        PST900(root, 'train', views=VIEWS)[0]


def test_the_real_frame(tmp_path, real_data):
    sources = {'rgb': 'rgb', 'thermal': 'thermal8', 'labels': 'label_ids'}
    for part, source in sources.items():
        (tmp_path / 'test' / part).mkdir(parents=True)
        content = (real_data / f'pst900/{source}.png').read_bytes()
        (tmp_path / 'test' / part / 'frame.png').write_bytes(content)
    (sample,) = PST900(tmp_path, 'test')
    assert sample.rgb.shape == (720, 1280, 3)
    assert sample.thermal.shape == sample.label.shape == (720, 1280)
    assert np.unique(sample.label).tolist() == [0, 1, 2, 3]
    # The extinguisher is red: with ids or channels in the wrong order it is not.
    red, green, blue = sample.rgb[sample.label == 1].astype(float).mean(axis=0)
    assert red > 1.3 * max(green, blue)
    assert (sample.thermal == 0).any(), 'holes of the projection stay as they are'
