# SPDX-License-Identifier: Apache-2.0
"""Minimum over sources, auto-mask and views that end: values by NumPy, and who learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from depth_maps import gradients, mean_over_images
from hypothesis import given
from hypothesis import strategies as st
from photometric_oracle import photometric_by_windows, pictures

from kd_perception.errors import ShapeError
from training.losses import (
    identity_error,
    minimum_reprojection,
    photometric_error,
    photometric_loss,
)

SHAPE = (2, 3, 5, 6)


def views(count, seed=0, shape=SHAPE):
    return [pictures(*shape, seed=seed + number) for number in range(count)]


def masks(count, share, seed=0):
    rng = np.random.default_rng(seed)
    shape = (SHAPE[0], 1, *SHAPE[2:])
    return [torch.from_numpy(rng.random(shape) < share) for _ in range(count)]


def test_loss_with_auto_mask_is_the_published_one():
    """All errors stacked, noise on those of the unmoved sources, minimum, mean."""
    image, *sources = views(3)
    warped = views(2, seed=10)
    noise = torch.randn(2, 2, 5, 6, generator=torch.Generator().manual_seed(3)).numpy()
    identity = np.concatenate([photometric_by_windows(image, view) for view in sources], axis=1)
    moved = np.concatenate([photometric_by_windows(image, view) for view in warped], axis=1)
    combined = np.concatenate([identity + 1e-5 * noise, moved], axis=1)
    unmoved = identity_error(image, sources, generator=torch.Generator().manual_seed(3))
    found = minimum_reprojection(image, warped, unmoved=unmoved)
    np.testing.assert_allclose(
        found.error.numpy(), combined.min(axis=1, keepdims=True), rtol=0.0, atol=1e-9
    )
    np.testing.assert_array_equal(
        found.moving.numpy(), combined.argmin(axis=1)[:, None] > identity.shape[1] - 1
    )
    assert found.covered.all()
    np.testing.assert_allclose(found.warped.numpy()[:, 0], moved.min(axis=1), atol=1e-9)
    assert found.unmoved is unmoved
    assert 0.1 < found.moving.double().mean() < 0.9
    loss = photometric_loss(found.error, found.covered)
    assert loss.item() == pytest.approx(combined.min(axis=1).mean(), abs=1e-9)


def test_noise_of_one_generator_is_small_and_the_same_every_time():
    image, *sources = views(3)
    plain = identity_error(image, sources)
    noisy, again = (
        identity_error(image, sources, generator=torch.Generator().manual_seed(7))
        for _ in range(2)
    )
    assert torch.equal(noisy, again)
    assert 0.0 < (noisy - plain).abs().max() < 6e-5
    expected = np.minimum(*(photometric_by_windows(image, source) for source in sources))
    np.testing.assert_allclose(plain.numpy(), expected, rtol=0.0, atol=1e-9)


@given(st.integers(1, 3), st.sampled_from([0.0, 0.3, 0.8, 1.0]), st.booleans(), st.integers(0, 99))
def test_sources_count_where_they_see(count, share, auto_mask, seed):
    image, *warped = views(count + 1, seed=seed)
    seen = masks(count, share, seed)
    unmoved = identity_error(image, [pictures(*SHAPE, seed=999)]) if auto_mask else None
    found = minimum_reprojection(image, warped, unmoved=unmoved, seen=seen)
    errors = np.concatenate([photometric_error(image, view).numpy() for view in warped], axis=1)
    shows = np.concatenate([mask.numpy() for mask in seen], axis=1)
    least = np.where(shows, errors, np.inf).min(axis=1, keepdims=True)
    covered = shows.any(axis=1, keepdims=True)
    expected = np.minimum(least, unmoved.numpy()) if auto_mask else least
    np.testing.assert_array_equal(found.covered.numpy(), covered)
    np.testing.assert_allclose(found.error.numpy(), np.where(covered, expected, 0.0), atol=1e-12)
    beats = covered & (least < unmoved.numpy()) if auto_mask else covered
    np.testing.assert_array_equal(found.moving.numpy(), beats)
    loss = photometric_loss(found.error, found.covered)
    assert loss.item() == pytest.approx(mean_over_images(expected, covered), abs=1e-12)


def test_standing_still_is_masked():
    image, other = views(2)
    found = minimum_reprojection(image, [other], unmoved=identity_error(image, [image]))
    assert not found.moving.any()
    assert (found.error == 0.0).all()
    tie = minimum_reprojection(image, [other], unmoved=identity_error(image, [other]))
    assert not tie.moving.any()


def test_only_the_best_source_learns_and_only_where_it_moves():
    image, left, right = views(3)
    source = pictures(*SHAPE, seed=40)
    unmoved = identity_error(image, [source]).requires_grad_()

    def loss(a, b, still):
        found = minimum_reprojection(image, [a, b], unmoved=still)
        return found.error.sum()

    *learnt, constant = gradients(loss, left, right, unmoved)
    assert constant is None
    errors = [photometric_error(image, view) for view in (left, right)]
    moving = minimum_reprojection(image, [left, right], unmoved=unmoved.detach()).moving
    for gradient, own, other in zip(learnt, errors, errors[::-1], strict=True):
        best = (moving & (own < other)).double()
        (alone,) = gradients(
            lambda x, best=best: (photometric_error(image, x) * best).sum(),
            left if own is errors[0] else right,
        )
        torch.testing.assert_close(gradient, alone, rtol=1e-9, atol=1e-12)
        assert gradient.abs().sum() > 0.0


def test_nothing_seen_is_no_nan_and_teaches_nothing():
    image, warped = views(2)
    nothing = masks(1, 0.0)
    found = minimum_reprojection(image, [warped], seen=nothing)
    assert not found.covered.any() and not found.moving.any()
    assert photometric_loss(found.error, found.covered).item() == 0.0

    def loss(x):
        found = minimum_reprojection(image, [x], seen=nothing)
        return photometric_loss(found.error, found.covered)

    assert (gradients(loss, warped)[0] == 0.0).all()


def test_batch_is_the_mean_of_its_images():
    image, *sources = views(3)
    warped, seen = views(2, seed=20), masks(2, 0.5)

    def loss(part):
        unmoved = identity_error(image[part], [source[part] for source in sources])
        found = minimum_reprojection(
            image[part], [view[part] for view in warped], unmoved=unmoved,
            seen=[mask[part] for mask in seen],
        )  # fmt: skip
        return photometric_loss(found.error, found.covered).item()

    whole = loss(slice(None))
    assert whole == pytest.approx((loss(slice(0, 1)) + loss(slice(1, 2))) / 2, rel=1e-12)


def test_wrong_views_and_masks_are_named():
    image, warped = views(2)
    seen = masks(1, 0.5)
    with pytest.raises(ShapeError, match='sources must be at least one'):
        identity_error(image, [])
    with pytest.raises(ShapeError, match='warped must be at least one'):
        minimum_reprojection(image, [])
    with pytest.raises(ShapeError, match='warped must be of shape'):
        minimum_reprojection(image, [warped[..., 1:]])
    with pytest.raises(ShapeError, match='one mask per warped source, 1, received 2'):
        minimum_reprojection(image, [warped], seen=seen * 2)
    with pytest.raises(ShapeError, match='seen must be of shape'):
        minimum_reprojection(image, [warped], seen=[seen[0][:, 0]])
    with pytest.raises(ShapeError, match='seen must be bool'):
        minimum_reprojection(image, [warped], seen=[seen[0].double()])
    with pytest.raises(ShapeError, match=r'unmoved must be of shape \[2, 1, 5, 6\]'):
        minimum_reprojection(image, [warped], unmoved=image)
    with pytest.raises(ShapeError, match='error must be of shape'):
        photometric_loss(image, seen[0])
    with pytest.raises(ShapeError, match='valid must be bool'):
        photometric_loss(image[:, :1], image[:, :1])
