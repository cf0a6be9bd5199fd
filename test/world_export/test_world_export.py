# SPDX-License-Identifier: Apache-2.0
"""Frames as files of each layout: ids, units and geometry, against independent formulas."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from kd_perception.label_sets import NYU40, VOC21
from kd_perception.preprocessing import Agc, AgcConfig, radiometry_from_preset
from kd_perception.world_export import cityscapes, mfnet, nyu, voc
from kd_perception.world_export.plan import ExportPlan, Job


def job(number=1, split='train', index=0, group='train'):
    return Job(split, 0, index, group, number, ())


def plan(folder, **splits):
    return ExportPlan('mfnet', folder, splits)


def read(path):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


def boxes(label, class_id):
    """The pixels of a class of the hand-made frame."""
    return label == class_id


class TestMFNet:
    def test_thermal_is_the_fourth_channel_as_the_robot_sees_it(self, frame, tmp_path):
        stem = mfnet.write_frame(tmp_path, job(7, group='D'), frame)
        assert stem == '00007D'
        image = read(tmp_path / 'images' / '00007D.png')
        np.testing.assert_array_equal(image[..., 2::-1], frame.rgb)
        gray = Agc(AgcConfig(), radiometry_from_preset('lepton_10mk'))(frame.thermal, 1).gray
        np.testing.assert_allclose(image[..., 3], gray * 255, atol=0.51)
        np.testing.assert_array_equal(read(tmp_path / 'labels' / '00007D.png'), frame.label)
        np.testing.assert_array_equal(read(tmp_path / 'thermal16' / '00007D.png'), frame.thermal)

    def test_lists_by_split_and_by_time_of_day(self, tmp_path):
        splits = ('train', 'test', 'test', 'test')
        stems = ['00001D', '00002N', '00003D', '00004N']
        results = [(job(split=split), stem) for split, stem in zip(splits, stems, strict=True)]
        mfnet.finish(tmp_path, plan(tmp_path, train=1, test=3), iter(results))
        lists = {path.stem: path.read_text().split() for path in tmp_path.glob('*.txt')}
        assert lists == {
            'train': ['00001D'],
            'test': ['00002N', '00003D', '00004N'],
            'test_day': ['00003D'],
            'test_night': ['00002N', '00004N'],
        }

    @pytest.mark.parametrize(('preset', 'group'), [('day', 'D'), ('night', 'N')])
    def test_night_is_that_of_the_world(self, preset, group, tmp_path):
        wanted = ExportPlan('mfnet', tmp_path, {'train': 3}, preset=preset)
        assert {job.group for job in mfnet.LAYOUT.jobs(wanted)} == {group}


class TestNYU:
    def test_depth_is_in_millimeters_and_labels_have_the_set_s_ids(self, frame, tmp_path):
        assert nyu.write_frame(tmp_path, job(3), frame) == '0003'
        depth = read(tmp_path / 'train' / 'depth' / '0003.png')
        person = boxes(frame.label, 2)
        assert (depth[person] == 6000).all()
        assert (depth[frame.sky] == 0).all()
        assert depth[29, 5] == 0, 'what is too far for 16 bits has no depth'
        labels = read(tmp_path / 'train' / 'labels_40' / '0003.png')
        assert (labels[person] == 31).all()
        assert (labels[frame.label == 0] == 0).all()
        names = {c: NYU40.names[labels[boxes(frame.label, c)][0] - 1] for c in range(1, 9)}
        assert names[1] == names[7] == 'otherprop'
        assert names[8] == 'floor'

    def test_raw_depth_has_holes_where_a_real_camera_has(self, frame, tmp_path):
        nyu.write_frame(tmp_path, job(3), frame)
        raw = read(tmp_path / 'train' / 'depth_raw' / '0003.png')
        assert (raw[frame.glass] == 0).all()
        assert (raw[frame.depth_m > 10] == 0).all()
        assert (raw[boxes(frame.label, 2)] == 6000).all()


class TestVOC:
    def test_ids_with_a_border_around_and_between_objects(self, frame):
        label = voc.file_ids_from_world(frame.label, frame.instance)
        names = {VOC21.names[i] for i in np.unique(label) if i != 255}
        assert names == {'background', 'car', 'person', 'bicycle'}
        assert (label[20, 0:8] == 255).all(), 'the outline'
        assert (label[22:26, 2:6] == VOC21.names.index('car')).all()
        assert (label[23, 11:13] == 255).all(), 'between two persons'
        assert label[23, 10] == label[23, 14] == VOC21.names.index('person')
        assert (label[20:28, 34:62] == 0).all(), 'no border around what is background'

    def test_tags_and_lists(self, frame, tmp_path):
        line = voc.write_frame(tmp_path, job(12), frame)
        assert line == '2000_000012 7 15', 'the frame says that there is no bike'
        results = [(job(1, 'train'), '2000_000001'), (job(2, 'val'), '2000_000002 7')]
        voc.finish(tmp_path, plan(tmp_path, train=1, val=1), iter(results))
        root = tmp_path / 'VOCdevkit' / 'VOC2012'
        lists = {p.stem: p.read_text().split() for p in root.glob('ImageSets/*/*.txt')}
        assert lists['train'] == lists['train_aug'] == ['2000_000001']
        assert lists['val'] == ['2000_000002']
        assert lists['trainval'] == ['2000_000001', '2000_000002']
        assert (root / 'tags.txt').read_text() == '2000_000001\n2000_000002 7\n'
        np.testing.assert_array_equal(read(root / 'SALImages' / '2000_000012.png'), frame.saliency)
        assert read(root / 'JPEGImages' / '2000_000012.jpg').shape == frame.rgb.shape


class TestCityscapes:
    def test_ids_of_classes_and_things(self, frame):
        ids = cityscapes.file_ids_from_world(frame)
        assert [int(ids[boxes(frame.label, c)][0]) for c in range(1, 9)] == [
            26, 24, 33, 8, 4, 14, 4, 7,
        ]  # fmt: skip
        assert (ids[frame.sky] == 23).all()
        assert ids[40, 5] == 0
        instances = cityscapes.instance_ids(ids, frame.instance)
        assert set(np.unique(instances[boxes(frame.label, 2)])) == {24_000, 24_001}
        assert (instances[boxes(frame.label, 1)] == 26_000).all()
        assert (instances[boxes(frame.label, 6)] == 14).all()

    def test_depth_follows_from_disparity_and_camera_file(self, frame, tmp_path):
        name = 'worldtrain_000004_000019'
        cityscapes.write_frame(tmp_path, job(1, 'train', 19, 'worldtrain_000004'), frame)
        folder = tmp_path / 'disparity' / 'train' / 'worldtrain'
        counts = read(folder / f'{name}_disparity.png').astype(float)
        camera = json.loads(
            (tmp_path / 'camera' / 'train' / 'worldtrain' / f'{name}_camera.json').read_text()
        )
        valid = counts > 0
        np.testing.assert_array_equal(valid, (frame.depth_m > 0) & (frame.depth_m < 80))
        disparity_px = (counts[valid] - 1) / 256
        depth_m = camera['extrinsic']['baseline'] * camera['intrinsic']['fx'] / disparity_px
        np.testing.assert_allclose(depth_m, frame.depth_m[valid], rtol=0.01)
        assert camera['intrinsic']['u0'] == 31.5

    def test_neighbors_have_a_color_image_in_the_sequence_only(self, frame, tmp_path):
        cityscapes.write_frame(tmp_path, job(1, 'val', 17, 'worldval_000000'), frame)
        files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png')]
        assert files == [
            'leftImg8bit_sequence/val/worldval/worldval_000000_000017_leftImg8bit.png'
        ]


def test_cityscapes_colors_are_those_of_the_ids(frame, tmp_path):
    cityscapes.write_frame(tmp_path, job(1, 'train', 19, 'worldtrain_000000'), frame)
    folder = tmp_path / 'gtFine' / 'train' / 'worldtrain'
    color = read(folder / 'worldtrain_000000_000019_gtFine_color.png')[..., ::-1]
    assert color[22, 4].tolist() == [0, 0, 142]
    assert color[22, 10].tolist() == [220, 20, 60]
    assert color[22, 44].tolist() == [180, 165, 180]
    train_ids = read(folder / 'worldtrain_000000_000019_gtFine_labelTrainIds.png')
    assert train_ids[22, 4] == 13
    assert train_ids[40, 5] == 255


@pytest.mark.parametrize('layout', [mfnet, nyu, voc, cityscapes])
def test_notes_name_each_class_that_is_translated(layout):
    translated = getattr(layout, 'COUNTERPARTS', getattr(layout, 'FILE_IDS', {}))
    for name, counterpart in translated.items():
        assert f'  * {name} -> {counterpart}' in layout.LAYOUT.notes
