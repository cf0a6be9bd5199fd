# SPDX-License-Identifier: Apache-2.0
"""A tiny run of mutual distillation, for the tests of the recipe.

As a program it is one of several processes that train together, and writes what the first got:

    python -m mutual_runs --folder out --cache world --launch.devices 2
"""

from __future__ import annotations

from dataclasses import replace

import torch
from run_processes import Process

from training.batches import stacked
from training.data.world import WorldSplit
from training.distributed import LaunchConfig, launch
from training.engine import LoopConfig
from training.optimization import OptimizerConfig
from training.recipes.mutual_distillation import trained
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_data import Drawing
from training.recipes.mutual_distillation_networks import NetworkConfig
from training.recipes.mutual_distillation_terms import BranchConfig
from training.settings import load_config

WORLD = {'height': 64, 'width': 96, 'focal_share': [0.9, 0.9], 'camera_height_m': [1.5, 1.5]}
LOOP = LoopConfig(steps=12, batch_size=2, checkpoint_steps=6, log_steps=3, picture_steps=100)

SUPERVISED = BranchConfig('supervised')
UNSUPERVISED = BranchConfig('unsupervised', views='both')
NONE = BranchConfig('none')


def split(name, count):
    return WorldSplit(name, 2, count, preset='day', world=WORLD)


def tiny_run(folder, cache, **changes):
    """Twelve steps on eight small frames; stereo and video."""
    config = MutualConfig(
        name='tiny',
        image_size=(64, 96),
        first=SUPERVISED,
        second=UNSUPERVISED,
        network=NetworkConfig(base_width=4, min_depth_m=2.0, initial_depth_m=10.0),
        train=split('train', 8),
        validation=split('val', 3),
        test=split('test', 3),
        loop=LOOP,
        optimizer=OptimizerConfig(learning_rate=1e-3),
        launch=LaunchConfig(accelerator='cpu', bfloat16=False),
        cache=cache,
        output=folder / 'runs',
        results=folder / 'results',
    )
    return replace(config, **changes)


def batch_of(config, size=2, step=0):
    draw = Drawing(config)
    return stacked([draw(step, index) for index in range(size)])


def weights_with_gradient(network, loss):
    """Names of the weights that a loss teaches."""
    network.zero_grad(set_to_none=True)
    loss.backward(retain_graph=True)
    return {n for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}


def shareable(config):
    """A run that processes can share but for rounding: two small steps in proportion to gradients.

    AdamW's first steps have the size of the learning rate, also where a gradient is noise.
    """
    return replace(
        config,
        loop=replace(config.loop, steps=2),
        optimizer=OptimizerConfig(kind='sgd', learning_rate=1e-4),
    )


def main():
    arguments = load_config(Process)
    config = shareable(tiny_run(arguments.folder, arguments.cache, launch=arguments.launch))
    fabric = launch(config.launch)
    network = trained(config, fabric)
    if fabric.is_global_zero:
        torch.save(network.state_dict(), arguments.folder / 'state.pt')


if __name__ == '__main__':
    main()
