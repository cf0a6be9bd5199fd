# SPDX-License-Identifier: Apache-2.0
"""Edges of color images: what a teacher with a color camera can know of outlines.

CEKD draws its edges from the labels, which the student's teacher is given anyway. The brightness
edges of the color image are knowledge that neither the labels nor heat contain.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from kd_perception.errors import ConfigError, ShapeError
from training.tensor_checks import check_shape

_SOBEL_SUM = 8.0
"""OpenCV's 3x3 Sobel answers a ramp of one level per pixel with 8."""


def image_edges(
    rgb: Tensor, *, low: float = 4.0, high: float = 10.0, blur_sigma_px: float = 1.4
) -> Tensor:
    """Canny edges, one pixel wide, of the color channel with the strongest gradient.

    Thresholds are absolute: in the dark a camera sees few edges, and so does this. Computed on the
    CPU, wherever the images are; bring the result to a quarter with `shrink_edges`.

    Args:
        rgb: [batch, 3, height, width], uint8 or floats of 0 to 1.
        low: edges go on while the gradient is at least this, in gray levels (of 255) per pixel.
        high: edges begin where the gradient is at least this, low <= high.
        blur_sigma_px: of the Gaussian before, > 0; 1.4 is a usual choice. A step of h levels then
            has a gradient of about 0.25 h: 40 levels begin an edge, 16 go on with it.

    Returns:
        uint8 [batch, height, width] on the device of the images, 1 on edges and 0 elsewhere.

    Raises:
        ShapeError: the images have another shape, type or range.
        ConfigError: thresholds or blur are out of range.

    Reference:
        J. Canny, "A Computational Approach to Edge Detection", TPAMI 1986.
    """
    check_shape('rgb', rgb, (None, 3, None, None))
    if not 0.0 < low <= high:
        raise ConfigError(f'thresholds must be 0 < low <= high, received {low} and {high}')
    if not blur_sigma_px > 0.0:
        raise ConfigError(f'blur_sigma_px must be above 0, received {blur_sigma_px}')
    levels = _levels(rgb).permute(0, 2, 3, 1).cpu().numpy()
    edges = np.empty(levels.shape[:3], np.uint8)
    for image, found in zip(levels, edges, strict=True):
        blurred = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), blur_sigma_px)
        found[:] = cv2.Canny(blurred, _SOBEL_SUM * low, _SOBEL_SUM * high, L2gradient=True) > 0
    return torch.from_numpy(edges).to(rgb.device)


def _levels(rgb: Tensor) -> Tensor:
    if rgb.dtype == torch.uint8:
        return rgb
    if not rgb.is_floating_point():
        raise ShapeError(f'rgb must be uint8, or floats of 0 to 1, received {rgb.dtype}')
    levels = torch.round(rgb.detach().float() * 255.0)
    if not bool(((levels >= 0.0) & (levels <= 255.0)).all()):
        raise ShapeError(
            f'rgb as floats must be within 0 to 1 without NaN, received {float(rgb.min())} to '
            f'{float(rgb.max())}: divide by 255, and take off no mean'
        )
    return levels.to(torch.uint8)
