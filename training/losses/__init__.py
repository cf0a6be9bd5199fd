# SPDX-License-Identifier: Apache-2.0
"""Losses as pure functions, student first.

| acronym | function | paper |
|---|---|---|
| CE | `segmentation_loss`, `class_weights` | ENet (weights), arXiv 1606.02147 |
"""

from training.losses.cross_entropy import class_weights, segmentation_loss

__all__ = ['class_weights', 'segmentation_loss']
