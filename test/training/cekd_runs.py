# SPDX-License-Identifier: Apache-2.0
"""A tiny CEKD run and a batch of it, for the tests of the recipe.

As a program it is one of several processes that train together, and writes what the first got:

    python -m cekd_runs --folder out --cache world --launch.devices 2
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from run_processes import Process

from training.data.augmentation import AugmentationConfig, JointConfig
from training.data.world import WorldSplit
from training.distributed import LaunchConfig, launch
from training.engine import LoopConfig
from training.optimization import OptimizerConfig
from training.recipes import cekd
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_data import teacher_frames
from training.recipes.cekd_networks import StudentConfig, TeacherConfig
from training.settings import load_config

WORLD = {'height': 64, 'width': 96, 'density': 3.0}
LOOP = LoopConfig(steps=6, batch_size=4, checkpoint_steps=3, picture_steps=100)


def tiny_run(folder, cache, **changes):
    """Six steps per stage on twelve small frames, five of them with labels."""
    config = CekdConfig(
        name='tiny',
        image_size=(64, 64),
        labeled=5,
        train=WorldSplit('train', 1, 12, world=WORLD),
        validation=WorldSplit('val', 1, 3, world=WORLD),
        test=WorldSplit('test', 1, 3, world=WORLD),
        augmentation=AugmentationConfig(JointConfig(scale_low=0.9, scale_high=1.1)),
        teacher=TeacherConfig(loop=LOOP),
        student=StudentConfig(loop=LOOP),
        launch=LaunchConfig(accelerator='cpu', bfloat16=False),
        cache=cache,
        output=folder / 'runs',
        results=folder / 'results',
    )
    return replace(config, **changes)


def with_steps(config, steps):
    """The same run with as many steps in both stages."""
    loop = replace(LOOP, steps=steps)
    return replace(
        config,
        teacher=replace(config.teacher, loop=loop),
        student=replace(config.student, loop=loop),
    )


def batch_of(config, *, labeled_only=True, size=2):
    """Samples of the teacher's frames, as `fit` stacks them."""
    frames = teacher_frames(config)
    rng = np.random.default_rng(0)
    samples = [frames.draw(rng, config, labeled_only=labeled_only) for _ in range(size)]
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*samples, strict=True))


def shareable(config):
    """A run that processes can share but for rounding.

    Classes weigh as they are rare, and most labels are hidden: what a loss divides by differs from
    process to process. Steps are in proportion to gradients (AdamW's first ones have the size of
    the learning rate, also where a gradient is noise), and they are two: rounding grows tenfold
    with each.
    """
    view = JointConfig(scale_low=1.0, scale_high=1.0, stretch=0.0, angle_deg=0.0)
    optimizer = OptimizerConfig(kind='sgd', learning_rate=0.001)
    config = with_steps(config, 2)
    return replace(
        config,
        augmentation=AugmentationConfig(view),
        teacher=replace(config.teacher, optimizer=optimizer),
        student=replace(config.student, optimizer=optimizer, target='both', reweigh=True),
    )


def main():
    arguments = load_config(Process)
    config = shareable(tiny_run(arguments.folder, arguments.cache, launch=arguments.launch))
    fabric = launch(config.launch)
    trained = cekd.networks(config, fabric)
    if fabric.is_global_zero:
        states = {role: network.state_dict() for role, network in trained.items()}
        torch.save(states, arguments.folder / 'states.pt')


if __name__ == '__main__':
    main()
