# SPDX-License-Identifier: Apache-2.0
"""Weights of distillation terms, chosen for every method by the same procedure and effort.

    python -m training.channel_wise_tuning --write \
        --config_path training/configs/channel_wise/cwd_logits.yaml

Losses differ in size by orders of magnitude, and the weights of the papers hold for their maps. So
that no method is better tuned than another, weights are told in one unit: with ratio 1, the
gradient of the terms is as long as that of the labels, both with respect to the weights of the
student, after some steps of learning from labels alone. Alignment layers learn during these steps
what the student's features have of the teacher's, which does not change the student: the unit is
not that of a random projection. For each of the same few ratios shorter runs are trained, with
seeds that no table has, from the teacher of the configuration's seed. The ratio with the highest
mean IoU on the validation split, averaged over these seeds, is taken; the test split is not looked
at.

A configuration without terms has nothing to choose: its record says what the same shorter runs
score without any. With `--write` the weights replace those in the configuration.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from training.channel_wise_unit import WARM_STEPS, check_one_process, equal_factor
from training.distributed import Fabric, launch
from training.engine import NotFiniteError
from training.recipes.channel_wise import Teacher, network_of, train, trained_teacher
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_networks import told_of_first_weights
from training.recipes.channel_wise_report import score_split
from training.records import versions, write_record
from training.settings import load_config, plain

RATIOS = (0.1, 0.5, 2.5, 12.5)
FIRST_SEED = 100
"""Seeds below are those of tables."""

SEEDS = (FIRST_SEED, FIRST_SEED + 1)
"""Of the shorter runs."""

STEPS = 500
KEPT = ('miou_nanmean', 'miou_frequent', 'miou_rare')

_WEIGHT = re.compile(r'^( *- \{loss: .*?\bweight: )[^,}]+', re.MULTILINE)


def trial_config(config: ChannelWiseConfig, steps: int, seed: int) -> ChannelWiseConfig:
    """The shorter run of a configuration: its teacher is that of the configuration's own seed.

    Raises:
        ConfigError: there is no validation split to tune by, or tables may have the seed.
    """
    if 'validation' not in config.split_names:
        raise ConfigError(
            f'weights are chosen on a validation split, which {config.data_set} has not: set '
            'held_out_share, as in --held_out_share 0.15'
        )
    if seed < FIRST_SEED:
        raise ConfigError(
            f'seeds of tuning must be at least {FIRST_SEED}, those of tables are below; got {seed}'
        )
    loop = config.student.loop
    loop = replace(loop, steps=steps, checkpoint_steps=min(steps, loop.checkpoint_steps))
    return replace(
        config,
        seed=seed,
        teacher_seed=config.seed_of('teacher'),
        student=replace(config.student, loop=loop),
        output=config.output / 'tuning' / f'{steps}_steps',
    )


def with_weights(config: ChannelWiseConfig, factor: float, ratio: float) -> ChannelWiseConfig:
    """A shorter run with all weights multiplied, three digits each, and a name of its own."""
    terms = tuple(
        replace(term, weight=float(f'{term.weight * factor * ratio:.3g}')) for term in config.terms
    )
    name = '_'.join([config.name, *(f'{term.weight:g}' for term in terms)])
    return replace(config, name=name, terms=terms)


def trial(config: ChannelWiseConfig, fabric: Fabric, teacher: Teacher | None) -> dict[str, Any]:
    """What a shorter run scores on the validation split; None each where it diverged."""
    scores: dict[str, Any] = dict.fromkeys(KEPT)
    try:
        network = network_of(train(config, fabric, 'student', teacher)).to(fabric.device)
        found = score_split(network, config, 'validation')
        scores = {name: found[name] for name in KEPT}
    except NotFiniteError as error:
        print(error)
    return scores


def trials(
    shorts: Sequence[ChannelWiseConfig],
    fabric: Fabric,
    teacher: Teacher | None,
    *,
    factor: float,
    ratio: float,
) -> dict[str, Any]:
    """What all shorter runs of a ratio score, and their means; None where one diverged."""
    runs = [with_weights(short, factor, ratio) for short in shorts]
    scores = [trial(run, fabric, teacher) for run in runs]
    means = {name: _mean([own[name] for own in scores]) for name in KEPT}
    weights = {term.name: term.weight for term in runs[0].terms}
    by_seed = {str(run.seed): own for run, own in zip(runs, scores, strict=True)}
    return {'weights': weights, **means, 'by_seed': by_seed}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 5) if len(known) == len(values) else None


def tune(
    config: ChannelWiseConfig,
    fabric: Fabric,
    *,
    ratios: Sequence[float] = RATIOS,
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
    warm_steps: int = WARM_STEPS,
) -> dict[str, Any]:
    """Try all ratios; the record of it, whose `config` has the weights from before.

    Raises:
        ConfigError: as `trial_config` and `equal_factor`, or some run of every ratio diverged.
    """
    check_one_process(fabric)
    shorts = [trial_config(config, steps, seed) for seed in seeds]
    teacher, factor = None, 0.0
    if config.terms:
        teacher = trained_teacher(config, fabric)
        factor = equal_factor(shorts[0], fabric, teacher, warm_steps=warm_steps)
    else:
        ratios = (0.0,)
    tried = {
        f'{ratio:g}': trials(shorts, fabric, teacher, factor=factor, ratio=ratio)
        for ratio in ratios
    }
    known = {k: v['miou_nanmean'] for k, v in tried.items() if v['miou_nanmean'] is not None}
    if not known:
        raise ConfigError(f'all runs of a ratio of {config.name} must end, none of {ratios} did')
    chosen = max(known, key=lambda ratio: known[ratio])
    splits = {name: split.key() for name, split in config.splits().items() if name != 'test'}
    return {
        'recipe': 'channel_wise_tuning',
        'name': config.name,
        'seeds': list(seeds),
        'steps': steps,
        'warm_steps': warm_steps,
        'chosen_by': 'highest miou_nanmean on the validation split, mean over the seeds',
        'equal_factor': factor,
        'tried': tried,
        'chosen': chosen,
        'weights': tried[chosen]['weights'],
        'frame_keys': splits,
        'versions': versions(),
        'config': plain(config),
    }


def check_writable(path: Path, count: int) -> None:
    """Refuse a configuration that has its terms from another file, or not one per line.

    Raises:
        ConfigError: the file has not as many terms, one per line as `- {loss: ..., weight: ...}`.
    """
    found = len(_WEIGHT.findall(path.read_text(encoding='utf-8')))
    if found != count:
        raise ConfigError(
            f'{path} must have {count} lines "- {{loss: ..., weight: ...}}", got {found}'
        )


def write_weights(path: Path, weights: Sequence[float]) -> None:
    """Replace the weights of the terms in a configuration, in their order.

    Raises:
        ConfigError: as `check_writable`.
    """
    check_writable(path, len(weights))
    text, left = path.read_text(encoding='utf-8'), iter(weights)
    path.write_text(_WEIGHT.sub(lambda match: f'{match[1]}{next(left)}', text), encoding='utf-8')


def main(arguments: list[str] | None = None) -> None:
    """Tune one configuration and write the record."""
    parser = argparse.ArgumentParser(
        description='Choose the weights of a configuration.', allow_abbrev=False
    )
    parser.add_argument('--config_path', type=Path, required=True)
    parser.add_argument('--ratios', type=float, nargs='+', default=list(RATIOS))
    parser.add_argument('--seeds', type=int, nargs='+', default=list(SEEDS))
    parser.add_argument('--steps', type=int, default=STEPS)
    parser.add_argument('--warm-steps', type=int, default=WARM_STEPS)
    parser.add_argument('--write', action='store_true', help='change the configuration')
    own, rest = parser.parse_known_args(arguments)
    config = load_config(ChannelWiseConfig, ['--config_path', str(own.config_path), *rest])
    if own.write:
        check_writable(own.config_path, len(config.terms))
    if told := told_of_first_weights({'teacher': config.teacher, 'student': config.student}):
        print(told)
    fabric = launch(config.launch)
    record = tune(
        config,
        fabric,
        ratios=own.ratios,
        seeds=own.seeds,
        steps=own.steps,
        warm_steps=own.warm_steps,
    )
    path = config.results / 'tuning' / f'{config.name}.json'
    write_record(path, record)
    if own.write:
        write_weights(own.config_path, list(record['weights'].values()))
    for ratio, found in record['tried'].items():
        scores = {name: found[name] for name in ('weights', *KEPT)}
        print(f'{"*" if ratio == record["chosen"] else " "} {ratio:>5} {scores}')
    print(path)


if __name__ == '__main__':
    main()
