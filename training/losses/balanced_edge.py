# SPDX-License-Identifier: Apache-2.0
"""Class-balanced cross-entropy on an edge map."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.uncertainty import IGNORE_INDEX
from training.losses.counts import MeanCount, shared_count
from training.tensor_checks import at_least_float32, check_shape


def balanced_edge_loss(
    edge_logits: Tensor,
    edge_target: Tensor,
    *,
    double_sigmoid: bool = False,
    per_image: bool = True,
    ignore_index: int = IGNORE_INDEX,
    mean_count: MeanCount | None = None,
) -> Tensor:
    """Binary cross-entropy whose weights make up for how rare edges are, L_edge of CEKD's teacher.

    With e the target, p the probability and beta the share of edge pixels of an image, the mean
    over its pixels of -(1 - beta) e ln p - beta (1 - e) ln(1 - p). The two kinds of pixels weigh
    the same in sum; an image without edges, or of edges only, counts 0 and teaches nothing.
    InverseForm balances over the whole batch (`per_image=False`).

    Args:
        edge_logits: before the sigmoid, [batch, 1, height, width].
        edge_target: 1 on edges, 0 elsewhere, of any type, [batch, 1, height, width] or [batch,
            height, width].
        double_sigmoid: p = sigmoid(sigmoid(logit)) as in the authors' training script, which takes
            the network's probabilities for logits: p is between 0.5 and 0.73, so that a perfect
            map does not score 0. The paper's form is the default.
        per_image: beta and the mean are those of each image; else those of all images together, so
            that one without edges still says where there is none.
        ignore_index: target of pixels that are left out, of the share of edges too: those that an
            augmentation moved in from beyond the frame. The paper has none.
        mean_count: over the processes that share a batch, see `training.losses.counts`; images of
            which each counts by itself (`per_image`) need none.

    Returns:
        The mean over the images, or over all pixels, a scalar of at least 0, in float32 or the
        logits' finer type.

    Raises:
        ShapeError: shapes differ from that.

    Reference:
        Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for
        Semantic Scene Understanding Using Only Thermal Images", RA-L 2023.
        S. Xie, Z. Tu, "Holistically-Nested Edge Detection", ICCV 2015 (the balance).
        S. Borse, Y. Wang, Y. Zhang, F. Porikli, "InverseForm: A Loss Function for Structured
        Boundary-Aware Segmentation", CVPR 2021 (over the batch).
    """
    check_shape('edge_logits', edge_logits, (None, 1, None, None))
    if edge_target.dim() == 3:
        edge_target = edge_target[:, None]
    check_shape('edge_target', edge_target, tuple(edge_logits.shape))
    logits = at_least_float32(edge_logits)
    if double_sigmoid:
        logits = torch.sigmoid(logits)
    edge = edge_target.to(logits.dtype)
    known = (edge != ignore_index).to(logits.dtype)
    edge = edge * known
    together = (1, 2, 3) if per_image else (0, 1, 2, 3)
    over = None if per_image else mean_count
    count = shared_count(known.sum(dim=together, keepdim=True), over)
    edges = edge.sum(dim=together, keepdim=True)
    beta = (edges if over is None else over(edges)) / count
    terms = (1.0 - beta) * edge * functional.logsigmoid(logits)
    terms = terms + beta * (known - edge) * functional.logsigmoid(-logits)
    return -(terms / count).sum(dim=together).mean()
