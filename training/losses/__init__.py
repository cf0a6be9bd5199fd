# SPDX-License-Identifier: Apache-2.0
"""Losses as pure functions, student first, and the targets that they need.

| acronym | function | paper |
|---|---|---|
| CE | `segmentation_loss`, `class_weights` | ENet (weights), arXiv 1606.02147 |
| L_edge of the teacher | `balanced_edge_loss` | CEKD, RA-L 2023; HED (balance), ICCV 2015 |
"""

from training.losses.balanced_edge import balanced_edge_loss
from training.losses.cross_entropy import class_weights, segmentation_loss

__all__ = [
    'balanced_edge_loss',
    'class_weights',
    'segmentation_loss',
]
