# SPDX-License-Identifier: Apache-2.0
"""A tiny run of channel-wise distillation and its rivals, for the tests of the recipe.

As a program it is one of several processes that train together, and writes what the first got:

    python -m channel_wise_runs --folder out --cache world --launch.devices 2
"""

from __future__ import annotations

from dataclasses import replace

import torch
from run_processes import Process

from training.data.augmentation import AugmentationConfig, JointConfig
from training.data.world import WorldSplit
from training.distributed import LaunchConfig, launch
from training.engine import LoopConfig
from training.optimization import OptimizerConfig
from training.recipes import channel_wise
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_learner import OpponentConfig
from training.recipes.channel_wise_networks import NetworkConfig
from training.recipes.channel_wise_terms import TermConfig
from training.settings import load_config

WORLD = {'height': 64, 'width': 96, 'density': 3.0}
LOOP = LoopConfig(steps=6, batch_size=4, checkpoint_steps=3, picture_steps=100)

ALIGNED = {'at': 'features', 'alignment': 'norm_relu'}
PLAIN = {'at': 'features'}
TERMS = {
    'attention_transfer_logits': TermConfig('attention_transfer', weight=1e3),
    'attention_transfer_features': TermConfig('attention_transfer', weight=1e3, **ALIGNED),
    'channel_wise_logits': TermConfig('channel_wise', options={'temperature': 4.0}),
    'channel_wise_features': TermConfig('channel_wise', options={'temperature': 4.0}, **ALIGNED),
    'holistic_logits': TermConfig('holistic', weight=0.1),
    'holistic_features': TermConfig('holistic', weight=0.1, **ALIGNED),
    'intra_class_variation_logits': TermConfig('intra_class_variation'),
    'intra_class_variation_features': TermConfig('intra_class_variation', **PLAIN),
    'local_similarity_logits': TermConfig('local_similarity', weight=0.1),
    'local_similarity_features': TermConfig('local_similarity', weight=0.1, **PLAIN),
    'pairwise_affinity_logits': TermConfig('pairwise_affinity'),
    'pairwise_affinity_features': TermConfig('pairwise_affinity', **PLAIN),
    'pixel_wise_logits': TermConfig('pixel_wise'),
    'pixel_wise_features': TermConfig('pixel_wise', **ALIGNED),
    'classes_logits': TermConfig('classes'),
    'soft_cross_entropy_logits': TermConfig('soft_cross_entropy'),
    'hint_features': TermConfig('hint', at='features', alignment='bare'),
}
"""Every loss at every place, by the name of its term."""


def tiny_run(folder, cache, *terms, **changes):
    """Six steps per role on twelve small frames; the teacher sees color too."""
    config = ChannelWiseConfig(
        name='tiny',
        image_size=(64, 96),
        teacher=NetworkConfig(preset='rep_unet', modality='rgbt', loop=LOOP),
        student=NetworkConfig(preset='rep_unet_s', loop=LOOP),
        terms=tuple(TERMS[name] for name in terms),
        opponent=OpponentConfig(base_width=8, levels=2),
        train=WorldSplit('train', 1, 12, world=WORLD),
        validation=WorldSplit('val', 1, 3, world=WORLD),
        test=WorldSplit('test', 1, 3, world=WORLD),
        augmentation=AugmentationConfig(JointConfig(64, 64, scale_low=0.9, scale_high=1.1)),
        launch=LaunchConfig(accelerator='cpu', bfloat16=False),
        cache=cache,
        output=folder / 'runs',
        results=folder / 'results',
    )
    return replace(config, **changes)


def with_loop(config, **changes):
    """The same run with other loops of both roles."""
    loop = replace(LOOP, **changes)
    return replace(
        config,
        teacher=replace(config.teacher, loop=loop),
        student=replace(config.student, loop=loop),
    )


def shareable(folder, cache, *terms, **changes):
    """One step that processes can share but for rounding.

    Classes weigh, pixels beyond the frame are not known, and it follows gradients in size: AdamW's
    first one has the size of the learning rate, also where a gradient is noise.
    """
    view = JointConfig(64, 64, scale_low=0.5, scale_high=1.0, angle_deg=10.0)
    config = with_loop(tiny_run(folder, cache, *terms, **changes), steps=1)
    optimizer = OptimizerConfig(kind='sgd', learning_rate=0.01, schedule='constant')
    return replace(
        config,
        name='_'.join(terms),
        augmentation=AugmentationConfig(view),
        teacher=replace(config.teacher, optimizer=optimizer),
        student=replace(config.student, optimizer=optimizer),
    )


def main():
    arguments = load_config(Process)
    fabric = launch(arguments.launch)
    states = {}
    for name in TERMS:
        config = shareable(arguments.folder, arguments.cache, name, launch=arguments.launch)
        (run,) = channel_wise.networks(config, fabric).values()
        states[name] = run.network.state_dict()
    if fabric.is_global_zero:
        torch.save(states, arguments.folder / 'states.pt')


if __name__ == '__main__':
    main()
