# SPDX-License-Identifier: Apache-2.0
"""Weights of distillation terms, chosen for every method by the same procedure and effort.

    python -m training.channel_wise_tuning --write \
        --config_path training/configs/channel_wise/cwd_logits.yaml

Losses differ in size by orders of magnitude, and the weights of the papers hold for their maps. So
that no method is better tuned than another, weights are told in one unit: with ratio 1, the
gradient of the terms is as long as that of the labels, both with respect to the weights of the
student, after some steps of learning from labels alone. For each of the same few ratios a shorter
run is trained, with a seed that no table has, from the teacher of the configuration's seed. The
ratio with the highest mean IoU on the validation split is taken; the test split is not looked at.

With `--write` the weights replace those in the configuration.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kd_perception.errors import ConfigError
from training.batches import batches, moved
from training.distributed import Fabric, launch
from training.engine import NotFiniteError
from training.optimization import learning_rate, set_learning_rate
from training.recipes.channel_wise import (
    Teacher,
    network_of,
    new_learner,
    step_losses,
    train,
    trained_teacher,
)
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_data import Drawing
from training.recipes.channel_wise_learner import Learner, new_optimizer
from training.recipes.channel_wise_report import score_split
from training.records import versions, write_record
from training.settings import load_config, plain

RATIOS = (0.1, 0.5, 2.5)
SEED = 100
"""Of the shorter runs."""

STEPS = 500
WARM_STEPS = 100
BATCHES = 8
KEPT = ('miou_nanmean', 'miou_frequent', 'miou_rare')

_LABEL_TERMS = ('label', 'auxiliary')
_WEIGHT = re.compile(r'^( *- \{loss: .*?\bweight: )[^,}]+', re.MULTILINE)


def trial_config(config: ChannelWiseConfig, steps: int) -> ChannelWiseConfig:
    """The shorter run of a configuration: its teacher is that of the configuration's own seed.

    Raises:
        ConfigError: there is nothing to tune, or no validation split to tune by.
    """
    if not config.terms or 'validation' not in config.split_names:
        raise ConfigError(
            'a configuration must have terms to tune and a validation split, got '
            f'{[term.name for term in config.terms]} and {config.split_names}'
        )
    loop = replace(config.student.loop, steps=steps, checkpoint_steps=steps)
    return replace(
        config,
        seed=SEED,
        teacher_seed=config.seed_of('teacher'),
        student=replace(config.student, loop=loop),
        output=config.output / 'tuning',
    )


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
        warm_steps: of learning from labels alone before it is measured; discriminators learn too.
        count: batches of which the mean is taken.
    """
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
        torch.stack([v for name, v in values.items() if name not in imitating]).sum().backward()
        optimizer.step()
    labels, terms = torch.tensor(lengths, dtype=torch.float64).mean(dim=0).tolist()
    if not terms > 0.0:
        raise ConfigError(f'the terms of {config.name} must have a gradient, got length {terms}')
    return float(labels / terms)


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


def with_weights(config: ChannelWiseConfig, factor: float, ratio: float) -> ChannelWiseConfig:
    """A shorter run with all weights multiplied, three digits each, and a name of its own."""
    terms = tuple(
        replace(term, weight=float(f'{term.weight * factor * ratio:.3g}')) for term in config.terms
    )
    weights = '_'.join(f'{term.weight:g}' for term in terms)
    return replace(config, name=f'{config.name}_{weights}', terms=terms)


def trial(config: ChannelWiseConfig, fabric: Fabric, teacher: Teacher) -> dict[str, Any]:
    """What a shorter run scores on the validation split; None each where it diverged."""
    scores: dict[str, Any] = dict.fromkeys(KEPT)
    try:
        network = network_of(train(config, fabric, 'student', teacher)).cpu()
        found = score_split(network, config, 'validation')
        scores = {name: found[name] for name in KEPT}
    except NotFiniteError as error:
        print(error)
    weights = {term.name: term.weight for term in config.terms}
    return {'weights': weights, **scores}


def tune(
    config: ChannelWiseConfig,
    fabric: Fabric,
    *,
    ratios: Sequence[float] = RATIOS,
    steps: int = STEPS,
    warm_steps: int = WARM_STEPS,
) -> dict[str, Any]:
    """Try all ratios; the record of it.

    Raises:
        ConfigError: there is nothing to tune, or every run diverged.
    """
    short = trial_config(config, steps)
    teacher = trained_teacher(config, fabric)
    factor = equal_factor(short, fabric, teacher, warm_steps=warm_steps)
    tried = {
        f'{ratio:g}': trial(with_weights(short, factor, ratio), fabric, teacher)
        for ratio in ratios
    }
    known = {k: v['miou_nanmean'] for k, v in tried.items() if v['miou_nanmean'] is not None}
    if not known:
        raise ConfigError(f'some run of {config.name} must end, all {len(tried)} diverged')
    chosen = max(known, key=lambda ratio: known[ratio])
    return {
        'recipe': 'channel_wise_tuning',
        'name': config.name,
        'seed': SEED,
        'steps': steps,
        'chosen_by': 'highest miou_nanmean on the validation split',
        'equal_factor': factor,
        'tried': tried,
        'chosen': chosen,
        'weights': tried[chosen]['weights'],
        'frame_keys': {'train': config.train.key(), 'validation': config.validation.key()},
        'versions': versions(),
        'config': plain(config),
    }


def write_weights(path: Path, weights: Sequence[float]) -> None:
    """Replace the weights of the terms in a configuration, in their order.

    Raises:
        ConfigError: the file has not as many terms, one per line as `- {loss: ..., weight: ...}`.
    """
    text = path.read_text(encoding='utf-8')
    found = len(_WEIGHT.findall(text))
    if found != len(weights):
        raise ConfigError(
            f'{path} must have {len(weights)} lines "- {{loss: ..., weight: ...}}", got {found}'
        )
    left = iter(weights)
    path.write_text(_WEIGHT.sub(lambda match: f'{match[1]}{next(left)}', text), encoding='utf-8')


def main(arguments: list[str] | None = None) -> None:
    """Tune one configuration and write the record."""
    parser = argparse.ArgumentParser(
        description='Choose the weights of a configuration.', allow_abbrev=False
    )
    parser.add_argument('--config_path', type=Path, required=True)
    parser.add_argument('--ratios', type=float, nargs='+', default=list(RATIOS))
    parser.add_argument('--steps', type=int, default=STEPS)
    parser.add_argument('--warm-steps', type=int, default=WARM_STEPS)
    parser.add_argument('--write', action='store_true', help='change the configuration')
    own, rest = parser.parse_known_args(arguments)
    config = load_config(ChannelWiseConfig, ['--config_path', str(own.config_path), *rest])
    fabric = launch(config.launch)
    record = tune(config, fabric, ratios=own.ratios, steps=own.steps, warm_steps=own.warm_steps)
    path = config.results / 'tuning' / f'{config.name}.json'
    write_record(path, record)
    if own.write:
        write_weights(own.config_path, list(record['weights'].values()))
    for ratio, found in record['tried'].items():
        print(f'{"*" if ratio == record["chosen"] else " "} {ratio:>5} {found}')
    print(path)


if __name__ == '__main__':
    main()
