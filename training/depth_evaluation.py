# SPDX-License-Identifier: Apache-2.0
"""Depth and uncertainty of a network on frames: errors by region, sparsification, sigma."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.metrics import (
    DepthErrors,
    DepthMetrics,
    DepthProtocol,
    DepthSparsification,
    depth_from_inverse,
    resized,
)

Array = npt.NDArray[Any]

FAR_SKY_M = 40.0
"""What a network says about the sky should lie beyond this."""

_SIGMA_REGIONS = ('inside', 'outside')


class Prediction(NamedTuple):
    """What a network says about an image, float32 [height, width] of its own size.

    Attributes:
        inverse_depth: 1/m, or in units of the network where it knows no scale.
        sigma: uncertainty, of any unit; only its order counts but for the means.
        range_m: smallest and largest depth that the robot is told as a finite one.
    """

    inverse_depth: Array
    sigma: Array
    range_m: tuple[float, float] = (0.0, float('inf'))


class Scored(Protocol):
    """A frame with its ground truth."""

    @property
    def rgb(self) -> Array:
        """Color image, uint8 [height, width, 3]."""

    @property
    def target_m(self) -> Array:
        """Depth, float32 [height, width], 0 where it is not known."""

    @property
    def regions(self) -> Mapping[str, Array]:
        """Parts of the frame by name, bool [height, width]."""


Predict = Callable[[Any], Prediction]
"""What a network says about a frame, from its image and what is known of its camera."""


class SigmaErrors:
    """Depth, truth and standard deviation of some pixels, to judge the size of sigma.

    Pixels whose depth the robot is told as an infinite one have no sigma there and do not count.

    Args:
        protocol: which pixels count.
        stride: every how many-th of them is kept, by rows and columns.
    """

    def __init__(self, protocol: DepthProtocol, stride: int = 3) -> None:
        self._protocol, self._stride = protocol, stride
        self._parts: list[Array] = []
        self._valid = 0

    def update(
        self, depth_m: Array, target_m: Array, sigma_m: Array, range_m: tuple[float, float]
    ) -> None:
        """Add a frame, all [height, width], and the range of the depths that are told."""
        maps = np.stack([depth_m, target_m, sigma_m])[:, :: self._stride, :: self._stride]
        valid = self._protocol.valid(target_m)[:: self._stride, :: self._stride]
        self._valid += int(valid.sum())
        self._parts.append(maps[:, valid & (maps[0] >= range_m[0]) & (maps[0] <= range_m[1])])

    def pixels(self) -> Array:
        """Depth, truth and standard deviation [m], [3, pixels]."""
        return np.concatenate(self._parts, axis=1) if self._parts else np.zeros((3, 0))

    @property
    def told_share(self) -> float:
        """Of the pixels with a truth, those whose depth is told as a finite one; 0 without any."""
        return sum(part.shape[1] for part in self._parts) / max(self._valid, 1)


def score_depth(
    predict: Predict,
    frames: Iterable[Scored],
    protocol: DepthProtocol,
    *,
    with_sigma: bool = True,
    sigma_errors: SigmaErrors | None = None,
) -> dict[str, Any]:
    """Scores of a network; means over images, as all metrics of depth are.

    Args:
        predict: of a frame with an image of any size.
        frames: with ground truth; all with the same regions.
        protocol: which pixels count; sky has no depth and never does.
        with_sigma: whether the network has learnt an uncertainty.
        sigma_errors: is given all frames; for networks whose sigma is a standard deviation in
            meters.

    Returns:
        `all` and one entry per region with some pixel of known depth: `DepthMetrics`;
        `all_median_scaled`: after median scaling; `scale_ratio`: the median of true depth over
        predicted depth; `sparsification`: `ause` and `aurg` by error; `sigma` by region;
        `sky_far_share`: of the pixels of the sky that are predicted beyond 40 m.
    """
    errors: dict[str, DepthErrors] = {'all': DepthErrors(protocol)}
    scaled = DepthErrors(replace(protocol, median_scaling=True))
    sparsification = DepthSparsification(protocol)
    means: dict[str, list[float]] = {}
    for frame in frames:
        found = predict(frame)
        size = frame.target_m.shape
        depth_m = depth_from_inverse(found.inverse_depth, size)
        sigma = resized(found.sigma, size)
        errors['all'].update(depth_m, frame.target_m)
        scaled.update(depth_m, frame.target_m)
        if with_sigma:
            sparsification.update(depth_m, frame.target_m, sigma)
        if sigma_errors is not None:
            sigma_errors.update(depth_m, frame.target_m, sigma, found.range_m)
        _add_mean(means, 'scale_ratio', _ratio(depth_m, frame.target_m, protocol))
        for name, region in frame.regions.items():
            inside_m = np.where(region, frame.target_m, np.float32(0.0))
            errors.setdefault(name, DepthErrors(protocol)).update(depth_m, inside_m)
            if with_sigma and name in _SIGMA_REGIONS and region.any():
                _add_mean(means, f'sigma_{name}', float(sigma[region].mean()))
            if name == 'sky' and region.any():
                _add_mean(means, 'sky_far_share', float((depth_m[region] > FAR_SKY_M).mean()))
    computed = {name: metric.compute() for name, metric in errors.items()}
    computed['all_median_scaled'] = scaled.compute()
    report: dict[str, Any] = {k: _plain(v) for k, v in computed.items() if v is not None}
    report |= {name: round(float(np.mean(values)), 5) for name, values in means.items()}
    if with_sigma:
        report['sparsification'] = _areas(sparsification)
    return report


def network_size_image(rgb: Array, image_size: tuple[int, int]) -> Array:
    """A color image at the size of a network, float32 [1, 3, height, width], 0 to 1.

    Args:
        rgb: uint8 [height, width, 3].
        image_size: (height, width) of the network.
    """
    if rgb.shape[:2] != tuple(image_size):
        rgb = cv2.resize(rgb, image_size[::-1], interpolation=cv2.INTER_AREA)
    unit: Array = np.ascontiguousarray(rgb.transpose(2, 0, 1))[None].astype(np.float32)
    return unit / np.float32(255.0)


def _plain(metrics: DepthMetrics) -> dict[str, float]:
    return {name: round(float(value), 5) for name, value in metrics._asdict().items()}


def _areas(sparsification: DepthSparsification) -> dict[str, dict[str, float]]:
    found = sparsification.compute()
    if found is None:
        return {}
    return {
        name: {'ause': round(curves.ause, 5), 'aurg': round(curves.aurg, 5)}
        for name, curves in found._asdict().items()
    }


def _ratio(depth_m: Array, target_m: Array, protocol: DepthProtocol) -> float | None:
    valid = protocol.valid(target_m)
    return float(np.median(target_m[valid] / depth_m[valid])) if valid.any() else None


def _add_mean(means: dict[str, list[float]], name: str, value: float | None) -> None:
    if value is not None:
        means.setdefault(name, []).append(value)
