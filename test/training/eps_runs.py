# SPDX-License-Identifier: Apache-2.0
"""Tiny EPS runs, for the tests of the recipe.

As a program it is one of several processes that run together, and writes what the first got:

    python -m eps_runs --folder out --cache world --launch.devices 2
"""

from __future__ import annotations

from dataclasses import replace

import torch
from run_processes import Process

from training.data.augmentation import JointConfig
from training.data.tagged_frames import TagViewConfig
from training.data.world import WorldSplit
from training.data.world_views import WorldViewConfig
from training.distributed import LaunchConfig, launch
from training.engine import LoopConfig
from training.optimization import OptimizerConfig
from training.pseudo_masks import MaskConfig
from training.recipes import eps
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_data import RunFrames
from training.recipes.eps_parts import ClassifierConfig, RatesConfig, SegmentationConfig
from training.settings import load_config

WORLD = {'height': 64, 'width': 96, 'density': 3.0}
LOOP = LoopConfig(steps=6, batch_size=4, checkpoint_steps=3, picture_steps=100)


def tiny_run(folder, cache, **changes):
    """Six steps per network on a few small crops."""
    values = {
        'name': 'tiny',
        'stage': 'segmentation',
        'views': WorldViewConfig(image_size=(32, 32), count=12, least_px=10),
        'train': WorldSplit('train', 1, 4, world=WORLD),
        'validation': WorldSplit('val', 1, 2, world=WORLD),
        'test': WorldSplit('test', 1, 2, world=WORLD),
        'test_count': 4,
        'classifier': ClassifierConfig(
            base_width=4, rates=RatesConfig(1.0, 1.0), view=TagViewConfig(32, 28, 40), loop=LOOP
        ),
        'masks': MaskConfig(scales=(1.0, 1.5), thresholds=(0.1, 0.5)),
        'segmentation': SegmentationConfig(
            image_size=(32, 32), view=JointConfig(32, 32, 0.9, 1.1), loop=LOOP
        ),
        'launch': LaunchConfig(accelerator='cpu', bfloat16=False),
        'cache': cache,
        'output': folder / 'runs',
        'results': folder / 'results',
    }
    return EpsConfig(**{**values, **changes})


def tagged_run(folder, tagged, **changes):
    """The same on a folder of tags; its frames, or all tiles of one, have 64x96 pixels."""
    segmentation = SegmentationConfig(
        image_size=(64, 96), view=JointConfig(32, 32, 0.9, 1.1), loop=LOOP
    )
    values = {'tagged': str(tagged), 'segmentation': segmentation}
    return tiny_run(folder, folder / 'world', **{**values, **changes})


def changed(config, part, **changes):
    """The same run with other settings of a part."""
    return replace(config, **{part: replace(getattr(config, part), **changes)})


def shareable(config):
    """A run that processes can share but for rounding: plain gradient steps, and two of them.

    The saliency loss sorts maps by a threshold, which rounding may cross: all are foreground here.
    """
    loop = replace(LOOP, steps=2, checkpoint_steps=2)
    optimizer = OptimizerConfig(kind='sgd', learning_rate=0.001)
    config = changed(config, 'classifier', loop=loop, optimizer=optimizer, selection='naive')
    return replace(config, stage='masks')


def main():
    arguments = load_config(Process)
    config = shareable(tiny_run(arguments.folder, arguments.cache, launch=arguments.launch))
    fabric = launch(config.launch)
    metrics = eps.run_stages(config, fabric)
    if fabric.is_global_zero:
        run = eps.build(config, 'classifier')
        state = {'network': run.network.state_dict(), 'masks': len(RunFrames(config)['train'])}
        torch.save(state | {'miou': metrics['masks']['miou']}, arguments.folder / 'state.pt')


if __name__ == '__main__':
    main()
