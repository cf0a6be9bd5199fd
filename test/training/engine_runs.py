# SPDX-License-Identifier: Apache-2.0
"""A tiny run of the training loop: a network with batch normalization, samples from a formula.

As a program it is one of several processes that train together, and writes what each got:

    python -m engine_runs --launch.devices 2 --folder out
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from training.distributed import LaunchConfig, launch, share_of, synchronized
from training.engine import LoopConfig, NotFiniteError, Run, fit, restore
from training.optimization import OptimizerConfig, create_optimizer
from training.settings import load_config

CPU = LaunchConfig(accelerator='cpu', bfloat16=False)
LOOP = LoopConfig(
    steps=12, batch_size=4, checkpoint_steps=3, average_decay=0.9, log_steps=2, picture_steps=4
)
OPTIMIZER = OptimizerConfig(kind='sgd', learning_rate=0.05)


class Output(NamedTuple):
    logits: Tensor
    features: Tensor


class Sample(NamedTuple):
    image: np.ndarray | Tensor
    target: np.ndarray | Tensor


class Network(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(6, 3, 1)
        self.unused = nn.Linear(2, 2)  # gets no gradient, as adapters of features may not

    def forward(self, image):
        features = self.dropout(torch.relu(self.norm(self.stem(image))))
        return Output(self.head(features), features)


def build(*, optimizer=OPTIMIZER, average=True, dropout=0.0, seed=3):
    torch.manual_seed(seed)
    network = Network(dropout).train()
    copied = copy.deepcopy(network).eval() if average else None
    return Run(network, copied, create_optimizer(network.parameters(), optimizer))


def draw(step, index):
    """Offsets differ much between the samples, so that statistics of a part are not of all."""
    rng = np.random.default_rng([5, step, index])
    image = rng.normal(index, 1.0 + index, (2, 6, 5)).astype(np.float32)
    return Sample(image, rng.integers(0, 3, (6, 5)))


def losses(network, batch):
    output = network(batch.image)
    assert isinstance(output, Output)
    assert output.logits.dtype == torch.float32
    return {
        'cross_entropy': nn.functional.cross_entropy(output.logits, batch.target),
        'size': 0.01 * output.features.square().mean(),
    }


def losses_of_two_views(network, batch):
    first, second = network(batch.image).logits, network(batch.image.flip(-1)).logits
    terms = losses(network, batch)
    return {**terms, 'consistency': 0.1 * (first - second.flip(-1)).square().mean()}


def fitted(folder, fabric, *, run=None, loop=LOOP, optimizer=OPTIMIZER, **other):
    """A run that has gone to its end, from its checkpoint if there is one."""
    run = run or build(optimizer=optimizer, average=loop.average_decay > 0.0)
    restore(run, folder, 'tiny')
    arguments = {'draw': draw, 'losses': losses, 'fingerprint': 'tiny', **other}
    fit(run, fabric=fabric, loop=loop, optimizer_config=optimizer, folder=folder, **arguments)
    return run


def state_of(run):
    average = {} if run.average is None else run.average.state_dict()
    return {
        **{f'network.{name}': value for name, value in run.network.state_dict().items()},
        **{f'average.{name}': value for name, value in average.items()},
    }


def images_for_norm(features):
    generator = torch.Generator().manual_seed(1)
    shape = (6, 3, 5, 4) if features == 2 else (6, 3)
    offsets = torch.arange(6.0).view(6, *(1 for _ in shape[1:]))
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return 100.0 + offsets + noise


def normalize_share(features, share, fabric=None, **settings):
    """Output, statistics and gradients of a layer that sees a share of the images."""
    layer = (nn.BatchNorm2d if features == 2 else nn.BatchNorm1d)(3, **settings).double()
    if layer.affine:
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([1.0, 2.0, -0.5]))
    names = list(layer.state_dict())
    layer = synchronized(layer, fabric) if fabric else layer
    assert list(layer.state_dict()) == names
    images = images_for_norm(features)[share.start : share.stop].requires_grad_()
    output = layer(images)
    whole = images_for_norm(features)
    weights = torch.sin(torch.arange(whole.numel()).double()).view(whole.shape)
    weights = weights[share.start : share.stop]
    (output * weights + output.square() * weights).sum().backward()
    return {
        'output': output.detach(),
        'images': images.grad,
        'parameters': [parameter.grad for parameter in layer.parameters()],
        'statistics': list(layer.state_dict().values()),
        'evaluated': layer.eval()(images).detach(),
    }


NORMS = {
    'plain': (2, {}),
    'flat': (1, {}),
    'cumulative': (2, {'momentum': None}),
    'bare': (2, {'affine': False}),
    'untracked': (2, {'track_running_stats': False}),
}


@dataclass(frozen=True)
class Program:
    folder: Path = Path('out')
    launch: LaunchConfig = field(default_factory=LaunchConfig)


def diverging(rank):
    def losses_of_rank(network, batch):
        terms = losses(network, batch)
        return {**terms, 'bad': terms['size'] * (float('nan') if rank == 1 else 1.0)}

    return losses_of_rank


def main():
    config = load_config(Program)
    fabric = launch(config.launch)
    rank = fabric.global_rank
    run = build(seed=3 + rank)  # what the first process has is what all have
    run.notes = {'rank': rank}
    if rank:
        run.average.head.bias.data += 1.0
    fitted(config.folder / 'run', fabric, run=run)
    views = fitted(config.folder / 'views', fabric, losses=losses_of_two_views)
    shares = {name: range(2) if rank == 0 else range(2, 6) for name in NORMS}
    result = {
        'world_size': fabric.world_size,
        'share': list(share_of(4, fabric)),
        'state': state_of(run),
        'views': state_of(views),
        'seconds': run.seconds,
        'notes': run.notes,
        'norms': {
            name: normalize_share(features, shares[name], fabric, **settings)
            for name, (features, settings) in NORMS.items()
        },
        'error': '',
    }
    try:
        fitted(config.folder / 'diverged', fabric, losses=diverging(rank))
    except NotFiniteError as error:
        result['error'] = str(error)
    torch.save(result, config.folder / f'rank{rank}.pt')


if __name__ == '__main__':
    main()
