# SPDX-License-Identifier: Apache-2.0
"""Reprojection of all scales: full size, what learns, and that true depth wins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from photometric_oracle import photometric_by_windows
from view_scenes import MATRIX, SIZE, plane, smooth_image

from kd_perception.errors import ConfigError, ShapeError
from training.disparity import depth_from_sigmoid, sigmoid_from_depth
from training.geometry import warp
from training.losses import (
    SourceView,
    at_full_size,
    identity_error,
    minimum_reprojection,
    multi_scale_reprojection,
    photometric_loss,
)
from training.poses import stereo_pose

DEPTH_M = 5.0
POSES = {side: stereo_pose(torch.tensor([side * 0.5])) for side in (-1.0, 1.0)}


def scene():
    """A plane 5 m away, seen by this camera and by one on each side."""
    image = torch.sigmoid(smooth_image())
    sources = [
        SourceView(warp(image, plane(DEPTH_M), POSES[-side], MATRIX).image, POSES[side])
        for side in (1.0, -1.0)
    ]
    return image, sources


def scales(depth_m=DEPTH_M, count=4):
    return [
        sigmoid_from_depth(plane(depth_m, (SIZE[0] >> scale, SIZE[1] >> scale)))
        for scale in range(count)
    ]


def losses(sigmoids, *args, **options):
    found = multi_scale_reprojection(sigmoids, *args, MATRIX, **options)
    return [photometric_loss(each.error, each.covered) for each in found]


def test_scales_are_brought_to_full_size_bilinearly():
    coarse = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    (full,) = at_full_size([coarse], (4, 4))
    # Centers of the fine pixels lie at -1/4, 1/4, 3/4 and 5/4 of the coarse ones.
    line = torch.tensor([0.0, 0.25, 0.75, 1.0])
    torch.testing.assert_close(full[0, 0], 2.0 * line[:, None] + line)
    (same,) = at_full_size([coarse], (2, 2))
    assert torch.equal(same, coarse)
    assert at_full_size([coarse.half()], (4, 4))[0].dtype == torch.float32


def test_true_depth_wins_at_every_scale():
    image, sources = scene()
    true = losses(scales(), image, sources)
    assert len(true) == 4
    for depth_m in (2.5, 4.0, 6.5, 20.0):
        for right, wrong in zip(true, losses(scales(depth_m), image, sources), strict=True):
            assert right < 0.8 * wrong


@pytest.mark.parametrize('auto_mask', [False, True])
@pytest.mark.parametrize('ignore_unseen', [False, True])
def test_every_scale_is_the_chain_of_its_parts(auto_mask, ignore_unseen):
    image, sources = scene()
    generator = torch.Generator().manual_seed(1)
    sigmoids = [level + 0.1 * torch.rand(level.shape, generator=generator) for level in scales()]
    found = multi_scale_reprojection(
        sigmoids, image, sources, MATRIX, auto_mask=auto_mask, ignore_unseen=ignore_unseen,
        min_depth_m=0.5, max_depth_m=50.0,
    )  # fmt: skip
    for sigmoid, each in zip(at_full_size(sigmoids, SIZE), found, strict=True):
        depth_m = depth_from_sigmoid(sigmoid, min_depth_m=0.5, max_depth_m=50.0)
        views = [warp(view.image, depth_m, view.source_from_target, MATRIX) for view in sources]
        expected = minimum_reprojection(
            image,
            [view.image for view in views],
            unmoved=identity_error(image, [view.image for view in sources]) if auto_mask else None,
            seen=[view.valid for view in views] if ignore_unseen else None,
        )
        for part, wanted in zip(each, expected, strict=True):
            assert part is wanted is None or torch.equal(part, wanted)
        # The windows again, for one scale without options: no part stands for the other.
        if not auto_mask and not ignore_unseen and sigmoid is sigmoids[0]:
            errors = [photometric_by_windows(image, view.image) for view in views]
            least = torch.minimum(*(torch.from_numpy(error) for error in errors)).float()
            torch.testing.assert_close(each.error, least, rtol=0.0, atol=1e-4)


def test_unseen_pixels_are_left_out_where_asked():
    image, sources = scene()
    nearest = [torch.ones(1, 1, *SIZE)]
    (all_count,) = multi_scale_reprojection(nearest, image, sources, MATRIX, auto_mask=False)
    assert all_count.covered.all()
    (some,) = multi_scale_reprojection(
        nearest, image, sources, MATRIX, auto_mask=False, ignore_unseen=True
    )
    # At 0.1 m both cameras see points 200 columns away, outside the other's 48.
    assert not some.covered.any()
    one_side = multi_scale_reprojection(
        scales(2.5, 1), image, sources[:1], MATRIX, auto_mask=False, ignore_unseen=True
    )[0]
    # 8 columns of disparity are unseen by one camera, none by both.
    assert one_side.covered[0, 0].float().mean().item() == pytest.approx(40 / 48, abs=0.02)
    both = multi_scale_reprojection(
        scales(2.5, 1), image, sources, MATRIX, auto_mask=False, ignore_unseen=True
    )[0]
    assert both.covered.all()


def test_source_of_another_camera_is_drawn_by_its_own_matrix():
    image, sources = scene()
    shifted = MATRIX.clone()
    shifted[:, 0, 2] += 3.0
    moved = torch.roll(sources[0].image, 3, dims=3)
    own = SourceView(moved, sources[0].source_from_target, shifted)
    ((right,), (wrong,)) = (
        losses(scales(count=1), image, [view], auto_mask=False, ignore_unseen=True)
        for view in (own, own._replace(matrix=None))
    )
    assert right < 0.2 * wrong


def test_every_scale_and_the_pose_learn():
    image, sources = scene()
    sigmoids = [level.requires_grad_() for level in scales(6.5)]
    pose = POSES[1.0].clone().requires_grad_()
    views = [sources[0]._replace(source_from_target=pose), sources[1]]
    torch.stack(losses(sigmoids, image, views)).mean().backward()
    for leaf in (*sigmoids, pose):
        assert torch.isfinite(leaf.grad).all()
        assert leaf.grad.abs().sum() > 0.0
    # A step along the gradient brings the depth of each scale, 6.5 m, towards 5 m.
    assert all(level.grad.mean() < 0.0 for level in sigmoids)


def test_noise_comes_from_the_generator():
    image, sources = scene()
    first, again, other = (
        multi_scale_reprojection(
            scales(90.0), image, sources, MATRIX, generator=torch.Generator().manual_seed(seed)
        )[0].error
        for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_wrong_arguments_are_named():
    image, sources = scene()
    with pytest.raises(ShapeError, match='at least one scale'):
        multi_scale_reprojection([], image, sources, MATRIX)
    with pytest.raises(ShapeError, match='map must be of shape'):
        multi_scale_reprojection([torch.ones(32, 48)], image, sources, MATRIX)
    with pytest.raises(ShapeError, match='image must be of shape'):
        multi_scale_reprojection(scales(), image[0], sources, MATRIX)
    for auto_mask in (False, True):
        with pytest.raises(ShapeError, match='at least one view'):
            multi_scale_reprojection(scales(), image, [], MATRIX, auto_mask=auto_mask)
    with pytest.raises(ConfigError, match='min < max'):
        multi_scale_reprojection(scales(), image, sources, MATRIX, min_depth_m=200.0)


@pytest.mark.parametrize('auto_mask', [False, True])
def test_the_weight_of_structure_is_that_of_every_error(auto_mask):
    image, sources = scene()
    (found,) = multi_scale_reprojection(
        scales(7.0, 1), image, sources, MATRIX, ssim_weight=0.3, auto_mask=auto_mask
    )
    warped = [
        warp(view.image, plane(7.0), view.source_from_target, MATRIX).image for view in sources
    ]
    errors = [photometric_by_windows(image, view, weight=0.3) for view in warped]
    unmoved = [photometric_by_windows(image, view.image, weight=0.3) for view in sources]
    expected = np.minimum(*errors)
    if auto_mask:
        expected = np.minimum(expected, np.minimum(*unmoved))
    np.testing.assert_allclose(found.error.numpy(), expected, atol=2e-4)
