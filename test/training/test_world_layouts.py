# SPDX-License-Identifier: Apache-2.0
"""The loaders of real sets read what `kd-perception world` writes, and get the world back."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.bags import BagReader
from kd_perception.world import CLASS_NAMES
from kd_perception.world.streets.still import Still
from kd_perception.world_export import bag, cityscapes, nyu, voc
from kd_perception.world_export.export import export_world
from kd_perception.world_export.layouts import LAYOUTS
from kd_perception.world_export.mfnet import thermal_8bit
from kd_perception.world_export.plan import ExportPlan
from kd_perception.world_export.rendering import rendered
from training.data import kitti
from training.data.cityscapes import Cityscapes
from training.data.kitti import KittiRaw
from training.data.kitti_splits import read_split
from training.data.mfnet import MFNet
from training.data.nyu import NyuConverted
from training.data.voc import VOC

SIZE = (96, 128)
SPLITS = {
    'mfnet': {'train': 3, 'val': 1, 'test': 3, 'shifted': 1},
    'kitti': {'train': 3, 'test': 2},
    'cityscapes': {'train': 2, 'val': 1},
    'nyu': {'train': 2, 'test': 2},
    'voc': {'train': 3, 'val': 2},
    'bag': {'test': 2},
}


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """Makes an export of a layout once; gives its plan."""
    made = {}

    def export(layout):
        if layout not in made:
            out = tmp_path_factory.mktemp(layout) / 'set'
            made[layout] = ExportPlan(layout, out, SPLITS[layout], seed=2, image_size=SIZE)
            export_world(made[layout], workers=1)
        return made[layout]

    return export


def frames_of(plan, split):
    """The world's own frames of a split, in the order of the export."""
    jobs = [job for job in LAYOUTS[plan.layout].jobs(plan) if job.split == split]
    return [rendered(plan.world_config(split), job) for job in jobs]


def test_mfnet(exported):
    plan = exported('mfnet')
    for split, count in plan.splits.items():
        loader = MFNet(plan.out, split)
        assert len(loader) == count
        for sample, frame in zip(loader, frames_of(plan, split), strict=True):
            np.testing.assert_array_equal(sample.rgb, frame.rgb)
            np.testing.assert_array_equal(sample.label, frame.label)
            np.testing.assert_array_equal(sample.thermal, thermal_8bit(frame.thermal))
            assert sample.thermal.std() > 10, 'the gain control uses the gray levels'
    by_time = [name for name in ('test_day', 'test_night') if (plan.out / f'{name}.txt').exists()]
    assert sum(len(MFNet(plan.out, name)) for name in by_time) == plan.splits['test']


def test_mfnet_nights_are_nights(exported):
    plan = exported('mfnet')
    jobs = LAYOUTS['mfnet'].jobs(plan)
    names = [name for split in plan.splits for name in MFNet(plan.out, split).names]
    for name, job in zip(names, jobs, strict=True):
        still = Still(plan.world_config(job.split), job.seed, job.index)
        assert name[-1] == ('N' if still.climate.night else 'D')


def test_kitti(exported):
    plan = exported('kitti')
    for split in plan.splits:
        listed = read_split(plan.out / 'splits' / f'{split}_files.txt')
        loader = KittiRaw(plan.out, listed, views=kitti.VIEWS)
        assert len(loader) == plan.splits[split]
        frames = frames_of(plan, split)
        for sample in loader:
            _check_kitti(sample, frames)


def _check_kitti(sample, frames):
    index = sample.frame.number
    frame = frames[index]
    np.testing.assert_array_equal(sample.rgb, frame.rgb)
    np.testing.assert_array_equal(sample.right, frame.right)
    np.testing.assert_array_equal(sample.previous, frames[index - 1].rgb)
    np.testing.assert_array_equal(sample.next, frames[index + 1].rgb)
    np.testing.assert_allclose(sample.camera_matrix, frame.camera_matrix, rtol=1e-12)
    np.testing.assert_allclose(sample.right_from_camera, frame.right_from_camera, atol=1e-9)
    assert sample.baseline_m == pytest.approx(frame.baseline_m)
    np.testing.assert_allclose(sample.lidar_m, frame.lidar_m, rtol=1e-4)
    np.testing.assert_allclose(sample.sparse_m, frame.lidar_m, atol=0.5 / 256)
    truth = np.where(frame.depth_m < 80, frame.depth_m, 0)
    np.testing.assert_allclose(sample.target_m, truth, atol=0.5 / 256)
    # The Eigen protocol: the lidar's own x, one pixel up and left.
    moved = np.roll(sample.eigen_target_m, (1, 1), (0, 1))[1:, 1:]
    there = frame.lidar_m[1:, 1:] > 0
    np.testing.assert_array_equal(moved > 0, there)
    np.testing.assert_allclose(moved[there], frame.lidar_m[1:, 1:][there] + 0.27, rtol=1e-4)


