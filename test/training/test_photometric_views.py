# SPDX-License-Identifier: Apache-2.0
"""The photometric loss prefers what is true: on rendered views, a real pair and a real drive.

Only the rendered views come with depth that is known to be true. The samples of the real pair hold
no disparity, so that block matching, which compares gray levels by another measure, stands for the
truth. The real drive has true poses but neither lidar nor a second camera: its depth is that of a
level road in front of the car, at the height that the camera is mounted above it.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from kd_perception.world import preset, render_frame
from training.data.kitti_odometry import KittiOdometry
from training.disparity import depth_from_disparity, sigmoid_from_depth
from training.geometry import warp
from training.losses import (
    SourceView,
    identity_error,
    minimum_reprojection,
    multi_scale_reprojection,
    photometric_loss,
)
from training.poses import inverse_pose, stereo_pose

CAMERA_HEIGHT_M = 1.65


def tensor_from_image(image):
    image = image if image.ndim == 3 else image[..., None]
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255.0


def tensor_from_matrix(matrix):
    return torch.as_tensor(np.asarray(matrix), dtype=torch.float32)[None]


def loss_over(mask, image, views):
    """Photometric loss over the pixels of a mask, which do not depend on the depth tried."""
    found = minimum_reprojection(image, views)
    return photometric_loss(found.error, mask).item()


@pytest.fixture(scope='module')
def rendered():
    """Frames with all their views; between them the camera moves by more than half a meter."""
    views = ('rgb', 'right', 'previous', 'next')
    return [render_frame(preset('day', height=120, width=160), 11, i, views) for i in (0, 3)]


@pytest.mark.parametrize('names', [('right',), ('previous', 'next')], ids=['stereo', 'video'])
def test_true_depth_of_rendered_views_beats_every_constant(names, rendered):
    rows = []
    for frame in rendered:
        sources = [
            SourceView(
                tensor_from_image(getattr(frame, name)),
                tensor_from_matrix(getattr(frame, f'{name}_from_camera')),
            )
            for name in names
        ]
        depth_m = torch.as_tensor(frame.depth_m, dtype=torch.float32)[None, None]
        known = (depth_m > 0.0) & (depth_m < 80.0)
        depth_m = torch.where(known, depth_m, 80.0)
        tried = [depth_m] + [torch.full_like(depth_m, x) for x in (2, 4, 6, 9, 14, 22, 40, 80)]
        found = multi_scale_reprojection(
            [sigmoid_from_depth(depth) for depth in tried], tensor_from_image(frame.rgb), sources,
            tensor_from_matrix(frame.camera_matrix), auto_mask=False,
        )  # fmt: skip
        rows.append([photometric_loss(each.error, known).item() for each in found])
    true, *constants = np.mean(rows, axis=0)
    print(f'{names}: {true:.3f} true, {min(constants):.3f} at the best constant depth')
    assert true < 0.8 * min(constants)


def test_disparity_of_a_real_pair_beats_every_constant_and_every_shift(real_data):
    folder = real_data / 'middlebury_motorcycle'
    if not folder.is_dir():
        pytest.skip(f'the Middlebury pair is not at {folder}')
    left, right = (
        cv2.imread(str(folder / f'motorcycle_{side}.png'))[125:375] for side in ('left', 'right')
    )
    matcher = cv2.StereoSGBM_create(0, 80, 5, P1=8 * 75, P2=32 * 75, disp12MaxDiff=1)
    disparity_px = torch.from_numpy(matcher.compute(left, right).astype(np.float32) / 16.0)
    disparity_px[disparity_px < 0.0] = float('nan')
    image, source = tensor_from_image(left), tensor_from_image(right)
    focal_px, baseline_m = torch.tensor([994.978]), torch.tensor([0.193001])
    matrix = tensor_from_matrix([[994.978, 0, 311.193], [0, 994.978, 129.877], [0, 0, 1]])
    source_matrix = matrix.clone()
    source_matrix[:, 0, 2] += 31.086

    def drawn(disparity_px):
        depth_m = depth_from_disparity(
            disparity_px[None, None], focal_px, baseline_m, offset_px=31.086
        )
        return warp(source, depth_m, stereo_pose(baseline_m), matrix, source_matrix=source_matrix)

    mask = drawn(disparity_px).valid
    assert mask.float().mean() > 0.8

    def loss(disparity_px):
        return loss_over(mask, image, [drawn(disparity_px).image])

    matched = loss(disparity_px)
    constants = [loss(torch.full_like(disparity_px, float(x))) for x in range(4, 80, 6)]
    print(f'motorcycle: {matched:.3f} matched, {min(constants):.3f} at the best constant')
    assert matched < 0.3 * min(constants)
    # Half a pixel shows: neither the warp nor the principal points are off by that.
    shifts = [loss(disparity_px + shift) for shift in (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)]
    assert shifts == sorted(shifts[:3], reverse=True) + sorted(shifts[3:])
    assert matched < 0.75 * min(shifts)


class Road:
    """Frames of a real drive, cut to the lane ahead."""

    def __init__(self, sequence):
        self.samples = list(KittiOdometry(sequence, frames=range(5)))
        self.matrix = self.samples[0].camera_matrix
        height, width = self.samples[0].image.shape
        below_px = np.broadcast_to(np.arange(height)[:, None] - self.matrix[1, 2], (height, width))
        unit_depth = self.matrix[1, 1] / np.maximum(below_px, 1.0)
        depth_m = CAMERA_HEIGHT_M * unit_depth
        # 1.7 m to both sides, from 6 to 25 m.
        ahead = np.abs(np.arange(width) - self.matrix[0, 2]) < self.matrix[0, 0] * 1.7 / depth_m
        lane = ahead & (below_px > 0.0) & (depth_m > 6.0) & (depth_m < 25.0)
        rows, columns = np.nonzero(lane)
        top, left = rows.min() - 2, columns.min() - 2
        self.cut = (slice(top, rows.max() + 3), slice(left, columns.max() + 3))
        self.cut_matrix = self.matrix - np.array([[0, 0, left], [0, 0, top], [0, 0, 0]])
        self.lane = torch.from_numpy(lane[self.cut])[None, None]
        self.unit_depth = unit_depth[self.cut]

    def images(self, sample):
        return [
            tensor_from_image(image[self.cut])
            for image in (sample.image, sample.previous, sample.next)
        ]

    def loss(self, depth_m, *, backwards=False):
        depth_m = torch.as_tensor(depth_m, dtype=torch.float32).expand(1, 1, *self.lane.shape[-2:])
        losses = []
        for sample in self.samples:
            views = []
            for name in ('previous', 'next'):
                pose = tensor_from_matrix(getattr(sample, f'{name}_from_camera'))
                pose = inverse_pose(pose) if backwards else pose
                source = tensor_from_image(getattr(sample, name))
                matrices = tensor_from_matrix(self.cut_matrix), tensor_from_matrix(self.matrix)
                view = warp(source, depth_m, pose, matrices[0], source_matrix=matrices[1])
                views.append(view.image)
            losses.append(loss_over(self.lane, self.images(sample)[0], views))
        return float(np.mean(losses))

    def standing_loss(self):
        """With the neighboring frames as they are."""
        losses = []
        for sample in self.samples:
            image, *sources = self.images(sample)
            losses.append(photometric_loss(identity_error(image, sources), self.lane).item())
        return float(np.mean(losses))


def test_road_of_a_real_drive_beats_constants_other_heights_and_wrong_motion(real_data):
    sequence = real_data / 'kitti_odom_mono' / 'seq1'
    if not sequence.is_dir():
        pytest.skip(f'the frames of the real drive are not at {sequence}')
    road = Road(sequence)
    true = road.loss(CAMERA_HEIGHT_M * road.unit_depth)
    constants = [road.loss(float(depth_m)) for depth_m in (6, 8, 10, 12, 15, 20, 50)]
    heights = [road.loss(height_m * road.unit_depth) for height_m in (1.0, 1.3, 2.0)]
    backwards = road.loss(CAMERA_HEIGHT_M * road.unit_depth, backwards=True)
    standing = road.standing_loss()
    print(
        f'road: {true:.3f} true, {min(constants):.3f} at the best constant depth, '
        f'{min(heights):.3f} at the best wrong height, {backwards:.3f} with wrong motion, '
        f'{standing:.3f} unmoved'
    )
    # Asphalt has little texture, and the poses are off by half a pixel: margins are small.
    assert true < 0.98 * min(constants)
    assert true < 0.95 * min(heights)
    assert true < 0.85 * backwards
    assert true < 0.85 * standing
