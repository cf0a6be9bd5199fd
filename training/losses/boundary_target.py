# SPDX-License-Identifier: Apache-2.0
"""Boundary maps to learn from, unknown where the label is."""

from __future__ import annotations

import torch
from torch import Tensor

from kd_perception.uncertainty import IGNORE_INDEX
from training.losses.edge_labels import edge_labels


def boundary_target(
    label: Tensor, *, radius: float = 2.0, ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """Pixels within a distance of another class, on either side of the boundary.

    The union over the classes of the pixels whose distance transform, inside or outside of the
    class, is at most the radius: a pixel is in it exactly if another class is as near, which is
    what `edge_labels` looks for. Otherwise than in the authors' code, pixels of no class have no
    boundary, and class 0 is a class like the others.

    Args:
        label: class ids, any integer type, [batch, height, width].
        radius: Euclidean, in pixels, at least 1; 2 in the authors' code.
        ignore_index: label of pixels that belong to no class.

    Returns:
        uint8 [batch, height, width]: 1 on boundaries, 0 elsewhere, `ignore_index` where the label
        says so.

    Raises:
        ShapeError: the label has another shape or type.
        ConfigError: the radius is below 1.

    Reference:
        S. Borse, Y. Wang, Y. Zhang, F. Porikli, "InverseForm: A Loss Function for Structured
        Boundary-Aware Segmentation", CVPR 2021.
    """
    edges = edge_labels(label, radius=radius, ignore_index=ignore_index)
    unknown = torch.full_like(edges, ignore_index)
    return torch.where(label.long() == ignore_index, unknown, edges)
