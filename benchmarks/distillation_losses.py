# SPDX-License-Identifier: Apache-2.0
"""What each distillation loss adds to a training step: time and memory, beside cross-entropy.

    python -m benchmarks.distillation_losses --out results/latency/distillation_losses.jsonl

Losses alone, forward and backward to the student's map, on random maps in float32, in turn,
medians; the ratio is against cross-entropy on the same map in the same run. Memory is the most
that torch holds at once for tensors made on the way, without both maps and the labels. A
discriminator is there with its own loss and step, as the holistic term needs it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from kd_perception.machine import describe
from training.losses import (
    Discriminator,
    DiscriminatorConfig,
    attention_transfer_loss,
    channel_wise_loss,
    cross_entropy_loss,
    discriminator_loss,
    holistic_loss,
    intra_class_variation_loss,
    local_similarity_loss,
    pairwise_affinity_loss,
    pixel_wise_loss,
    soft_cross_entropy_loss,
)

BASELINE = 'cross_entropy'
SHAPES = ('2x9x120x160', '2x128x120x160', '2x19x65x65', '2x512x65x65')
MIB = 2.0**20
_MATRICES = 6
"""Of places by places, that the similarities of all pairs hold at once, rounded up."""


class Maps(NamedTuple):
    """What losses compare: float32 [batch, channels, height, width], int64 labels of places."""

    student: Tensor
    teacher: Tensor
    labels: Tensor


def random_maps(shape: Sequence[int]) -> Maps:
    """Maps of a student, which learns, and of a teacher."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(*shape, generator=generator) for _ in range(2))
    labels = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    return Maps(student.requires_grad_(), teacher, labels)


def losses_for(shape: Sequence[int]) -> dict[str, Callable[[Maps], Tensor]]:
    """Every loss by name, for maps of a shape; the baseline first."""
    torch.manual_seed(0)
    levels = min(4, int(np.log2(min(shape[2:]) / 4)))  # 4 in the paper's code, where they fit
    discriminator = Discriminator(DiscriminatorConfig(shape[1], levels=levels))
    return {
        BASELINE: lambda m: cross_entropy_loss(m.student, m.labels),
        'soft_cross_entropy': lambda m: soft_cross_entropy_loss(m.student, m.teacher),
        'pixel_wise': lambda m: pixel_wise_loss(m.student, m.teacher),
        'attention_transfer': lambda m: attention_transfer_loss(m.student, m.teacher),
        'channel_wise': lambda m: channel_wise_loss(m.student, m.teacher, temperature=4.0),
        'local_similarity': lambda m: local_similarity_loss(m.student, m.teacher),
        'local_similarity cosine': lambda m: local_similarity_loss(
            m.student, m.teacher, similarity='cosine'
        ),
        'intra_class_variation': lambda m: intra_class_variation_loss(
            m.student, m.teacher, m.labels, num_classes=19
        ),
        'pairwise_affinity half': lambda m: pairwise_affinity_loss(
            m.student, m.teacher, pool='half'
        ),
        'pairwise_affinity 2x2': lambda m: pairwise_affinity_loss(
            m.student, m.teacher, pool='2x2'
        ),
        'pairwise_affinity': lambda m: pairwise_affinity_loss(m.student, m.teacher),
        'holistic': lambda m: (
            holistic_loss(discriminator, m.student)
            + discriminator_loss(discriminator, m.student, m.teacher)
        ),
    }


def needed_gib(loss: str, shape: Sequence[int]) -> float:
    """What similarities of pairs need at most, in GiB; 0 for other losses."""
    if not loss.startswith('pairwise_affinity') or loss.endswith('half'):
        return 0.0
    places = shape[2] * shape[3] / (4 if loss.endswith('2x2') else 1)
    return float(_MATRICES * shape[0] * places**2 * 4 / 2**30)


def step(loss: Callable[[Maps], Tensor], maps: Maps) -> None:
    """Forward and backward."""
    loss(maps).backward()
    maps.student.grad = None


def peak_bytes(run: Callable[[], None]) -> int:
    """The most bytes of tensors that something holds at once beyond those that were there."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    events = profiler.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == '[memory]')
    held = np.cumsum([change for _, change in changes])
    return int(held.max(initial=0))


def measure(shape: Sequence[int], rounds: int, largest_gib: float) -> list[dict[str, Any]]:
    """Rows of one shape; a loss that needs more memory has no figures but says so."""
    maps, losses = random_maps(shape), losses_for(shape)
    needs = {name: needed_gib(name, shape) for name in losses}
    fitting = {name: loss for name, loss in losses.items() if needs[name] <= largest_gib}
    peaks = {
        name: peak_bytes(lambda loss=loss: step(loss, maps)) for name, loss in fitting.items()
    }
    times: dict[str, list[float]] = {name: [] for name in fitting}
    for _ in tqdm(range(rounds), 'x'.join(map(str, shape))):
        for name, loss in fitting.items():
            start = time.perf_counter()
            step(loss, maps)
            times[name].append(1e3 * (time.perf_counter() - start))
    median = {name: float(np.median(own)) for name, own in times.items()}
    return [
        {
            'loss': name,
            'shape': 'x'.join(map(str, shape)),
            'ms': round(median[name], 3) if name in fitting else None,
            'times_cross_entropy': round(median[name] / median[BASELINE], 2)
            if name in fitting
            else None,
            'peak_mib': round(peaks[name] / MIB, 2) if name in fitting else None,
            **({} if name in fitting else {'needs_gib': round(needs[name], 1)}),
        }
        for name in losses
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and keep the rows."""
    parser = argparse.ArgumentParser(description='Time distillation losses, and their memory.')
    parser.add_argument('--shapes', nargs='+', default=SHAPES, help='as 2x9x120x160')
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument(
        '--largest-gib', type=float, default=20.0, help='leave out what needs more'
    )
    parser.add_argument('--out', type=Path, help='write one JSON line per row')
    own = parser.parse_args(arguments)
    torch.set_num_threads(own.threads)
    rows = []
    print(f'{"loss":<24} {"shape":>14} {"ms":>9} {"times":>7} {"MiB":>9}')
    for text in own.shapes:
        shape = [int(part) for part in text.split('x')]
        for row in measure(shape, own.rounds, own.largest_gib):
            rows.append(row)
            values = (row[key] for key in ('ms', 'times_cross_entropy', 'peak_mib'))
            shown = ('-' if v is None else f'{v:.2f}' for v in values)
            print('{:<24} {:>14} {:>9} {:>7} {:>9}'.format(row['loss'], row['shape'], *shown))
    if own.out:
        machine = {'machine': describe(), 'threads': own.threads, 'rounds': own.rounds}
        own.out.parent.mkdir(parents=True, exist_ok=True)
        own.out.write_text('\n'.join(json.dumps(row) for row in (machine, *rows)) + '\n')


if __name__ == '__main__':
    main()
