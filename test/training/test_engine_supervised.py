# SPDX-License-Identifier: Apache-2.0
"""The shared loop against the older one of the supervised recipe: the same bits."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from engine_runs import CPU, state_of
from supervised_runs import trained

from training.data.world import load_world
from training.distributed import launch
from training.engine import LoopConfig, Run, fit
from training.losses import segmentation_loss
from training.optimization import OptimizerConfig
from training.recipes import supervised


@pytest.mark.slow
@pytest.mark.parametrize('bfloat16', [False, True])
def test_supervised_recipe_would_learn_the_same_in_this_loop(config, tmp_path, bfloat16):
    config = dataclasses.replace(config, bfloat16=bfloat16)
    fabric = launch(dataclasses.replace(CPU, bfloat16=bfloat16))  # with one thread for both
    data = load_world(config.train, config.cache)
    recipe = trained(config)
    run = supervised.build(dataclasses.replace(config, output=tmp_path / 'other'))
    weight = supervised.frame_weights(recipe)
    batches = [supervised.draw_batch(data, config, step) for step in range(config.steps)]
    fit(
        Run(run.network, run.average, run.optimizer),
        fabric=fabric,
        loop=LoopConfig(steps=config.steps, batch_size=config.batch_size),
        optimizer_config=OptimizerConfig(learning_rate=config.learning_rate),
        draw=lambda step, index: tuple(part[index] for part in batches[step]),
        losses=lambda network, batch: {
            'cross_entropy': segmentation_loss(network(batch[0]), batch[1], weight=weight)
        },
        folder=tmp_path / 'loop',
        fingerprint='',
    )
    expected, found = state_of(recipe), state_of(run)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
