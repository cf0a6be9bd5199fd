# SPDX-License-Identifier: Apache-2.0
"""Tagged images out of VOC's layout and out of a folder of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tagged_folders import COLOR, SIZE, STEP, color_of, heat_of, label_of, name_of, tagged_folder

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.label_sets import VOC21
from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from kd_perception.tagging import read_tag_table
from kd_perception.world_export.export import export_world
from kd_perception.world_export.plan import ExportPlan
from training.data.saliency import barrier_distance, heat_contrast, motion
from training.data.tagged_sources import TaggedFolder, TaggedVOC, image_of
from training.data.voc import VOC


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tagged_folder(tmp_path_factory.mktemp('drive'))


def test_frames_and_tags_of_a_folder(folder):
    data = TaggedFolder(folder)
    assert (data.modality, data.classes, len(data)) == ('thermal', ('car', 'person'), 12)
    for index in range(12):
        frame = data[index]
        assert frame.name == name_of(index) and frame.rgb is None and frame.label is None
        np.testing.assert_array_equal(frame.thermal, heat_of(index))
        found = [bool((label_of(index) == k).any()) for k in (1, 2)]
        assert frame.tags.tolist() == found


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
    assert TaggedFolder(folder).digest() != before


def test_detectors_of_heat(folder):
    heat = [heat_of(k) for k in range(12)]
    contrast = TaggedFolder(folder, 'heat_contrast')[4].saliency
    moved = TaggedFolder(folder, 'motion')
    np.testing.assert_array_equal(contrast, heat_contrast(heat[4]))
    np.testing.assert_array_equal(moved[4].saliency, motion(heat[3], heat[4], heat[5]))
    np.testing.assert_array_equal(moved[0].saliency, motion(heat[0], heat[0], heat[1]))
    data = TaggedFolder(folder)
    assert data.saliency == 'heat_and_motion'
    np.testing.assert_array_equal(data[4].saliency, np.maximum(contrast, moved[4].saliency))
    barrier = TaggedFolder(folder, 'heat_barrier')[4].saliency
    np.testing.assert_array_equal(barrier, barrier_distance(heat[4]))


def test_tiles_of_heat_are_shown_as_parts_of_their_image(tmp_path):
    data = TaggedFolder(tagged_folder(tmp_path, count=4, tiles=(2, 2)), 'heat_contrast')
    shown = np.block(
        [[data[4 * 3 + 2 * y + x].thermal for x in range(2)] for y in range(2)]
    )  # fmt: skip
    limits = agc_limits(heat_of(3), AgcConfig())
    np.testing.assert_array_equal(shown, np.rint(255.0 * normalize(heat_of(3), *limits)))
    tile = heat_of(3)[:32, :48]
    assert not np.array_equal(
        shown[:32, :48], np.rint(255 * normalize(tile, *agc_limits(tile, AgcConfig())))
    )


def test_motion_looks_at_the_same_tile(tmp_path):
    folder = tagged_folder(tmp_path, tiles=(1, 2), stride=4)
    data = TaggedFolder(folder, 'motion')
    row = [k for k, name in enumerate(data.names) if name.endswith('_0_1')]
    right = [heat_of(index)[:, 48:] for index in (0, 4, 8)]
    np.testing.assert_array_equal(data[row[1]].saliency, motion(*right))


def test_frames_of_simulated_time_are_in_order(tmp_path):
    """9.9 s has a digit less than 10.0 s."""
    start = 9_800_000_000
    folder = tagged_folder(tmp_path, count=5, start=start, tiles=(1, 2))
    data = TaggedFolder(folder, 'motion')
    stamps = [image_of(name) for name in data.names]
    assert stamps == [f't{start + k // 2 * STEP}' for k in range(10)]
    around = [heat_of(index)[:, :48] for index in (0, 1, 2)]
    np.testing.assert_array_equal(data[2].saliency, motion(*around))


def test_color_folders(tmp_path):
    data = TaggedFolder(tagged_folder(tmp_path, topic=COLOR))
    assert (data.modality, data.saliency) == ('rgb', 'barrier_distance')
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
        data[2]
    with pytest.raises(ConfigError, match='folder of maps'):
        TaggedFolder(folder, str(tmp_path / 'absent'))


def test_frames_are_brought_to_a_size(folder):
    frame = TaggedFolder(folder, 'heat_contrast', (32, 64))[2]
    assert frame.thermal.shape == frame.saliency.shape == (32, 64)
    assert frame.thermal.dtype == np.uint16
    assert frame.thermal.mean() == pytest.approx(heat_of(2).mean(), abs=2.0)


def test_missing_and_odd_frames_are_named(tmp_path):
    folder = tagged_folder(tmp_path)
    Image.fromarray(color_of(3)).save(folder / 'frames' / f'{name_of(3)}.png')
    with pytest.raises(DatasetError, match=f'of one kind, thermal; {name_of(3)} is not'):
        TaggedFolder(folder)[3]
    (folder / 'frames' / f'{name_of(7)}.png').unlink()
    with pytest.raises(DatasetError, match=rf'1 are missing, as {name_of(7)}\.png'):
        TaggedFolder(folder)


def test_voc_with_saliency(tmp_path):
    plan = ExportPlan('voc', tmp_path / 'voc', {'train': 2}, image_size=(64, 96))
    export_world(plan, workers=1)
    root = tmp_path / 'voc' / 'VOCdevkit' / 'VOC2012'
    voc = VOC(
        root, 'train', views=('label', 'tags', 'saliency'), tags_file=root / 'tags.txt',
        saliency_folder=root / 'SALImages',
    )  # fmt: skip
    data = TaggedVOC(voc)
    assert len(data) == 2
    for frame, sample in zip(data, voc, strict=True):
        stored = np.array(Image.open(Path(root) / 'SALImages' / f'{frame.name}.png'))
        np.testing.assert_array_equal(frame.saliency, stored)
        np.testing.assert_array_equal(frame.label, sample.label)
        assert frame.tags.shape == (VOC21.num_classes - 1,)
        np.testing.assert_array_equal(frame.tags, sample.tags)
