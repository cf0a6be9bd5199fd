# SPDX-License-Identifier: Apache-2.0
"""One view for everything that is known of a frame: zoom, stretch, rotate, flip and crop.

The intrinsic matrix follows the pixels: a view that takes pixel p to A p takes matrix K to A K.
Depths, poses and baselines stay as they are, so warps between the views of a sample stay true. A
flip makes the first focal length negative. That is what keeps stereo true: the mirrored right
image is still looked up with the same `right_from_left`, and disparity comes out negative. Who
needs a positive focal length must swap left and right, or negate the baseline, after a flip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.uncertainty import IGNORE_INDEX
from training.data.augmentation.sample import Sample

Array = npt.NDArray[Any]
Rng = np.random.Generator

_SMOOTH: Final = ('rgb', 'thermal', 'saliency', 'right', 'previous', 'next')
_NEAREST: Final = {
    'label': IGNORE_INDEX,
    'edge': IGNORE_INDEX,
    'instance': 0,
    'depth_m': 0,
    'sky': 0,
    'glass': 0,
}
"""Fields whose values must not be mixed, and what they are outside of the frame."""


@dataclass(frozen=True)
class JointConfig:
    """How far a view may be from the frame.

    Args:
        height: rows of a view, a multiple of 32.
        width: columns of a view, a multiple of 32.
        scale_low: smallest zoom of the frame.
        scale_high: largest zoom.
        focus_share: how often a view is laid around a thing of a class drawn with equal odds.
        stretch: deviation of the logarithm of width over height.
        angle_deg: deviation of the rotation about the view's center.
        flip_share: how often left and right are swapped.
    """

    height: int = 256
    width: int = 320
    scale_low: float = 0.5
    scale_high: float = 1.8
    focus_share: float = 0.5
    stretch: float = 0.06
    angle_deg: float = 2.5
    flip_share: float = 0.5

    def __post_init__(self) -> None:
        if self.height % 32 or self.width % 32 or min(self.height, self.width) < 32:
            raise ConfigError(
                f'crops must be multiples of 32, got {self.height}x{self.width} pixels'
            )
        if not 0.0 < self.scale_low <= self.scale_high:
            raise ConfigError(
                'scales must be 0 < scale_low <= scale_high, got '
                f'{self.scale_low} and {self.scale_high}'
            )


class View(NamedTuple):
    """Where a view looks: `linear` [2, 2] about `center` (x, y), zooming by `scale`.

    The center counts from the frame's top left corner, half a pixel before its first center.
    """

    linear: Array
    center: list[float]
    scale: float


def augment_sample(sample: Sample, rng: Rng, config: JointConfig) -> Sample:
    """A random view of a sample."""
    view = draw_view(rng, config, sample.image_size, sample.label)
    return view_sample(sample, view, (config.height, config.width))


def draw_view(
    rng: Rng, config: JointConfig, image_size: tuple[int, int], label: Array | None = None
) -> View:
    """Draw a view of a frame, around a thing of its label for some share of the draws."""
    scale = float(np.exp(rng.uniform(np.log(config.scale_low), np.log(config.scale_high))))
    stretch = np.exp(rng.normal(0.0, config.stretch))
    angle = np.deg2rad(rng.normal(0.0, config.angle_deg))
    flip = -1.0 if rng.uniform() < config.flip_share else 1.0
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[flip * stretch * cosine, -sine], [flip * stretch * sine, cosine]])
    focused = rng.uniform() < config.focus_share
    focus = _focus(label, rng) if focused and label is not None else None
    extent = (config.width / scale, config.height / scale)
    return View(linear, _crop_center(rng, extent, image_size, focus), scale)


def view_matrix(view: View, size: tuple[int, int]) -> Array:
    """Pixels of the frame to pixels of a view of (height, width), float64 [3, 3]."""
    middle = (np.array(size[::-1]) - 1.0) / 2.0
    shift = middle - view.linear @ (np.array(view.center) - 0.5)
    return np.vstack([np.column_stack([view.linear, shift]), [0.0, 0.0, 1.0]])


def view_sample(sample: Sample, view: View, size: tuple[int, int]) -> Sample:
    """The sample as seen through a view of (height, width).

    Images are mixed bilinearly and mirrored beyond the frame. Labels, depths and instances are
    taken from the nearest pixel and unknown beyond it. Lidar returns keep their number: each moves
    to the nearest pixel, the closest one wins where several meet. Edges are widened before they
    are shrunk so that they do not break.
    """
    matrix = view_matrix(view, size)
    changed = {
        name: _warp_field(name, array, matrix, size, view.scale)
        for name, array in sample.images().items()
    }
    if sample.camera_matrix is not None:
        changed['camera_matrix'] = matrix @ sample.camera_matrix
    return replace(sample, **changed)


def _warp_field(
    name: str, array: Array, matrix: Array, size: tuple[int, int], scale: float
) -> Array:
    if name in _SMOOTH:
        return warp_image(array, matrix, size, scale)
    if name == 'lidar_m':
        return _move_points(array, matrix, size)
    if name == 'edge' and scale < 1.0:
        side = int(np.ceil(1.0 / scale))
        array = cv2.dilate(array, np.ones((side, side), np.uint8))
    return _nearest(array, matrix, size, _NEAREST[name])


def warp_image(image: Array, matrix: Array, size: tuple[int, int], scale: float) -> Array:
    """Bilinear look-up, after a blur where the image shrinks; mirrored beyond the frame."""
    if scale < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    warped: Array = cv2.warpAffine(
        image, matrix[:2], size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return warped


def _nearest(array: Array, matrix: Array, size: tuple[int, int], fill: int) -> Array:
    """The nearest pixel, `fill` beyond the frame.

    Not by OpenCV, which rounds ties by the type of the array: labels and instances would differ.
    """
    y, x = np.ogrid[: size[0], : size[1]]
    columns, rows = (
        np.rint(row[0] * x + (row[1] * y + row[2])).astype(np.int32)
        for row in np.linalg.inv(matrix)[:2]
    )
    height, width = array.shape
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    found = array[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return np.where(inside, found, np.asarray(fill, array.dtype))


def _move_points(depth_m: Array, matrix: Array, size: tuple[int, int]) -> Array:
    rows, columns = np.nonzero(depth_m)
    moved = np.rint(matrix[:2] @ np.stack([columns, rows, np.ones_like(rows)])).astype(int)
    inside = ((moved >= 0) & (moved < np.array(size[::-1])[:, None])).all(axis=0)
    x, y = moved[:, inside]
    found_m = depth_m[rows[inside], columns[inside]]
    # Far first: the closest of several is written last.
    order = np.argsort(-found_m, kind='stable')
    points = np.zeros(size, depth_m.dtype)
    points[y[order], x[order]] = found_m[order]
    return points


def _focus(label: Array, rng: Rng) -> tuple[float, float] | None:
    """A place (x, y) on a thing of some class, None where there is none."""
    coarse = label[::8, ::8]
    present = np.unique(coarse[(coarse > 0) & (coarse != IGNORE_INDEX)])
    if not present.size:
        return None
    rows, columns = np.nonzero(coarse == rng.choice(present))
    k = int(rng.integers(len(rows)))
    return 8.0 * columns[k], 8.0 * rows[k]


def _crop_center(
    rng: Rng,
    extent: tuple[float, float],
    shape: tuple[int, ...],
    focus: tuple[float, float] | None,
) -> list[float]:
    """Where to look (x, y): inside the frame, about the focus if there is one."""
    center = []
    for axis, (size, full) in enumerate(zip(extent, shape[::-1], strict=True)):
        low, high = sorted((size / 2, full - size / 2))
        drawn = rng.uniform(low, high)
        if focus is not None:
            drawn = min(max(focus[axis] + rng.uniform(-0.4, 0.4) * size, low), high)
        center.append(float(drawn))
    return center