@pytest.mark.parametrize('step', [1, 2])
def test_cityscapes(exported, step):
    plan = exported('cityscapes')
    views = ('label', 'instance', 'disparity', 'right', 'previous', 'next')
    for split in plan.splits:
        loader = Cityscapes(plan.out, split, views=views, step=step)
        assert len(loader) == plan.splits[split]
        frames = frames_of(plan, split)
        snippet = 2 * cityscapes.REACH + 1
        for number, sample in enumerate(loader):
            middle = snippet * number + cityscapes.REACH
            _check_cityscapes(sample, frames[middle])
            np.testing.assert_array_equal(sample.previous, frames[middle - step].rgb)
            np.testing.assert_array_equal(sample.next, frames[middle + step].rgb)


def _check_cityscapes(sample, frame):
    np.testing.assert_array_equal(sample.rgb, frame.rgb)
    np.testing.assert_array_equal(sample.right, frame.right)
    np.testing.assert_allclose(sample.camera.matrix, frame.camera_matrix)
    known = (frame.depth_m > 0) & (frame.depth_m < 80)
    np.testing.assert_array_equal(sample.target_m > 0, known)
    focal_m = frame.baseline_m * frame.camera_matrix[0, 0]
    exact_px = focal_m / frame.depth_m[known]
    np.testing.assert_allclose(sample.disparity_px[known], exact_px, atol=0.51 / 256)
    names = Cityscapes.label_set.names
    expected = {'car': 'car', 'person': 'person', 'bike': 'bicycle', 'curve': 'sidewalk'}
    for ours, theirs in expected.items():
        here = frame.label == CLASS_NAMES.index(ours)
        assert (sample.label[here] == names.index(theirs)).all()
    assert (sample.label[frame.sky & (frame.label == 0)] == names.index('sky')).all()
    for things in np.unique(sample.instance[sample.instance > 0]):
        assert len(np.unique(frame.instance[sample.instance == things])) == 1


def test_nyu(exported):
    plan = exported('nyu')
    for split in plan.splits:
        loader = NyuConverted(plan.out, split, views=('label', 'depth_raw'))
        for sample, frame in zip(loader, frames_of(plan, split), strict=True):
            np.testing.assert_array_equal(sample.rgb, frame.rgb)
            expected = np.where(frame.depth_m <= 65.535, frame.depth_m, 0)
            np.testing.assert_allclose(sample.target_m, expected, atol=0.51e-3)
            seen = sample.depth_raw_m > 0
            assert not (seen & (frame.glass | frame.sky)).any()
            np.testing.assert_array_equal(sample.depth_raw_m[seen], sample.target_m[seen])
            for ours, theirs in nyu.COUNTERPARTS.items():
                here = frame.label == CLASS_NAMES.index(ours)
                assert (sample.label[here] == loader.label_set.names.index(theirs)).all()
            assert (sample.label[frame.label == 0] == 255).all()


def test_voc(exported):
    plan = exported('voc')
    root = plan.out / voc.ROOT
    for split in (*plan.splits, 'train_aug'):
        loader = VOC(
            root,
            split,
            views=('label', 'tags', 'saliency'),
            tags_file=root / 'tags.txt',
            saliency_folder=root / 'SALImages',
        )
        frames = frames_of(plan, split.removesuffix('_aug'))
        for sample, frame in zip(loader, frames, strict=True):
            _check_voc(sample, frame, loader.label_set.names)


def _check_voc(sample, frame, names):
    error = np.abs(sample.rgb.astype(int) - frame.rgb).mean()
    assert error < 12, 'the same image but for JPEG'
    np.testing.assert_allclose(sample.saliency, frame.saliency / 255, atol=1e-6)
    inside = sample.label != 255
    for ours, theirs in voc.COUNTERPARTS.items():
        class_id = CLASS_NAMES.index(ours)
        here = frame.label == class_id
        assert (sample.label[here & inside] == names.index(theirs)).all()
        assert not (sample.label[~here] == names.index(theirs)).any()
        assert sample.tags[names.index(theirs) - 1] == frame.tags[class_id - 1]
    assert sample.tags.sum() == sum(
        frame.tags[CLASS_NAMES.index(ours) - 1] for ours in voc.COUNTERPARTS
    )


def test_splits_share_no_frame(exported):
    plan = exported('mfnet')
    images = [sample.thermal.tobytes() for s in plan.splits for sample in MFNet(plan.out, s)]
    assert len(set(images)) == len(images)


def test_recordings_hold_the_drive(exported):
    plan = exported('bag')
    (first, *_), job = frames_of(plan, 'test'), LAYOUTS['bag'].jobs(plan)[0]
    with BagReader(plan.out) as source:
        recorded = next(source.frames(bag.IMAGE_TOPIC)).image
        assert source.topics.keys() == {
            bag.IMAGE_TOPIC, bag.CAMERA_INFO_TOPIC, bag.LABEL_TOPIC, bag.COLOR_TOPIC,
            bag.COLOR_INFO_TOPIC, bag.DEPTH_TOPIC, bag.TF_TOPIC,
        }  # fmt: skip
    np.testing.assert_array_equal(recorded, first.thermal)
    assert job.time_s == 0.0
