# SPDX-License-Identifier: Apache-2.0
"""One view for everything: pixels, labels, depths and the camera matrix move together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError, ShapeError
from training.data.augmentation.joint import (
    JointConfig,
    View,
    augment_sample,
    draw_view,
    view_matrix,
    view_sample,
)
from training.data.augmentation.sample import Sample
from training.disparity import disparity_from_depth
from training.geometry import warp
from training.poses import stereo_pose

SIZE = (96, 128)
MATRIX = np.array([[90.0, 0.0, 63.0], [0.0, 95.0, 48.5], [0.0, 0.0, 1.0]])
CONFIG = JointConfig(height=64, width=96, stretch=0.2, angle_deg=10.0)
SEEDS = st.integers(0, 10_000)


def sample_of(seed=0, size=SIZE):
    """Blocks of classes; the color image holds the coordinates of its own pixels."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 9, (size[0] // 8, size[1] // 8)).astype(np.uint8)
    label = np.kron(blocks, np.ones((8, 8), np.uint8))
    depth_m = (2.0 + 5.0 * label).astype(np.float32)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    returns = rng.uniform(size=size) < 0.04
    return Sample(
        rgb=np.stack([x, y, np.zeros_like(x)], -1),
        thermal=rng.integers(7000, 9000, size).astype(np.uint16),
        label=label,
        edge=(np.abs(np.diff(label.astype(int), axis=1, append=0)) > 0).astype(np.uint8),
        instance=(label.astype(np.int32) + 1) * 70_000,
        depth_m=depth_m,
        lidar_m=np.where(returns, depth_m + rng.uniform(0, 1, size), 0).astype(np.float32),
        sky=label == 0,
        camera_matrix=MATRIX,
    )


@given(seed=SEEDS)
def test_view_is_a_pure_function_of_its_stream(seed):
    sample = sample_of()
    before = {name: array.copy() for name, array in sample.images().items()}
    one, two = (augment_sample(sample, np.random.default_rng(seed), CONFIG) for _ in 'ab')
    for name, array in sample.images().items():
        np.testing.assert_array_equal(array, before[name])
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert getattr(one, name).dtype == array.dtype
        assert getattr(one, name).shape[:2] == (64, 96)


@given(seed=SEEDS)
def test_values_that_mean_something_are_never_invented(seed):
    sample = sample_of(seed)
    view = augment_sample(sample, np.random.default_rng(seed), CONFIG)
    fills = {'label': 255, 'edge': 255, 'instance': 0, 'depth_m': 0, 'lidar_m': 0, 'sky': False}
    for name, fill in fills.items():
        assert set(np.unique(getattr(view, name))) <= {*np.unique(getattr(sample, name)), fill}
    known = view.label != 255
    np.testing.assert_array_equal(
        view.instance[known], (view.label[known].astype(int) + 1) * 70_000
    )
    np.testing.assert_array_equal(view.depth_m[known], 2.0 + 5.0 * view.label[known])
    assert not view.depth_m[~known].any()


@given(seed=SEEDS, order=st.permutations(range(9)))
def test_renaming_classes_commutes_with_the_view(seed, order):
    sample = sample_of(seed)
    names = np.full(256, 255, np.uint8)
    names[:9] = order
    config = JointConfig(height=64, width=96, focus_share=0.0)
    renamed = Sample(label=names[sample.label])
    views = [augment_sample(s, np.random.default_rng(seed), config) for s in (sample, renamed)]
    np.testing.assert_array_equal(names[views[0].label], views[1].label)


def test_plain_flip_reverses_the_columns_of_everything_exactly():
    sample = sample_of()
    flip = View(np.diag([-1.0, 1.0]), [SIZE[1] / 2, SIZE[0] / 2], 1.0)
    mirrored = view_sample(sample, flip, SIZE)
    for name, array in sample.images().items():
        np.testing.assert_array_equal(getattr(mirrored, name), array[:, ::-1], err_msg=name)
    back = view_sample(mirrored, flip, SIZE)
    np.testing.assert_array_equal(back.label, sample.label)
    np.testing.assert_allclose(back.camera_matrix, MATRIX, atol=1e-12)


@given(seed=SEEDS)
def test_point_is_projected_to_where_its_pixel_went(seed):
    sample = sample_of(seed)
    config = JointConfig(height=64, width=96, scale_low=0.9, stretch=0.2, angle_deg=10.0)
    view = augment_sample(sample, np.random.default_rng(seed), config)
    # Inside of the frame the color image tells where a pixel came from.
    inside = (view.label != 255) & (view.rgb[..., 0] > 3) & (view.rgb[..., 1] > 3)
    inside &= (view.rgb[..., 0] < SIZE[1] - 4) & (view.rgb[..., 1] < SIZE[0] - 4)
    rows, columns = np.nonzero(inside)
    source = np.stack([*view.rgb[rows, columns, :2].T, np.ones(len(rows))])
    points = np.linalg.inv(MATRIX) @ source * view.depth_m[rows, columns]
    pixels = view.camera_matrix @ points
    np.testing.assert_allclose(pixels[0] / pixels[2], columns, atol=0.15)
    np.testing.assert_allclose(pixels[1] / pixels[2], rows, atol=0.15)
    assert len(rows) > 500


