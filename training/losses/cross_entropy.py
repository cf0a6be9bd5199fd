# SPDX-License-Identifier: Apache-2.0
"""Class-weighted cross-entropy, on logits of the labels' size or at a quarter of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.uncertainty import IGNORE_INDEX
from training.losses.counts import MeanCount, shared_count


def class_weights(shares: npt.NDArray[Any], *, offset: float = 1.1) -> Tensor:
    """Weights that grow as a class gets rarer, float32 [classes].

    Args:
        shares: share of pixels per class, sum 1.
        offset: of ENet's formula 1 / ln(offset + share), > 1. ENet takes 1.02, which lets rare
            classes weigh fifty times; 1.1 lets them weigh ten times, and the frames rendered here
            hold classes with 0.4 % of the pixels.

    Reference:
        A. Paszke et al., "ENet: A Deep Neural Network Architecture for Real-Time Semantic
        Segmentation", 2016.
    """
    return torch.tensor(1.0 / np.log(offset + shares), dtype=torch.float32)


def batch_class_weights(
    label: Tensor, num_classes: int, *, mean_count: MeanCount | None = None
) -> Tensor:
    """Weights of the classes of a batch, 2 minus their share; 1 of those that are absent.

    Args:
        label: class ids, int64 of any shape, 255 is ignored.
        num_classes: ids 0 to num_classes - 1.
        mean_count: over the processes that share a batch, see `training.losses.counts`.

    Returns:
        float32 [classes], 1 to 2.

    Reference:
        S. Borse, Y. Wang, Y. Zhang, F. Porikli, "InverseForm: A Loss Function for Structured
        Boundary-Aware Segmentation", CVPR 2021, after T. Takikawa, D. Acuna, V. Jampani,
        S. Fidler, "Gated-SCNN: Gated Shape CNNs for Semantic Segmentation", ICCV 2019.
    """
    known = label[label != IGNORE_INDEX]
    counts = torch.bincount(known.reshape(-1), minlength=num_classes).float()
    if mean_count is not None:
        counts = mean_count(counts)
    share = counts / shared_count(counts.sum(), None)
    return 1.0 + (counts > 0).float() * (1.0 - share)


def prior_shift(weight: Tensor, prior_correction: float) -> Tensor:
    """What to subtract from logits that were trained with class weights, float32 [classes].

    A loss that weighs class k by w_k is least at logits that are ln w_k above those of the
    unweighted one. All of it taken back gives the posterior of the training frames; less of it
    leaves rare classes favored.

    Args:
        weight: of the loss [classes], positive.
        prior_correction: share of the logarithm that is taken back, 0 to 1.

    Returns:
        At least 0, and 0 for the class that weighs least.

    Reference:
        A. Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021 (post hoc).
    """
    return prior_correction * (weight.log() - weight.log().min())


def segmentation_loss(
    logits: Tensor, label: Tensor, *, weight: Tensor, mean_count: MeanCount | None = None
) -> Tensor:
    """Class-weighted cross-entropy at half of the input's resolution.

    Args:
        logits: [batch, classes, height / 4, width / 4].
        label: int64 [batch, height, width], 255 is ignored.
        weight: [classes].
        mean_count: over the processes that share a batch, see `training.losses.counts`; without
            it a batch without any known pixel has no loss, which is NaN.
    """
    upsampled = functional.interpolate(
        logits.float(), scale_factor=2.0, mode='bilinear', align_corners=False
    )
    target = label[:, 1::2, 1::2]
    if mean_count is not None:
        return cross_entropy_loss(upsampled, target, weight=weight, mean_count=mean_count)
    return functional.cross_entropy(upsampled, target, weight, ignore_index=IGNORE_INDEX)


def cross_entropy_loss(
    logits: Tensor,
    label: Tensor,
    *,
    weight: Tensor | None = None,
    mean_count: MeanCount | None = None,
) -> Tensor:
    """Cross-entropy at full resolution; 0 where no pixel is known.

    Args:
        logits: [batch, classes, height, width].
        label: int64 [batch, height, width], 255 is ignored.
        weight: [classes], or None for equal ones. As in torch, the sum is divided by the weights
            of the known pixels, so that their scale does not matter.
        mean_count: over the processes that share a batch, see `training.losses.counts`.

    Returns:
        A scalar of at least 0, in float32.
    """
    total = functional.cross_entropy(
        logits.float(), label, weight, ignore_index=IGNORE_INDEX, reduction='sum'
    )
    known = label[label != IGNORE_INDEX]
    count = float(known.numel() if weight is None else weight[known].sum())
    if mean_count is not None:
        count = float(mean_count(torch.tensor(count, device=total.device, dtype=torch.float64)))
    return total / max(count, 1e-6)
