# SPDX-License-Identifier: Apache-2.0
"""How well tags are told, and how much they say at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError

Array = npt.NDArray[Any]


def average_precision(scores: Array, present: Array) -> float:
    """Mean precision at each image that holds the class, going down by score.

    Args:
        scores: of a class, float [images]; equal ones count as if the absent ones came first.
        present: bool [images].

    Returns:
        0 to 1; NaN where no image holds the class.
    """
    order = np.lexsort((present, -scores))
    hits = present[order].astype(np.float64)
    if not hits.any():
        return float('nan')
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / hits.sum())


def tag_metrics(scores: Array, tags: Array, classes: Sequence[str]) -> dict[str, Any]:
    """Figures of a classifier.

    Args:
        scores: raw, float [images, classes]; above 0 is yes.
        tags: bool of the same shape.
        classes: their names.

    Returns:
        `accuracy` of all tags and `majority_accuracy`, that of always saying what most images of
        a class say; `mean_average_precision`; by class `average_precision`, `class_accuracy` and
        `share`, how many images hold it.

    Raises:
        ShapeError: the two differ in shape, or there is no image.
    """
    if scores.shape != tags.shape or scores.shape[1:] != (len(classes),) or not len(scores):
        raise ShapeError(
            f'scores and tags must be [images, {len(classes)}] with at least one image, received '
            f'{scores.shape} and {tags.shape}'
        )
    right, shares = ((scores > 0) == tags).mean(axis=0), tags.mean(axis=0)
    precisions = [average_precision(scores[:, k], tags[:, k]) for k in range(len(classes))]
    known = [value for value in precisions if np.isfinite(value)]
    return {
        'accuracy': rounded(right.mean()),
        'majority_accuracy': rounded(np.maximum(shares, 1.0 - shares).mean()),
        'mean_average_precision': rounded(np.mean(known)) if known else None,
        'average_precision': by_class(precisions, classes),
        'class_accuracy': by_class(right, classes),
        'share': by_class(shares, classes),
    }


def by_class(values: Sequence[float] | Array, classes: Sequence[str]) -> dict[str, float | None]:
    """Figures by the name of their class, as a record holds them."""
    return {name: rounded(value) for name, value in zip(classes, values, strict=True)}


def rounded(value: float) -> float | None:
    """A figure as a record holds it; None where there is none."""
    return round(float(value), 4) if np.isfinite(value) else None
