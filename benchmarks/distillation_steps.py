# SPDX-License-Identifier: Apache-2.0
"""What a training step of each row of channel-wise distillation takes, beside the student alone.

    python -m benchmarks.distillation_steps --out results/latency/distillation_steps.jsonl

A whole step: images and labels drawn, teacher and student, losses, gradients, the optimizer. The
rows take turns, one step each; medians, and ratios against the first row. Weights of the teacher
are random: they change no time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kd_perception.machine import describe
from training.batches import batches
from training.recipes.channel_wise import new_learner, step_losses
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_data import Drawing
from training.recipes.channel_wise_learner import new_optimizer
from training.recipes.channel_wise_networks import Maps, Segmenter
from training.settings import load_config

CONFIGS = Path('training/configs/channel_wise')
ROWS = (
    'alone', 'cwd_logits', 'cwd_features', 'pi_logits', 'pi_features', 'at_logits', 'at_features',
    'local_logits', 'local_features', 'ifvd_logits', 'ifvd_features', 'ho_logits', 'pa_logits',
    'pa_features', 'cekd',
)  # fmt: skip
FRAMES = 40
"""Rendered for it: as many as rows draw from do not matter to a step."""


def random_teacher(config: ChannelWiseConfig) -> Callable[[Tensor], Maps]:
    """A teacher of the run's size that has learnt nothing."""
    network = Segmenter(config.teacher, config.label_set.num_classes).eval()

    @torch.no_grad()
    def taught(images: Tensor) -> Maps:
        maps: Maps = network(images)
        return maps

    return taught


def stepper(config: ChannelWiseConfig) -> Callable[[int], None]:
    """A function that does a step of the student of a run.

    Args:
        config: of the run, on the CPU.
    """
    learner = new_learner(config, 'student').train()
    optimizer = new_optimizer(learner, config.student.optimizer)
    teacher = random_teacher(config) if config.terms else None
    draw, size = Drawing(config, 'student'), config.student.loop.batch_size

    def step(number: int) -> None:
        (batch,) = batches(draw, range(number, number + 1), range(size))
        optimizer.zero_grad()
        terms = step_losses(learner, batch, config, 'student', teacher)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()

    return step


def measure(configs: Sequence[ChannelWiseConfig], rounds: int) -> list[dict[str, Any]]:
    """Rows with the median milliseconds of a step and the ratio against the first run.

    Args:
        configs: of the runs that take turns.
        rounds: steps of each; one more is not counted.
    """
    steppers = [stepper(config) for config in configs]
    times = np.empty((rounds + 1, len(configs)))
    for number in tqdm(range(rounds + 1), unit='round'):
        for k, step in enumerate(steppers):
            start = time.perf_counter()
            step(number)
            times[number, k] = 1e3 * (time.perf_counter() - start)
    medians = np.median(times[1:], axis=0)
    return [
        {'run': config.name, 'ms': round(float(own), 2), 'times_first': round(float(ratio), 3)}
        for config, own, ratio in zip(configs, medians, medians / medians[0], strict=True)
    ]


def line_of(row: Mapping[str, Any]) -> str:
    """A row for people."""
    return '{run:<16} {ms:8.1f} ms {times_first:6.2f}'.format(**row)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(description='Time training steps of distillation.')
    parser.add_argument('--configs', type=Path, default=CONFIGS, help='folder of the rows')
    parser.add_argument('--rows', nargs='+', default=ROWS)
    parser.add_argument('--rounds', type=int, default=40)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--frames', type=int, default=FRAMES)
    parser.add_argument('--out', type=Path, help='write the machine and one JSON line per row')
    own, rest = parser.parse_known_args(arguments)
    torch.set_num_threads(own.threads)
    configs = [
        load_config(ChannelWiseConfig, ['--config_path', str(own.configs / f'{name}.yaml'), *rest])
        for name in own.rows
    ]
    fewer = [replace(each, train=replace(each.train, count=own.frames)) for each in configs]
    rows = measure(fewer, own.rounds)
    for row in rows:
        print(line_of(row))
    if own.out:
        head = {'machine': describe(), 'threads': own.threads, 'rounds': own.rounds}
        own.out.parent.mkdir(parents=True, exist_ok=True)
        own.out.write_text(''.join(json.dumps(line) + '\n' for line in (head, *rows)))


if __name__ == '__main__':
    main()
