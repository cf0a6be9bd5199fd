# SPDX-License-Identifier: Apache-2.0
"""Cross-entropy where the network itself sees a boundary."""

from __future__ import annotations

import torch
from torch import Tensor

from kd_perception.errors import ConfigError
from kd_perception.uncertainty import IGNORE_INDEX
from training.losses.counts import MeanCount
from training.losses.cross_entropy import cross_entropy_loss
from training.tensor_checks import check_shape


def edge_attention_loss(
    logits: Tensor,
    label: Tensor,
    edge_logits: Tensor,
    *,
    threshold: float = 0.8,
    weight: Tensor | None = None,
    mean_count: MeanCount | None = None,
) -> Tensor:
    """Cross-entropy over the pixels whose predicted boundary is likelier than a threshold.

    Args:
        logits: class scores [batch, classes, height, width].
        label: int64 [batch, height, width], 255 is ignored.
        edge_logits: before the sigmoid, [batch, 1, height, width]; they choose pixels and get no
            gradient.
        threshold: of the probability, 0 to below 1. The authors' code has 0.8, which it holds
            against the logits of its main boundary head: 0.69 as a probability.
        weight: of the classes [classes], or None for equal ones.
        mean_count: over the processes that share a batch, see `training.losses.counts`.

    Returns:
        A scalar of at least 0, in float32; 0 where no pixel is chosen.

    Raises:
        ShapeError: shapes differ from that.
        ConfigError: the threshold is out of range.

    Reference:
        S. Borse, Y. Wang, Y. Zhang, F. Porikli, "InverseForm: A Loss Function for Structured
        Boundary-Aware Segmentation", CVPR 2021; after T. Takikawa, D. Acuna, V. Jampani,
        S. Fidler, "Gated-SCNN: Gated Shape CNNs for Semantic Segmentation", ICCV 2019.
    """
    check_shape('label', label, (None, None, None))
    batch, height, width = label.shape
    check_shape('logits', logits, (batch, None, height, width))
    check_shape('edge_logits', edge_logits, (batch, 1, height, width))
    if not 0.0 <= threshold < 1.0:
        raise ConfigError(f'threshold must be 0 to below 1, received {threshold}')
    seen = torch.sigmoid(edge_logits.detach().float())[:, 0] > threshold
    chosen = torch.where(seen, label, torch.full_like(label, IGNORE_INDEX))
    return cross_entropy_loss(logits, chosen, weight=weight, mean_count=mean_count)
