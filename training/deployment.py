# SPDX-License-Identifier: Apache-2.0
"""From the averaged network of a run to the one that is scored and exported."""

from __future__ import annotations

import torch
from torch import Tensor

from kd_perception.models import RepUNet
from training.losses import prior_shift


@torch.no_grad()
def deployable(average: RepUNet, weight: Tensor | None, prior_correction: float) -> RepUNet:
    """The averaged network, folded, with part of the class weights taken out of the logits.

    Class weights bias the posterior towards rare classes by their logarithm.

    Args:
        average: in eval mode; stays as it is.
        weight: of the classes in the loss [classes]; None where all weighed the same.
        prior_correction: share of the logarithm that is taken back, 0 to 1.

    Reference:
        A. Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021.
    """
    network = average.folded()
    assert network.head.bias is not None
    if weight is not None:
        network.head.bias -= prior_shift(weight, prior_correction)
    return network
