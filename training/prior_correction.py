# SPDX-License-Identifier: Apache-2.0
"""What it changes to take class weights back from the logits of a finished run.

The loss weighs rare classes more, so that the network favors them. A share of the logarithm of the
weights, the prior correction, is taken back in the bias of the head when a student is exported
(`training.export --prior-correction`). Nothing comes after the head but an interpolation, which
leaves a constant as it is: the logits of one pass, shifted, give the scores of every share.
Temperature is fitted anew for each. The validation split may choose a share; the others must not.

    for s in 0 1 2; do python -m training.prior_correction --values 0 0.25 0.5 0.75 1 --seed $s \
        --config_path training/configs/supervised/thermal_seg_s.yaml --page docs/results.md; done

writes `results/prior_correction/<name>_seed<number>.json`, and tables over the seeds there are.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kd_perception.errors import ConfigError
from kd_perception.markdown import replace_section
from kd_perception.uncertainty import fit_temperature
from training.data.real_tiles import load_real_tiles
from training.data.world import WorldSplit, check_described, load_world
from training.evaluation import (
    IMAGE_SIZE,
    REAL_TILES_NOTE,
    Frames,
    Network,
    Scores,
    Tally,
    calibration_metrics,
    infer,
)
from training.export import RECIPES, RunConfig, Trained, trained_run
from training.losses import prior_shift
from training.model_card import input_size
from training.prior_tables import are_alike, prior_correction_section
from training.records import read_record, versions, write_record
from training.settings import load_config, plain

VALUES = (0.0, 0.25, 0.5, 0.75, 1.0)


def scores_by_share(
    network: Network,
    weight: Tensor,
    frames: Frames,
    modality: str,
    values: Sequence[float],
    *,
    name: str = 'frames',
    image_size: tuple[int, int] = IMAGE_SIZE,
) -> dict[float, Scores]:
    """Scores of a network for several shares, from one pass over the frames.

    Args:
        network: in eval mode, nothing taken back from its logits.
        weight: of the loss that it was trained with, [classes].
        frames: with labels and what the modality needs.
        modality: what the network sees.
        values: shares of the log class weights, 0 to 1.
        name: of the frames, for the progress bar.
        image_size: (height, width) of the network's input.
    """
    shifts = {value: prior_shift(weight, value).numpy()[:, None, None] for value in values}
    tallies = {value: Tally() for value in values}
    for k in tqdm(range(len(frames)), desc=f'score {name}', unit='frame'):
        frame = frames[k]
        logits, box = infer(network, frame, modality, image_size)
        for value, tally in tallies.items():
            tally.update(logits - shifts[value], box, np.asarray(frame.label))
    return {value: tally.scores() for value, tally in tallies.items()}


def share_report(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """Metrics of every split with one share; confidence at the temperature of the validation one.

    Args:
        scores: by the name of the split, `validation` among them.
    """
    fitted = scores['validation']
    temperature = fit_temperature(fitted.logits, fitted.labels)
    return {
        'temperature': round(temperature, 5),
        **{
            name: found.metrics | calibration_metrics(found.logits, found.labels, temperature)
            for name, found in scores.items()
        },
    }


def finished_run(config: RunConfig) -> Trained:
    """The run of a configuration, nothing taken back from its logits.

    Raises:
        ConfigError: it is not finished, learnt from another world than this code renders, or
            without labels.
    """
    run = trained_run(config, prior_correction=0.0)
    if run.step < config.steps:
        raise ConfigError(
            f'{config.folder} must hold a finished run of {config.steps} steps, got '
            f'{run.step}: train it first'
        )
    if run.class_weight is None or 'class_shares' not in run.frames:
        raise ConfigError(f'a run must have weighed classes, {config.name} looked at no labels')
    check_described(run.frames, config.train, config.folder)
    return run


def measure(
    config: RunConfig, values: Sequence[float], count: int | None = None
) -> dict[str, Any]:
    """The record of a finished run: its metrics on every split by share.

    Args:
        config: of the run.
        values: shares of the log class weights, 0 to 1.
        count: frames of each synthetic split, the first ones; None for all.

    Raises:
        ConfigError: as `finished_run`, or a value or the count is out of range.
    """
    _check_request(config, values, count)
    run = finished_run(config)
    assert run.class_weight is not None
    worlds = {
        name: load_world(split, config.cache) for name, split in _scored_splits(config).items()
    }
    frames: dict[str, Frames] = {name: _first(data, count) for name, data in worlds.items()}
    if tiles := load_real_tiles():
        frames['real_tiles'] = tiles
    scores = {
        name: scores_by_share(
            run.network,
            run.class_weight,
            part,
            config.modality,
            values,
            name=name,
            image_size=input_size(config),
        )
        for name, part in frames.items()
    }
    digests = {name: data.digest() for name, data in worlds.items()}
    return {
        **_description(config),
        'frames': {name: len(part) for name, part in frames.items()},
        'shares': {
            f'{value:g}': share_report({name: found[value] for name, found in scores.items()})
            for value in values
        },
        'real_tiles_note': REAL_TILES_NOTE,
        'data_digest': {'train': run.frames['digest'], **digests},
        'versions': versions(),
        'config': plain(config),
    }


def _check_request(config: RunConfig, values: Sequence[float], count: int | None) -> None:
    for value in values:
        replace(config, prior_correction=value)  # refuses what is out of range
    if not values or len(set(values)) < len(values):
        raise ConfigError(f'values must be at least one and differ, got {list(values)}')
    if count is not None and count < 1:
        raise ConfigError(f'count must be >= 1, got {count}')


def _scored_splits(config: RunConfig) -> dict[str, WorldSplit]:
    return {name: config.splits()[name] for name in ('validation', 'test')}


def _first(frames: Frames, count: int | None) -> Frames:
    return frames if count is None else [frames[k] for k in range(min(count, len(frames)))]


def _description(config: RunConfig) -> dict[str, Any]:
    return {
        'recipe': 'prior_correction',
        'name': config.name,
        'modality': config.modality,
        'seed': config.seed,
        'trained_on': 'synthetic',
        'frame_keys': {name: split.key() for name, split in _scored_splits(config).items()},
    }


def records_like(record: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The records of all seeds that can stand in one table with a record, by seed."""
    paths = folder.glob(f'{record["name"]}_seed*.json')
    found = sorted((read_record(path) for path in paths), key=lambda each: int(each['seed']))
    alike = [each for each in found if are_alike(each, record)]
    if left := [each['seed'] for each in found if each not in alike]:
        print(f'seeds {left} are left out: other settings, shares or frames; measure them again')
    return alike


def main(arguments: list[str] | None = None) -> None:
    """Measure one run, write its record, and tables over all seeds."""
    parser = argparse.ArgumentParser(
        description='Score a finished run with several prior corrections.', allow_abbrev=False
    )
    parser.add_argument('--recipe', choices=RECIPES, default='supervised')
    parser.add_argument('--values', type=float, nargs='+', default=list(VALUES))
    parser.add_argument('--count', type=int, help='first frames of each split; all if not given')
    parser.add_argument('--records', type=Path, default=Path('results/prior_correction'))
    parser.add_argument('--page', type=Path, help='page in Markdown to write the tables into')
    own, rest = parser.parse_known_args(arguments)
    config: RunConfig = load_config(RECIPES[own.recipe], rest)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    path = own.records / f'{config.name}_seed{config.seed}.json'
    record = measure(config, own.values, own.count)
    write_record(path, record)
    text = prior_correction_section(records_like(record, own.records))
    print(f'{text}\n\n{path}')
    if own.page:
        page = own.page.read_text(encoding='utf-8') if own.page.is_file() else '# Results\n'
        section = f'prior correction {config.name}'
        own.page.write_text(replace_section(page, section, text), encoding='utf-8')


if __name__ == '__main__':
    main()
