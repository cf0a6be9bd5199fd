# SPDX-License-Identifier: Apache-2.0
"""What each distillation loss adds to a training step: time and memory, beside cross-entropy.

    python -m benchmarks.distillation_losses --out results/latency/distillation_losses.jsonl

Losses alone, forward and backward to the student's map, on random maps in float32; medians. Each
is measured in turn with cross-entropy on the same map, and the ratio is against that. Memory is
the most that torch holds at once for tensors made on the way, without both maps and the labels. A
discriminator is there with its own loss and step, as the holistic term needs it. Rows that are
called aligned begin with the student's fewer channels, and have the alignment layer and its
gradients in them.

A row is written as soon as it is measured, to the end of the file: where the same is measured
again, the last line counts. One that needs more memory than is free is left out, and says so.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from kd_perception.machine import describe
from training.losses import (
    ChannelAlignment,
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
SHAPES = (
    *('2x9x120x160', '2x128x120x160', '2x19x65x65', '2x512x65x65'),
    *('4x9x24x32', '4x64x24x32'),
)
"""Those of a robot's images, of the paper and of the rows on the world."""

ALIGNED = {512: 128, 64: 32}
"""Channels of the student's features by those of the teacher's: of the paper, and of the world."""

PAPER_CHANNELS = (19, 512)
PAPER_CLASSES, ROBOT_CLASSES = 19, 9

MIB = 2.0**20
_MATRICES = 6
"""Of places by places, that the similarities of all pairs hold at once, rounded up."""

_MAPS = 16
"""As large as the teacher's, that any loss holds at once, rounded up."""

_DISCRIMINATOR_GIB = 0.25
"""What its weights, their gradients and its own maps take beside, rounded up."""

_KEPT_FREE = 0.1
"""Share of the free memory that is left to others."""


class Maps(NamedTuple):
    """What losses compare: float32 [batch, channels, height, width], int64 labels of places."""

    student: Tensor
    teacher: Tensor
    labels: Tensor


def classes_of(shape: Sequence[int]) -> int:
    """How many classes there are where maps have that shape: 19 in the paper, 9 on the robot."""
    return PAPER_CLASSES if shape[1] in PAPER_CHANNELS else ROBOT_CLASSES


def discriminator_for(shape: Sequence[int]) -> Discriminator:
    """That of the paper's code, or that of the rows on the world where its levels do not fit."""
    paper = DiscriminatorConfig(shape[1])
    if min(shape[2:]) >= paper.least_size:
        return Discriminator(paper)
    return Discriminator(DiscriminatorConfig(shape[1], base_width=16, levels=2))


