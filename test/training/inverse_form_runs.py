# SPDX-License-Identifier: Apache-2.0
"""A tiny InverseForm run, a batch and an inverse network of it, for the tests of the recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from cekd_runs import LOOP, WORLD

from training.data.augmentation import AugmentationConfig, JointConfig
from training.data.world import WorldSplit
from training.distributed import LaunchConfig
from training.inverse_networks import InverseNetworkConfig, new_inverse_network
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_data import Drawing
from training.recipes.inverse_form_pretraining import InverseModule
from training.recipes.inverse_form_settings import BoundaryStudentConfig, InverseConfig

INVERSE = InverseConfig(
    network=InverseNetworkConfig(tile=32, hidden=8),
    tiles_per_frame=3,
    min_edge_pixels=10,
    held_out_tiles=20,
    min_explained=-100.0,
    loop=replace(LOOP, steps=4, batch_size=2, checkpoint_steps=2),
)
STUDENT = BoundaryStudentConfig(loop=LOOP)


def tiny_run(folder, cache, **changes):
    """Four steps of stage 1 and six of stage 2 on twelve small frames."""
    config = InverseFormConfig(
        name='tiny',
        image_size=(64, 64),
        train=WorldSplit('train', 1, 12, world=WORLD),
        validation=WorldSplit('val', 1, 3, world=WORLD),
        test=WorldSplit('test', 1, 3, world=WORLD),
        random_cameras=False,
        augmentation=AugmentationConfig(JointConfig(scale_low=0.9, scale_high=1.1)),
        inverse=INVERSE,
        student=STUDENT,
        launch=LaunchConfig(accelerator='cpu', bfloat16=False),
        cache=cache,
        output=folder / 'runs',
        results=folder / 'results',
    )
    return replace(config, **changes)


def batch_of(config, size=2):
    """The first samples of a run, as `fit` stacks them."""
    drawing = Drawing(config)
    parts = zip(*(drawing(0, k) for k in range(size)), strict=True)
    return tuple(torch.from_numpy(np.stack(part)) for part in parts)


def module_of(config):
    """A frozen inverse network that has learnt nothing."""
    torch.manual_seed(1)
    network = new_inverse_network(config.inverse.network).eval().requires_grad_(False)
    return InverseModule(network, {})
