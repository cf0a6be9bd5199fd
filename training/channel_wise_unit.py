# SPDX-License-Identifier: Apache-2.0
"""The unit of distillation weights: how long the gradient of a term is beside that of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kd_perception.errors import ConfigError
from training.batches import batches, moved
from training.distributed import Fabric
from training.optimization import learning_rate, set_learning_rate
from training.recipes.channel_wise import Teacher, new_learner, step_losses
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_data import Drawing
from training.recipes.channel_wise_learner import Learner, new_optimizer

WARM_STEPS = 100
BATCHES = 8

_LABEL_TERMS = ('label', 'auxiliary')
_SHORTEST = 1e-20


def check_one_process(fabric: Fabric) -> None:
    """Refuse several processes.

    Raises:
        ConfigError: they would share a batch.
    """
    if fabric.world_size > 1:
        raise ConfigError(f'weights must be tuned by one process, got {fabric.world_size}')


def equal_factor(
    config: ChannelWiseConfig,
    fabric: Fabric,
    teacher: Teacher,
    *,
    warm_steps: int = WARM_STEPS,
    count: int = BATCHES,
) -> float:
    """By how much to multiply all weights so that labels and terms pull equally.

    Args:
        config: of a shorter run.
        fabric: from `launch`, one process.
        teacher: of the run.
        warm_steps: before it is measured: the student learns from labels alone, alignment layers
            and discriminators from what they are there for.
        count: batches of which the mean is taken.

    Raises:
        ConfigError: the terms have no gradient, or several processes share a batch.
    """
    check_one_process(fabric)
    learner = new_learner(config, 'student').to(fabric.device).train()
    optimizer, settings = new_optimizer(learner, config.student.optimizer), config.student
    imitating = {term.name for term in config.terms}
    drawn = batches(
        Drawing(config, 'student'), range(warm_steps + count), range(settings.loop.batch_size)
    )
    lengths = []
    for step, batch in enumerate(drawn):
        torch.manual_seed(step)
        values = step_losses(learner, moved(batch, fabric.device), config, 'student', teacher)
        if step >= warm_steps:
            lengths.append(_lengths(learner, values, imitating))
            continue
        rate = learning_rate(settings.optimizer, step, settings.loop.steps)
        set_learning_rate(optimizer, rate)
        optimizer.zero_grad()
        _warm_up(learner, values, imitating)
        optimizer.step()
    labels, terms = torch.tensor(lengths, dtype=torch.float64).mean(dim=0).tolist()
    if not terms > 0.0:
        raise ConfigError(f'the terms of {config.name} must have a gradient, got length {terms}')
    return float(labels / terms)


def _warm_up(learner: Learner, values: Mapping[str, Tensor], imitating: set[str]) -> None:
    """Gradients of a step before the measurement; the terms have none in the student.

    Those of the alignment layers are brought to length 1, so that the unit does not depend on the
    weights that the terms begin with.
    """
    aligned = list(learner.alignments.parameters())
    slopes: Sequence[Tensor] = ()
    if aligned:
        total = torch.stack([values[name] for name in learner.alignments]).sum()
        slopes = torch.autograd.grad(total, aligned, retain_graph=True)
    torch.stack([v for name, v in values.items() if name not in imitating]).sum().backward()
    length = torch.stack([slope.square().sum() for slope in slopes] or [torch.ones(())]).sum()
    for parameter, slope in zip(aligned, slopes, strict=True):
        parameter.grad = slope / length.sqrt().clamp(min=_SHORTEST)


def _lengths(
    learner: Learner, values: Mapping[str, Tensor], imitating: set[str]
) -> tuple[float, float]:
    """Lengths of the gradients of what labels teach and of the terms, in the student's weights."""
    own = list(learner.segmenter.parameters())
    found = []
    for names in (_LABEL_TERMS, imitating):
        total = torch.stack([values[name] for name in names if name in values]).sum()
        gradients = torch.autograd.grad(total, own, retain_graph=True, allow_unused=True)
        squares = [g.double().square().sum() for g in gradients if g is not None]
        found.append(float(torch.stack(squares).sum().sqrt()))
    return found[0], found[1]