@given(seed=SEEDS)
def test_lidar_returns_keep_their_number_and_go_where_they_project(seed):
    sample = sample_of(seed)
    view = augment_sample(sample, np.random.default_rng(seed), CONFIG)
    rows, columns = np.nonzero(sample.lidar_m)
    depth_m = sample.lidar_m[rows, columns]
    points = np.linalg.inv(MATRIX) @ np.stack([columns, rows, np.ones(len(rows))]) * depth_m
    pixels = view.camera_matrix @ points
    x, y = np.rint(pixels[:2] / pixels[2]).astype(int)
    inside = (x >= 0) & (x < 96) & (y >= 0) & (y < 64)
    expected = np.full((64, 96), np.inf, np.float32)
    np.minimum.at(expected, (y[inside], x[inside]), depth_m[inside])
    expected[np.isinf(expected)] = 0.0
    # A return right between two pixels may round either way.
    assert (expected != view.lidar_m).sum() <= 2
    assert (view.lidar_m > 0).sum() <= inside.sum()


@pytest.mark.parametrize('flip', [1.0, -1.0])
def test_stereo_pair_stays_a_stereo_pair(flip):
    rng = np.random.default_rng(1)
    wall = np.kron(rng.uniform(0, 255, (12, 20)), np.ones((8, 8))).astype(np.float32)
    baseline_m, depth_m = 0.4, 90.0 * 0.4 / 6.0  # 6 px of disparity
    left, right = (np.stack([wall[:, s : s + 128]] * 3, -1) for s in (0, 6))
    sample = Sample(
        rgb=left, right=right, depth_m=np.full(SIZE, depth_m, np.float32), camera_matrix=MATRIX
    )
    linear = 1.25 * np.array([[flip * 1.1, -0.1], [flip * 0.1, 1.0]])
    view = view_sample(sample, View(linear, [70.0, 50.0], 1.25), (64, 96))
    image, source = (
        torch.from_numpy(a).permute(2, 0, 1)[None] for a in (view.rgb, view.right)
    )  # fmt: skip
    baseline = torch.tensor([baseline_m])
    depth = torch.from_numpy(view.depth_m)[None, None]
    matrix = torch.from_numpy(view.camera_matrix)[None].float()
    warped, valid = warp(source, depth, stereo_pose(baseline), matrix)
    inner = valid.expand_as(image) & (depth > 0)
    error = (warped - image)[inner].abs().mean()
    assert inner.float().mean() > 0.5
    assert error < 0.15 * (source - image)[inner].abs().mean()
    disparity_px = disparity_from_depth(depth, matrix[:, 0, 0], baseline)
    assert torch.sign(disparity_px[depth > 0]).unique().item() == flip


def test_thin_edges_survive_shrinking():
    edge = np.zeros(SIZE, np.uint8)
    edge[:, 41], edge[30] = 1, 1
    for scale in (0.34, 0.5, 0.7):
        view = View(np.eye(2) * scale, [64.0, 48.0], scale)
        size = (32, 32)
        shrunk = view_sample(Sample(edge=edge), view, size).edge
        inside = shrunk != 255
        lines = (shrunk == 1) & inside
        assert lines.any(axis=1)[inside.any(axis=1)].all()
        assert lines.any(axis=0)[inside.any(axis=0)].all()
        assert lines.sum() < 0.4 * inside.sum()


def test_view_sizes_zoom_and_turn_as_told():
    config = JointConfig(64, 96, 2.0, 2.0, 0.0, stretch=0.0, angle_deg=0.0, flip_share=0.0)
    view = draw_view(np.random.default_rng(0), config, SIZE)
    np.testing.assert_array_equal(view.linear, np.diag([2.0, 2.0]))
    matrix = view_matrix(view, (64, 96))
    corners = np.linalg.inv(matrix) @ np.array([[-0.5, -0.5, 1.0], [95.5, 63.5, 1.0]]).T
    assert (corners[:2, 0] >= -0.5).all()
    assert (corners[:2, 1] <= np.array([127.5, 95.5])).all()
    flips = JointConfig(64, 96, flip_share=1.0, angle_deg=0.0)
    assert draw_view(np.random.default_rng(0), flips, SIZE).linear[0, 0] < 0.0


def test_view_is_unknown_outside_of_the_frame():
    config = JointConfig(height=128, width=160, scale_low=0.5, scale_high=0.5)
    view = augment_sample(sample_of(), np.random.default_rng(1), config)
    assert 0.7 < (view.label == 255).mean() < 0.9


def test_focus_brings_things_into_view():
    label = np.zeros((480, 640), np.uint8)
    label[50:90, 40:52], label[60:85, 90:130] = 2, 1
    shares = []
    for focus_share in (0.0, 1.0):
        config = JointConfig(height=64, width=96, scale_low=1.0, focus_share=focus_share)
        labels = [
            augment_sample(Sample(label=label), np.random.default_rng(seed), config).label
            for seed in range(40)
        ]
        shares.append(np.mean([np.isin(view, (1, 2)).any() for view in labels]))
    assert shares[1] > 0.95
    assert shares[0] < 0.6


def test_focus_ignores_what_is_not_known():
    label = np.full((480, 640), 255, np.uint8)
    label[400:, 600:] = 3
    config = JointConfig(64, 96, 1.0, 1.0, focus_share=1.0)
    for seed in range(20):
        view = augment_sample(Sample(label=label), np.random.default_rng(seed), config)
        assert (view.label == 3).any()


def test_bad_samples_and_configurations_are_refused():
    with pytest.raises(ShapeError, match='one size'):
        Sample(rgb=np.zeros((4, 5, 3)), label=np.zeros((5, 4)))
    with pytest.raises(ShapeError):
        Sample(camera_matrix=np.eye(3))
    for values in ({'height': 100}, {'width': 0}, {'scale_low': 0.0}, {'scale_high': 0.1}):
        with pytest.raises(ConfigError):
            JointConfig(**values)