def random_maps(shape: Sequence[int]) -> Maps:
    """Maps of a student, which learns, and of a teacher."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(*shape, generator=generator) for _ in range(2))
    labels = torch.randint(0, classes_of(shape), (shape[0], *shape[2:]), generator=generator)
    return Maps(student.requires_grad_(), teacher, labels)


def losses_for(shape: Sequence[int]) -> dict[str, Callable[[Maps], Tensor]]:
    """Every loss by name, for maps of a shape; the baseline first."""
    torch.manual_seed(0)
    discriminator, classes = discriminator_for(shape), classes_of(shape)
    weight = torch.linspace(1.0, 10.0, classes)
    bare: dict[str, Callable[[Maps], Tensor]] = {
        BASELINE: lambda m: cross_entropy_loss(m.student, m.labels),
        'soft_cross_entropy': lambda m: soft_cross_entropy_loss(m.student, m.teacher),
        'pixel_wise': lambda m: pixel_wise_loss(m.student, m.teacher),
        'pixel_wise weighted': lambda m: pixel_wise_loss(
            m.student, m.teacher, weight=weight, classes=m.labels
        ),
        'attention_transfer': lambda m: attention_transfer_loss(m.student, m.teacher),
        'channel_wise': lambda m: channel_wise_loss(m.student, m.teacher, temperature=4.0),
        'local_similarity': lambda m: local_similarity_loss(m.student, m.teacher),
        'local_similarity cosine': lambda m: local_similarity_loss(
            m.student, m.teacher, similarity='cosine'
        ),
        'intra_class_variation': lambda m: intra_class_variation_loss(
            m.student, m.teacher, m.labels, num_classes=classes
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
    return bare | _aligned(bare, shape)


def _aligned(
    bare: dict[str, Callable[[Maps], Tensor]], shape: Sequence[int]
) -> dict[str, Callable[[Maps], Tensor]]:
    """Some losses of fewer channels that are brought to those of the teacher before."""
    if shape[1] not in ALIGNED:
        return {}
    channels = ALIGNED[shape[1]]
    layer = ChannelAlignment(channels, shape[1])

    def aligned(loss: Callable[[Maps], Tensor], maps: Maps) -> Tensor:
        layer.zero_grad()
        return loss(maps._replace(student=layer(maps.student[:, :channels])))

    return {
        f'{name}, aligned': partial(aligned, bare[name])
        for name in ('channel_wise', 'attention_transfer', 'pixel_wise')
    }


def needed_gib(loss: str, shape: Sequence[int]) -> float:
    """What a loss needs at most, in GiB: some maps, similarities of pairs, a discriminator."""
    maps = _MAPS * float(np.prod(shape))
    pairs = loss.startswith('pairwise_affinity') and not loss.endswith('half')
    places = shape[2] * shape[3] / (4 if loss.endswith('2x2') else 1)
    matrices = _MATRICES * shape[0] * places**2 if pairs else 0.0
    layers = _DISCRIMINATOR_GIB if loss == 'holistic' else 0.0
    return layers + (maps + matrices) * 4 / 2**30


def free_gib() -> float:
    """Memory that is free, as Linux says it; infinite elsewhere."""
    try:
        lines = Path('/proc/meminfo').read_text().splitlines()
    except OSError:
        return float('inf')
    values = dict(line.split(':') for line in lines)
    return int(values['MemAvailable'].split()[0]) / 2**20


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


def timed_ms(loss: Callable[[Maps], Tensor], maps: Maps) -> float:
    """Milliseconds of a forward and a backward pass."""
    start = time.perf_counter()
    step(loss, maps)
    return 1e3 * (time.perf_counter() - start)


def measure_one(
    name: str, losses: Mapping[str, Callable[[Maps], Tensor]], maps: Maps, rounds: int
) -> dict[str, Any]:
    """Time and memory of a loss, in turn with the baseline."""
    peak = peak_bytes(lambda: step(losses[name], maps))
    pairs = [
        (timed_ms(losses[BASELINE], maps), timed_ms(losses[name], maps)) for _ in range(rounds)
    ]
    baseline, own = np.median(np.array(pairs), axis=0)
    times = 1.0 if name == BASELINE else round(float(own / baseline), 2)
    return {'ms': round(float(own), 3), 'times_cross_entropy': times,
            'peak_mib': round(peak / MIB, 2)}  # fmt: skip


def measure(
    shape: Sequence[int], rounds: int, largest_gib: float = float('inf')
) -> Iterator[dict[str, Any]]:
    """Rows of one shape, one by one; a loss that needs too much memory has no figures.

    Args:
        shape: of the teacher's map.
        rounds: of each loss.
        largest_gib: what needs more is left out, and what needs more than is free.
    """
    maps, losses = random_maps(shape), losses_for(shape)
    text = 'x'.join(map(str, shape))
    for name in tqdm(losses, text):
        row: dict[str, Any] = {'loss': name, 'shape': text}
        needs, free = needed_gib(name, shape), free_gib()
        if needs <= min(largest_gib, (1.0 - _KEPT_FREE) * free):
            yield row | measure_one(name, losses, maps, rounds)
        else:
            nothing = dict.fromkeys(('ms', 'times_cross_entropy', 'peak_mib'))
            yield row | nothing | {'needs_gib': round(needs, 1), 'free_gib': round(free, 1)}


def line_of(row: Mapping[str, Any]) -> str:
    """A row for people."""
    shown = f'{row["loss"]:<28} {row["shape"]:>14} '
    if row['ms'] is None:
        return f'{shown} left out: needs {row["needs_gib"]} GiB, {row["free_gib"]} are free'
    return shown + '{ms:9.2f} {times_cross_entropy:7.2f} {peak_mib:9.2f}'.format(**row)


def append(path: Path | None, line: Mapping[str, Any]) -> None:
    """Write a line of JSON to the end of a file, if there shall be one."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(line) + '\n')


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and keep the rows."""
    parser = argparse.ArgumentParser(description='Time distillation losses, and their memory.')
    parser.add_argument('--shapes', nargs='+', default=SHAPES, help='as 2x9x120x160')
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument(
        '--largest-gib', type=float, default=float('inf'), help='leave out what needs more'
    )
    parser.add_argument('--out', type=Path, help='append one JSON line per row')
    own = parser.parse_args(arguments)
    torch.set_num_threads(own.threads)
    append(own.out, {'machine': describe(), 'threads': own.threads, 'rounds': own.rounds})
    print(f'{"loss":<28} {"shape":>14} {"ms":>10} {"times":>7} {"MiB":>9}')
    for text in own.shapes:
        for row in measure([int(part) for part in text.split('x')], own.rounds, own.largest_gib):
            append(own.out, row)
            print(line_of(row))


if __name__ == '__main__':
    main()
