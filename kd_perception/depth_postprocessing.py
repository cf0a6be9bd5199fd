# SPDX-License-Identifier: Apache-2.0
"""The maps of a depth network to depth, standard deviation and confidence at camera size.

As for masks, one compiled loop per image row scales the maps up bilinearly, in their logarithms,
and finishes the row while it is in the cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kd_perception.bundle_depth import DepthSpec
from kd_perception.depth_reduction import reduce_depth
from kd_perception.errors import ShapeError
from kd_perception.frames import ByteImage, Float32Image
from kd_perception.postprocessing import sampling_grid
from kd_perception.preprocessing import Letterbox
from kd_perception.row_workers import ONE_THREAD, RowWorkers

_LEAST_SHARE = 1.0e-6  # of the depth, where both views of a pixel agree exactly


class DepthPrediction(NamedTuple):
    """What the student says about one frame.

    Attributes:
        depth: HxW float32; infinity is too far, minus infinity too near, NaN not reliable.
        sigma: HxW float32, standard deviation in the unit of the depth; NaN where that is not
            finite. None when not asked for.
        confidence: HxW uint8, 255 * probability of a relative error below 10 %; 0 where the depth
            is not finite. None when not asked for.
    """

    depth: Float32Image
    sigma: Float32Image | None
    confidence: ByteImage | None


@dataclass(frozen=True)
class DepthLimits:
    """What is a finite depth.

    Attributes:
        low: Nearer than that is minus infinity.
        high: Farther than that is infinity.
        max_relative: A standard deviation that is a larger share of the depth makes it NaN; 0 for
            no limit.
    """

    low: float
    high: float
    max_relative: float = 0.0

    def as_array(self) -> Float32Image:
        """Return what the compiled loop takes."""
        share = self.max_relative if self.max_relative > 0 else math.inf
        return np.array([self.low, self.high, share], np.float32)


def relative_log_maps(
    maps: Float32Image, spec: DepthSpec, mirrored: Float32Image | None = None
) -> Float32Image:
    """Make the second map the logarithm of the scale of the distribution as a share of the depth.

    Args:
        maps: (1, 2, h, w) of the network.
        spec: What the maps mean.
        mirrored: (1, 2, h, w) for the mirrored image; then the share is the difference of both
            depths, and the spec's own sigma is not used.

    Returns:
        (1, 2, h, w) float32: logarithms of depth and of the share, not calibrated.

    Reference:
        M. Poggi, F. Aleotti, F. Tosi, S. Mattoccia, "On the Uncertainty of Self-Supervised
        Monocular Depth Estimation", CVPR 2020 (Post, for the mirrored image).
    """
    log_depth, log_sigma = maps[0, 0], maps[0, 1]
    if mirrored is not None:
        other = mirrored[0, 0, :, ::-1]
        difference = np.abs(np.expm1(np.clip(other - log_depth, -50.0, 50.0)))
        share = np.log(np.maximum(difference, np.float32(_LEAST_SHARE)))
    elif spec.sigma_unit == 'meter':
        share = log_sigma - log_depth
    else:
        share = log_sigma
    return np.stack([log_depth, share])[None].astype(np.float32, copy=False)


def mutual_log_maps(
    first: Float32Image, second: Float32Image, *, log_ratio: float, least_share: float
) -> Float32Image:
    """Make the second map what two students disagree about the depth, in its logarithm.

    The share is half of |ln (second depth / first depth)|: the standard deviation of a Laplace
    distribution of that scale, sqrt(2) times as much, is then that of a sample of both logarithms.

    Args:
        first: (1, 2, h, w) of the student whose depth is told.
        second: (1, 2, h, w) of the other one.
        log_ratio: Logarithm of what the depth of the other is multiplied by to be of the same
            camera: of the ratio of both reference focal lengths, first over second.
        least_share: Smallest share; where two networks change places, both may be wrong.

    Returns:
        (1, 2, h, w) float32: logarithms of the first depth and of the share, not calibrated.
    """
    difference = np.abs(second[0, 0] + np.float32(log_ratio) - first[0, 0]) / np.float32(2.0)
    share = np.log(np.maximum(difference, np.float32(least_share)))
    return np.stack([first[0, 0], share])[None].astype(np.float32, copy=False)


def depth_from_log_maps(
    maps: Float32Image,
    box: Letterbox,
    *,
    scale: float,
    sigma_scale: float,
    confidence_scale: float,
    limits: DepthLimits,
    size: tuple[int, int],
    with_sigma: bool = True,
    with_confidence: bool = True,
    workers: RowWorkers = ONE_THREAD,
) -> DepthPrediction:
    """Scale the maps up, remove the padding, and turn them into depth.

    Args:
        maps: (1, 2, h, w) float32, finite: logarithms of depth, and of the scale of its Laplace
            distribution as a share of the depth.
        box: Where the camera image lies in the network input.
        scale: What exp of the first map is multiplied by, above 0.
        sigma_scale: What exp of the second map is multiplied by, above 0.
        confidence_scale: The same for the confidence.
        limits: What is a finite depth.
        size: (height, width) of the result: the camera's or the content's in the network.
        with_sigma: Whether the standard deviation is wanted.
        with_confidence: Whether the confidence is wanted.
        workers: Threads that share the rows; the result is the same with any number.

    Raises:
        ShapeError: Another number of dimensions or of maps.
    """
    if maps.ndim != 4 or maps.shape[:2] != (1, 2):
        raise ShapeError(f'depth maps must be (1, 2, h, w); received {maps.shape}')
    (rows, row_shares), columns = sampling_grid(maps, box, size)
    factors = np.log(np.array([scale, sigma_scale]))[:, None, None]
    scaled = np.ascontiguousarray(maps[0] + factors, np.float32)
    height, width = size
    depth = np.empty(size, np.float32)
    sigma = np.empty((height, width if with_sigma else 0), np.float32)
    confidence = np.empty((height, width if with_confidence else 0), np.uint8)
    bounds = np.append(limits.as_array(), np.float32(confidence_scale / sigma_scale))

    def reduce(part: slice) -> None:
        images = (image[part] for image in (depth, sigma, confidence))
        reduce_depth(scaled, bounds, rows[part], row_shares[part], *columns, *images)

    workers.run(height, reduce)
    return DepthPrediction(
        depth, sigma if with_sigma else None, confidence if with_confidence else None
    )
