# SPDX-License-Identifier: Apache-2.0
"""Of several source views the one that explains a pixel best, and pixels that stand still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kd_perception.errors import ShapeError
from training.losses.covered import check_maps, covered_mean
from training.losses.photometric import photometric_error
from training.tensor_checks import check_mask, check_shape

_TIE_NOISE = 1e-5


class Reprojection(NamedTuple):
    """How well depth and motion explain an image.

    Attributes:
        error: the least photometric error, 0 to 1 but for the noise that breaks ties, [batch, 1,
            height, width].
        covered: bool, where any source sees the point; elsewhere the error is 0.
        moving: bool, where a warped source beats all unmoved ones. Only these pixels teach depth
            and pose.
        warped: the least error of the warped sources before the auto-mask, infinite where not
            covered.
        unmoved: what the auto-mask compared it with; None without one.
    """

    error: Tensor
    covered: Tensor
    moving: Tensor
    warped: Tensor
    unmoved: Tensor | None


def identity_error(
    image: Tensor,
    sources: Sequence[Tensor],
    *,
    generator: torch.Generator | None = None,
    ssim_weight: float = 0.85,
) -> Tensor:
    """The least photometric error of the sources as they are, unmoved: for the auto-mask.

    It is the same for all scales of a network's output, so once per batch is enough.

    Args:
        image: of the target camera, floats of 0 to 1, [batch, channels, height, width].
        sources: at least one, each of the same shape.
        generator: of the noise of 1e-5 that breaks ties as in the authors' code: one draw of
            [batch, sources, height, width] standard normal numbers, on the generator's device.
            None: no noise; a tie then counts as standing still.
        ssim_weight: see `photometric_error`.

    Returns:
        [batch, 1, height, width], without gradient.

    Raises:
        ShapeError: shapes differ from that, or there is no source.
    """
    _check_some('sources', sources)
    with torch.no_grad():
        errors = _errors(image, sources, ssim_weight)
        if generator is not None:
            noise = torch.randn(errors.shape, generator=generator, device=generator.device)
            errors = errors + _TIE_NOISE * noise.to(errors)
        return errors.amin(dim=1, keepdim=True)


def minimum_reprojection(
    image: Tensor,
    warped: Sequence[Tensor],
    *,
    unmoved: Tensor | None = None,
    seen: Sequence[Tensor] | None = None,
    ssim_weight: float = 0.85,
) -> Reprojection:
    """Per pixel the least photometric error of all warped sources.

    What one source does not see, another may. With `unmoved`, the auto-mask: pixels that a source
    explains at least as well as it stands, since the camera or something along with it does not
    move, keep that error as a constant and teach nothing.

    Args:
        image: of the target camera, floats of 0 to 1, [batch, channels, height, width].
        warped: at least one source drawn into the target camera, each of the same shape.
        unmoved: what `identity_error` returns; None: no auto-mask.
        seen: per warped source a bool [batch, 1, height, width], where it shows the point
            (`Warped.valid`): elsewhere its error does not count. None: all count, with the border
            of the source repeated, as in Monodepth2.
        ssim_weight: see `photometric_error`; that of `unmoved`, too.

    Returns:
        Error and masks. Of several sources that are equally good one gets the gradient.

    Raises:
        ShapeError: shapes differ from that, or there is no source.

    Reference:
        C. Godard, O. Mac Aodha, M. Firman, G. Brostow, "Digging Into Self-Supervised Monocular
        Depth Estimation" (Monodepth2), ICCV 2019.
    """
    _check_some('warped', warped)
    errors = _errors(image, warped, ssim_weight)
    covered = torch.ones_like(errors[:, :1], dtype=torch.bool)
    if seen is not None:
        shows = _stack_masks(seen, errors)
        errors = errors.masked_fill(~shows, torch.inf)
        covered = shows.any(dim=1, keepdim=True)
    best = error = errors.min(dim=1, keepdim=True).values
    moving = covered
    if unmoved is not None:
        check_shape('unmoved', unmoved, tuple(error.shape))
        moving = covered & (error < unmoved)
        error = torch.where(moving, error, unmoved.detach().to(error))
    return Reprojection(torch.where(covered, error, 0.0), covered, moving, best, unmoved)


def photometric_loss(error: Tensor, covered: Tensor) -> Tensor:
    """Mean photometric error over the covered pixels of each image, then over images.

    Args:
        error: [batch, 1, height, width], of a `Reprojection`.
        covered: bool of the same shape, of the same.

    Returns:
        A scalar; an image without covered pixels counts 0.

    Raises:
        ShapeError: shapes differ from that, or the mask is not bool.
    """
    check_maps(covered, error=error)
    return covered_mean(error, covered)


def _errors(image: Tensor, views: Sequence[Tensor], ssim_weight: float) -> Tensor:
    """Photometric errors of all views, [batch, views, height, width]."""
    errors = [photometric_error(image, view, ssim_weight=ssim_weight) for view in views]
    return torch.cat(errors, dim=1)


def _check_some(name: str, views: Sequence[Tensor]) -> None:
    if not views:
        raise ShapeError(f'{name} must be at least one view, received none')


def _stack_masks(seen: Sequence[Tensor], errors: Tensor) -> Tensor:
    """Masks of all sources, bool [batch, sources, height, width]."""
    if len(seen) != errors.shape[1]:
        raise ShapeError(
            f'seen must be one mask per warped source, {errors.shape[1]}, received {len(seen)}'
        )
    for mask in seen:
        check_mask('seen', mask, tuple(errors[:, :1].shape))
    return torch.cat(list(seen), dim=1)
