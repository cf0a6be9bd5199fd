# SPDX-License-Identifier: Apache-2.0
"""The networks of a run of mutual distillation that was trained before."""

from __future__ import annotations

from kd_perception.errors import ConfigError
from training.engine import new_run, restore
from training.recipes.mutual_distillation import new_network
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_networks import MutualNetwork


def trained_network(config: MutualConfig) -> MutualNetwork:
    """What was tested, in evaluation mode: the average of the weights where the run keeps one.

    Args:
        config: as the run was trained.

    Raises:
        ConfigError: it is not trained to its end, or its checkpoint is of another configuration.
    """
    run = new_run(new_network(config), config.loop, config.optimizer)
    restore(run, config.folder, config.fingerprint())
    if run.step < config.loop.steps:
        raise ConfigError(
            f'the run in {config.folder} must be trained to its end, it is at step {run.step} of '
            f'{config.loop.steps}: go on with it'
        )
    network = run.network if run.average is None else run.average
    assert isinstance(network, MutualNetwork)
    return network.eval().requires_grad_(False)
