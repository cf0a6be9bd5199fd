# SPDX-License-Identifier: Apache-2.0
"""A tiny supervised run, for the tests of the recipe and of its export."""

from __future__ import annotations

from training.data.augmentation import AugmentationConfig, JointConfig
from training.data.world import WorldSplit, load_world
from training.recipes import supervised
from training.recipes.supervised import SupervisedConfig

WORLD = {'height': 64, 'width': 96, 'density': 3.0}


def tiny_run(folder, cache):
    """Eight steps on twelve small frames; what the run writes goes below a folder."""
    return SupervisedConfig(
        name='tiny',
        steps=8,
        batch_size=4,
        checkpoint_steps=3,
        bfloat16=False,
        cache=cache,
        output=folder / 'runs',
        results=folder / 'results',
        train=WorldSplit('train', 1, 12, world=WORLD),
        validation=WorldSplit('val', 1, 3, world=WORLD),
        test=WorldSplit('test', 1, 3, world=WORLD),
        presets=('night', 'shifted'),
        preset_count=2,
        augmentation=AugmentationConfig(JointConfig(64, 64, scale_low=0.9, scale_high=1.1)),
    )


def trained(config):
    training = supervised.build(config)
    supervised.fit(training, load_world(config.train, config.cache), config)
    return training
