# SPDX-License-Identifier: Apache-2.0
"""Tagged images out of a folder of one's own: as the robot shows them, with what is known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tagged_folders import COLOR, SIZE, STEP, color_of, heat_of, label_of, name_of, tagged_folder

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from kd_perception.tagging import read_tag_table
from kd_perception.tagging.frame_names import image_of
from training.data import tagged_folder as tagged_folder_module
from training.data.saliency import barrier_distance, heat_contrast, motion
from training.data.tagged_folder import TaggedFolder, label_from_things


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tagged_folder(tmp_path_factory.mktemp('drive'))


def shown(heat):
    return np.rint(255.0 * normalize(heat, *agc_limits(heat, AgcConfig())))


def test_frames_and_tags_of_a_folder(folder):
    data = TaggedFolder(folder)
    assert (data.modality, data.classes, len(data)) == ('thermal', ('car', 'person'), 12)
    assert (data.grid, data.frame_size) == ((1, 1), SIZE)
    for index in range(12):
        frame = data[index]
        assert frame.name == name_of(index) and frame.rgb is None
        np.testing.assert_array_equal(frame.thermal, shown(heat_of(index)))
        assert frame.thermal.dtype == np.uint8
        found = [bool((label_of(index) == k).any()) for k in (1, 2)]
        assert frame.tags.tolist() == found


def test_labels_are_those_of_the_tags(folder):
    frame = TaggedFolder(folder)[5]
    np.testing.assert_array_equal(frame.things, label_of(5))
    np.testing.assert_array_equal(frame.label, label_of(5))
    things = np.zeros((20, 30), np.uint8)
    things[0, :10], things[1, 0], things[2, :5], things[3, 3] = 2, 1, 7, 255
    label = label_from_things(things, ('person', 'car'))
    assert (label[0] == [1] * 10 + [0] * 20).all() and not label[2].any(), 'cones have no tag'
    assert label[1, 0] == 255 == label[3, 3], 'one pixel of a car is too small for a tag'


def test_folders_without_labels_have_none(tmp_path):
    folder = tagged_folder(tmp_path, count=3)
    (folder / 'labels' / f'{name_of(1)}.png').unlink()
    data = TaggedFolder(folder)
    assert data[1].label is None and data[1].things is None and data[2].label is not None


def test_frames_that_nobody_looked_at_are_left_out(tmp_path):
    folder = tagged_folder(tmp_path, label_topic='')
    with pytest.raises(DatasetError, match='must have tagged frames'):
        TaggedFolder(folder)
    table = read_tag_table(folder / 'tags.csv')
    table.rows[name_of(5)] = (False, False)
    table.write(folder / 'tags.csv')
    data = TaggedFolder(folder)
    assert [frame.name for frame in data] == [name_of(5)] and not data[0].tags.any()
    before = data.digest()
    table.rows[name_of(5)] = (True, False)
    table.write(folder / 'tags.csv')
    after = TaggedFolder(folder).digest()
    assert after != before
    Image.fromarray(heat_of(9)).save(folder / 'frames' / f'{name_of(5)}.png')
    assert TaggedFolder(folder).digest() not in (before, after), 'other images, other runs'


def test_detectors_of_heat(folder):
    heat = heat_of(4)
    data = TaggedFolder(folder)
    assert data.saliency.source == 'heat_contrast' and data.saliency.detected
    np.testing.assert_array_equal(data[4].saliency, heat_contrast(heat))
    barrier = TaggedFolder(folder, 'heat_barrier')[4].saliency
    np.testing.assert_array_equal(barrier, barrier_distance(heat))


def test_motion_is_that_of_the_recording(tmp_path):
    with pytest.raises(ConfigError, match='with --neighbors, or take heat_contrast'):
        TaggedFolder(tagged_folder(tmp_path, name='alone'), 'motion')
    folder = tagged_folder(tmp_path, stride=4, tiles=(1, 2), neighbors=True)
    data = TaggedFolder(folder, 'motion')
    expected = motion(heat_of(3), heat_of(4), heat_of(5))
    found = [frame.saliency for frame in data if frame.name.startswith(name_of(4))]
    np.testing.assert_array_equal(np.hstack(found), expected)
    first = motion(heat_of(0), heat_of(0), heat_of(1))
    np.testing.assert_array_equal(data[0].saliency, first[:, :48])
    both = TaggedFolder(folder, 'heat_and_motion')[3].saliency
    either = np.maximum(expected, heat_contrast(heat_of(4)))
    np.testing.assert_array_equal(both, either[:, 48:])


def test_tiles_are_parts_of_their_image(tmp_path):
    """Gain, detectors and labels see the whole image."""
    data = TaggedFolder(tagged_folder(tmp_path, count=4, tiles=(2, 2)), 'heat_contrast')
    assert data.grid == (2, 2)
    tiles = [[data[4 * 3 + 2 * y + x] for x in range(2)] for y in range(2)]
    heat = heat_of(3)
    assert not np.array_equal(tiles[0][0].thermal, shown(heat[:32, :48]))
    for part, whole in (
        ('thermal', shown(heat)), ('saliency', heat_contrast(heat)), ('things', label_of(3)),
    ):  # fmt: skip
        cut = np.block([[getattr(tile, part) for tile in row] for row in tiles])
        np.testing.assert_array_equal(cut, whole)
        np.testing.assert_array_equal(getattr(data.whole(data.names[13]), part), whole)
    whole = data.whole(data.names[13])
    assert whole.name == name_of(3) and whole.tags.tolist() == [False, True]


def test_tiles_of_an_image_that_lacks_some_stand_alone(tmp_path):
    folder = tagged_folder(tmp_path, count=4, tiles=(1, 2), neighbors=True)
    table = read_tag_table(folder / 'tags.csv')
    del table.rows[f'{name_of(2)}_0_0']
    table.write(folder / 'tags.csv')
    frame = TaggedFolder(folder, 'motion')[4]
    assert frame.name == f'{name_of(2)}_0_1'
    np.testing.assert_array_equal(frame.thermal, shown(heat_of(2)[:, 48:]))
    parts = (heat_of(index)[:, 48:] for index in (1, 2, 3))
    np.testing.assert_array_equal(frame.saliency, motion(*parts))


def test_what_was_decoded_is_kept_up_to_a_limit(tmp_path, monkeypatch):
    folder = tagged_folder(tmp_path, count=4, tiles=(1, 2))
    read, reads = tagged_folder_module._read_frame, []
    monkeypatch.setattr(
        tagged_folder_module, '_read_frame', lambda path: (reads.append(path), read(path))[1]
    )
    data = TaggedFolder(folder)
    reads.clear()
    first = [frame.thermal for frame in data]
    assert len(reads) == 8, 'both tiles of an image at once'
    again = [frame.thermal for frame in data]
    assert len(reads) == 8 and all(a is b for a, b in zip(first, again, strict=True))
    size = sum(part.nbytes for part in data[0] if isinstance(part, np.ndarray))
    monkeypatch.setattr(tagged_folder_module, 'CACHE_BYTES', 2 * size)
    data = TaggedFolder(folder)
    list(data)
    reads.clear()
    list(data)
    assert len(reads) == 12, 'the tiles of three images'


def test_frames_of_simulated_time_are_in_order(tmp_path):
    """9.9 s has a digit less than 10.0 s."""
    start = 9_800_000_000
    data = TaggedFolder(tagged_folder(tmp_path, count=5, start=start, tiles=(1, 2)))
    stamps = [image_of(name) for name in data.names]
    assert stamps == [f't{start + k // 2 * STEP}' for k in range(10)]


def test_color_folders(tmp_path):
    data = TaggedFolder(tagged_folder(tmp_path, topic=COLOR))
    assert (data.modality, data.saliency.source) == ('rgb', 'barrier_distance')
    np.testing.assert_array_equal(data[3].rgb, color_of(3))
    np.testing.assert_array_equal(data[3].saliency, barrier_distance(color_of(3)))
    assert TaggedFolder(data.folder, 'spectral_residual')[3].saliency.dtype == np.uint8
    with pytest.raises(ConfigError, match='for rgb, one of barrier_distance'):
        TaggedFolder(data.folder, 'motion')


def test_saliency_from_a_folder(folder, tmp_path):
    for index in range(12):
        levels = np.full(SIZE, 10 * index, np.uint8)
        Image.fromarray(levels).save(tmp_path / f'{name_of(index)}.png')
    data = TaggedFolder(folder, str(tmp_path))
    assert all((data[k].saliency == 10 * k).all() for k in range(12))
    before = data.digest()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / f'{name_of(2)}.png')
    assert TaggedFolder(folder, str(tmp_path)).digest() != before, 'other maps, other runs'
    with pytest.raises(DatasetError, match='one size'):
        TaggedFolder(folder, str(tmp_path))[2]
    with pytest.raises(ConfigError, match='folder of maps'):
        TaggedFolder(folder, str(tmp_path / 'absent'))


def test_frames_are_brought_to_a_size(folder):
    frame = TaggedFolder(folder, 'heat_contrast', (32, 64))[2]
    assert frame.thermal.shape == frame.saliency.shape == frame.label.shape == (32, 64)
    assert frame.thermal.mean() == pytest.approx(shown(heat_of(2)).mean(), abs=2.0)
    rows, columns = (np.arange(0.5, n) * m / n for n, m in ((32, SIZE[0]), (64, SIZE[1])))
    nearest = label_of(2)[rows.astype(int)[:, None], columns.astype(int)]
    np.testing.assert_array_equal(frame.label, nearest)


def test_missing_and_odd_frames_are_named(tmp_path):
    folder = tagged_folder(tmp_path)
    Image.fromarray(color_of(3)).save(folder / 'frames' / f'{name_of(3)}.png')
    with pytest.raises(DatasetError, match=f'of one kind, thermal; {name_of(3)} is not'):
        TaggedFolder(folder)[3]
    (folder / 'frames' / f'{name_of(7)}.png').unlink()
    with pytest.raises(DatasetError, match=rf'1 are missing, as {name_of(7)}\.png'):
        TaggedFolder(folder)
