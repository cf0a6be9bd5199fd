# SPDX-License-Identifier: Apache-2.0
"""Real frames are found by set, with all their bits, and half a set is refused."""

from __future__ import annotations

import numpy as np
import pytest
from real_folders import SIZE, half_right, half_white, labeled_frames, real_folder, write

from kd_perception.errors import DatasetError
from training.data.real_frames import load_labeled_folder, load_real_sets, set_digest


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv('KD_PERCEPTION_REAL_DATA', str(tmp_path))
    return real_folder(tmp_path)


def test_sets_are_read_with_what_belongs_to_each(root):
    sets = load_real_sets()
    names = {name: [real.name for real in frames] for name, frames in sets.items()}
    assert names == {
        'rtfnet_tiles': ['00', '01', '02', '03'],
        'msrs_pairs': ['00001D'],
        'thermal16': ['deep', 'deeper'],
    }
    tile, pair, deep = (frames[0] for frames in sets.values())
    np.testing.assert_array_equal(tile.label, half_right())
    assert pair.label is None and deep.label is None
    assert pair.rgb[0, 0].tolist() == [200, 90, 0], 'red first'
    assert deep.frame.encoding == 'mono16' and deep.frame.image.max() == 10_000
    assert pair.frame.encoding == tile.frame.encoding == 'mono8'


def test_sets_that_are_absent_are_left_out_and_none_at_all_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv('KD_PERCEPTION_REAL_DATA', str(tmp_path))
    with pytest.raises(DatasetError, match=r'rtfnet_tiles.*KD_PERCEPTION_REAL_DATA'):
        load_real_sets()
    write(tmp_path / 'thermal16' / 'deep.png', half_white(np.uint16))
    assert list(load_real_sets()) == ['thermal16']


def test_a_pair_without_its_color_image_is_refused(root):
    (root / 'msrs_pairs' / 'makers' / 'vi' / '00001D.png').unlink()
    with pytest.raises(DatasetError, match='00001D'):
        load_real_sets()


def test_a_pair_of_two_sizes_is_refused(root):
    write(root / 'msrs_pairs' / 'makers' / 'ir' / '00001D.png', half_white()[:50])
    with pytest.raises(DatasetError, match='thermal 50x128, color 96x128'):
        load_real_sets()


def test_labeled_frames_of_ones_own(tmp_path):
    labeled_frames(tmp_path, ('b', 'a'))
    frames = load_labeled_folder(tmp_path)
    assert [real.name for real in frames] == ['a', 'b']
    assert frames[0].label.shape == frames[0].frame.image.shape == SIZE
    (tmp_path / 'b_label.png').unlink()
    with pytest.raises(DatasetError, match='b_label'):
        load_labeled_folder(tmp_path)
    with pytest.raises(DatasetError, match='stem>_thermal'):
        load_labeled_folder(tmp_path / 'absent')


def test_ids_that_are_no_class_are_refused(tmp_path):
    labeled_frames(tmp_path, ('a',))
    write(tmp_path / 'a_label.png', np.full(SIZE, 9, np.uint8))
    with pytest.raises(DatasetError, match='MFNet labels must hold'):
        load_labeled_folder(tmp_path)


def test_the_digest_sees_pixels_labels_names_and_order(tmp_path):
    labeled_frames(tmp_path, ('a', 'b'))
    write(tmp_path / 'b_thermal.png', half_white() + np.uint8(1))
    frames = load_labeled_folder(tmp_path)
    other = frames[0].label.copy()
    other[0, 0] = 1
    digests = [
        set_digest(each)
        for each in (
            frames,
            frames[::-1],
            frames[:1],
            [frames[0]._replace(label=other), frames[1]],
            [frames[0]._replace(name='c'), frames[1]],
        )
    ]
    assert len(set(digests)) == 5
    assert set_digest(load_labeled_folder(tmp_path)) == digests[0]


def test_the_real_samples_are_found(real_data, monkeypatch):
    monkeypatch.setenv('KD_PERCEPTION_REAL_DATA', str(real_data))
    counts = {name: len(frames) for name, frames in load_real_sets().items()}
    assert counts == {'rtfnet_tiles': 4, 'msrs_pairs': 6, 'thermal16': 14}
