# SPDX-License-Identifier: Apache-2.0
"""How well the outlines of a mask lie on the true ones: the boundary F score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.metrics.accumulator import Accumulator
from kd_perception.metrics.class_ids import (
    LEVELS,
    byte_ids,
    require_classes,
    require_known,
    require_one_shape,
)

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

# For 480x640. The classic bounds, as fractions, are in CITYSCAPES_BOUNDS.
DEFAULT_BOUNDS = (1.0, 2.0, 3.0, 5.0)
# 3, 5, 9 and 12 px at 1024x2048.
CITYSCAPES_BOUNDS = (0.00088, 0.001875, 0.00375, 0.005)


class BoundaryScore(NamedTuple):
    """Boundary F at one bound; shares between 0 and 1.

    Attributes:
        bound: Pixels, or a fraction of the image diagonal if below 1.
        f: Per class, mean over all images. An image without the class in mask and target scores 1,
            which flatters rare classes. NaN without images.
        f_present: Per class, mean over the images whose target contains it; NaN without any.
        mean: Mean of ``f`` over the classes: the figure of the papers.
        mean_present: Mean of ``f_present`` over the classes that occur.
    """

    bound: float
    f: tuple[float, ...]
    f_present: tuple[float, ...]
    mean: float
    mean_present: float


@dataclass(frozen=True)
class BoundaryMetrics:
    """Boundary F at all bounds.

    Attributes:
        scores: One per bound, in the order of the bounds.
        images: How many were scored.
    """

    scores: tuple[BoundaryScore, ...]
    images: int


class BoundaryF(Accumulator):
    """Boundary F score of masks: per class and image, then mean over images, then over classes.

    Args:
        num_classes: From 1 to 255.
        bounds: How far apart two outlines may lie and still match: at least 1 is whole pixels,
            below 1 is a fraction of the diagonal, rounded up to pixels.
        ignore_index: Target value of pixels that belong to no class in target and mask alike.

    Attributes:
        sums: float64 (bounds, classes, 4): images, sum of F, images whose target contains the
            class, sum of F over these.

    Raises:
        ShapeError: The number of classes is out of range, or a bound is.

    Reference:
        F. Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object
        Segmentation, CVPR 2016, for the measure. T. Takikawa, D. Acuna, V. Jampani, S. Fidler,
        Gated-SCNN, ICCV 2019, for its use per class and for the ignored pixels.
    """

    def __init__(
        self,
        num_classes: int,
        bounds: Sequence[float] = DEFAULT_BOUNDS,
        ignore_index: int = 255,
    ) -> None:
        require_classes(num_classes, ignore_index)
        self.bounds = tuple(_checked_bound(bound) for bound in bounds)
        if not self.bounds:
            raise ShapeError('bounds must be at least one; received none')
        super().__init__(np.zeros((len(self.bounds), num_classes, 4)))
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    @property
    def settings(self) -> tuple[object, ...]:
        """Number of classes, bounds and the ignored id."""
        return self.num_classes, self.bounds, self.ignore_index

    def update(self, mask: Array, target: Array) -> Floats:
        """Add one image.

        Args:
            mask: HxW predicted class ids or ``ignore_index``.
            target: HxW true class ids or ``ignore_index``.

        Returns:
            F of this image, (bounds, classes).

        Raises:
            ShapeError: No two images of one size, or an id is neither a class nor
                ``ignore_index``.
        """
        mask, target = self._checked(mask, target)
        ignored = target == self.ignore_index
        present = np.bincount(target.reshape(-1), minlength=LEVELS)[: self.num_classes] > 0
        disks = [disk(bound_px(bound, mask.shape)) for bound in self.bounds]
        scores = np.empty((len(disks), self.num_classes))
        for class_id in range(self.num_classes):
            scores[:, class_id] = _boundary_f(
                (mask == class_id) & ~ignored, target == class_id, disks
            )
        self.sums[..., 0] += 1
        self.sums[..., 1] += scores
        self.sums[..., 2] += present
        self.sums[..., 3] += scores * present
        return scores

    def compute(self) -> BoundaryMetrics:
        """Divide the sums gathered so far."""
        with np.errstate(invalid='ignore'):
            f = self.sums[..., 1] / self.sums[..., 0]
            f_present = self.sums[..., 3] / self.sums[..., 2]
        scores = tuple(
            BoundaryScore(bound, tuple(every.tolist()), tuple(some.tolist()), *_means(every, some))
            for bound, every, some in zip(self.bounds, f, f_present, strict=True)
        )
        return BoundaryMetrics(scores, images=int(self.sums[0, 0, 0]))

    def _checked(self, mask: Array, target: Array) -> tuple[Array, Array]:
        require_one_shape(mask, target)
        if mask.ndim != 2 or not mask.size:
            raise ShapeError(
                f'mask must be one image, HxW; received {mask.shape}: add the images of a batch '
                'one by one, because boundary F is a mean over images'
            )
        images = byte_ids(mask, 'mask'), byte_ids(target, 'target')
        for image, name in zip(images, ('mask', 'target'), strict=True):
            pixels = np.bincount(image.reshape(-1), minlength=LEVELS)
            require_known(pixels, self.num_classes, self.ignore_index, name)
        return images


def boundary(region: Flags) -> Flags:
    """Return the outline of a region, 1 px wide, half a pixel up and left of the true one.

    A pixel is on it if its right, lower or lower-right neighbor is on the other side. The border
    of the image is no outline.

    Args:
        region: HxW.
    """
    padded = np.pad(region, ((0, 1), (0, 1)), mode='edge')
    right, lower, lower_right = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    outline: Flags = (region ^ right) | (region ^ lower) | (region ^ lower_right)
    return outline


def disk(radius_px: int) -> npt.NDArray[np.uint8]:
    """Return the pixels whose center is at most a radius away, as a structuring element."""
    offsets = np.arange(-radius_px, radius_px + 1)
    return (offsets[:, None] ** 2 + offsets**2 <= radius_px**2).astype(np.uint8)


def bound_px(bound: float, size: Sequence[int]) -> int:
    """Return a bound in pixels.

    Args:
        bound: Pixels if at least 1, otherwise a fraction of the diagonal, rounded up.
        size: Height and width.
    """
    return int(bound) if bound >= 1 else int(np.ceil(bound * np.linalg.norm(size)))


def _checked_bound(bound: float) -> float:
    if not (0 < bound < 1 or (bound >= 1 and float(bound).is_integer())):
        raise ShapeError(
            'a bound must be whole pixels from 1 on, or a fraction of the diagonal between 0 and '
            f'1; received {bound}'
        )
    return float(bound)


def _boundary_f(predicted: Flags, true: Flags, disks: Sequence[Array]) -> Floats:
    """F of one class in one image, for every structuring element."""
    outlines = boundary(predicted).view(np.uint8), boundary(true).view(np.uint8)
    lengths = [np.count_nonzero(outline) for outline in outlines]
    if 0 in lengths:
        return np.full(len(disks), float(lengths[0] == lengths[1]))
    return np.array([_matched_f(*outlines, element) for element in disks])


def _matched_f(predicted: Array, true: Array, element: Array) -> float:
    """F of two outlines that both exist."""
    precision = _share(predicted, cv2.dilate(true, element))
    recall = _share(true, cv2.dilate(predicted, element))
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _share(outline: Array, zone: Array) -> float:
    return np.count_nonzero(outline & zone) / np.count_nonzero(outline)


def _means(f: Floats, f_present: Floats) -> tuple[float, float]:
    known = f_present[~np.isnan(f_present)]
    return float(f.mean()), float(known.mean()) if known.size else float('nan')
