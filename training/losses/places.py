# SPDX-License-Identifier: Apache-2.0
"""Means over the places of a map, each of which counts as much as its class."""

from __future__ import annotations

from torch import Tensor

from training.losses.counts import MeanCount
from training.tensor_checks import check_shape


def weights_of_places(weight: Tensor, classes: Tensor | None, scores: Tensor) -> Tensor:
    """What each place counts, [batch, height, width].

    Args:
        weight: of the classes [classes].
        classes: of the places, int64 [batch, height, width]; None takes the largest score.
        scores: map [batch, channels, height, width], of which the places are; its channels are the
            classes where `classes` is None.

    Raises:
        ShapeError: shapes differ from that.
    """
    if classes is None:
        check_shape('weight', weight, (scores.shape[1],))
        return weight[scores.max(dim=1).indices]
    check_shape('weight', weight, (None,))
    batch, _, height, width = scores.shape
    check_shape('classes', classes, (batch, height, width))
    return weight[classes]


def weighted_mean(values: Tensor, of_places: Tensor, mean_count: MeanCount | None) -> Tensor:
    """The mean of values, divided by what all places count.

    Args:
        values: of the places [batch, height, width].
        of_places: what each counts, of the same shape.
        mean_count: over the processes that share a batch, see `training.losses.counts`.
    """
    of_places = of_places.to(values)
    count = of_places.sum()
    return (of_places * values).sum() / (count if mean_count is None else mean_count(count))
