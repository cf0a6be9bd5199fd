# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of InverseForm: a network that estimates transforms between boundary tiles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.data.locks import locked
from training.distributed import Fabric
from training.engine import fit, new_run, restore
from training.inverse_networks import InverseNetwork, new_inverse_network
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_modules import InverseModule, gradient_norm, held_out_report
from training.recipes.inverse_form_sampler import Sampling, new_sampling
from training.recipes.inverse_form_tiles import TileDrawing, TransformSampler
from training.runs import Run


def inverse_losses(network: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Squared error of the parameters, each as a share of its range.

    Args:
        network: that learns.
        batch: tiles [frames, tiles, 2, tile, tile], warped and true, and parameters [frames,
            tiles, ...].
    """
    tiles, parameters = (part.flatten(0, 1) for part in batch)
    estimated = network(tiles[:, :1], tiles[:, 1:])
    return {'parameters': functional.mse_loss(estimated.float(), parameters)}


def trained_inverse(
    config: InverseFormConfig, fabric: Fabric, weight: Tensor | None
) -> InverseModule:
    """The inverse network of a run, trained unless it is there already.

    Args:
        config: of the run.
        fabric: from `launch`.
        weight: of the classes, for the transformer of the sampler `stn`.
    """
    own = config.inverse
    with _alone(config, fabric):
        sampling = new_sampling(config, fabric, weight)
        run = _first_run(config)
        folder, fingerprint = config.inverse_folder, config.inverse_fingerprint()
        restore(run, folder, fingerprint)
        if run.step < own.loop.steps:
            fit(
                run,
                fabric=fabric,
                loop=own.loop,
                optimizer_config=own.optimizer,
                draw=TileDrawing(config, sampling.sampler),
                losses=inverse_losses,
                folder=folder,
                fingerprint=fingerprint,
                seed=config.seed,
                workers=config.launch.workers,
                title=f'inverse network, seed {config.seed}',
            )
    network = _frozen(run, fabric)
    return InverseModule(network, _report(network, run, config, sampling))


def random_inverse(
    config: InverseFormConfig, fabric: Fabric, trained: InverseModule
) -> InverseModule:
    """An inverse network with its first weights, as a control.

    Its gradients are smaller than those of the trained one. The loss through it is scaled so that
    they are as large on held-out tiles: what differs is where they point.

    Args:
        config: of the run.
        fabric: from `launch`.
        trained: the inverse network of the run after stage 1.
    """
    network = _frozen(_first_run(config), fabric)
    norm, wanted = gradient_norm(network, config), trained.report['gradient_norm']
    sampler = TransformSampler(config.inverse.network.parameters)
    report = {
        **held_out_report(network, config, sampler),
        'gradient_norm': round(norm, 6),
        'gradient_norm_of_trained': wanted,
        'scale': round(wanted / norm, 4),
        'training_seconds': trained.report['training_seconds'],
    }
    return InverseModule(network, report, report['scale'])


def _first_run(config: InverseFormConfig) -> Run:
    torch.manual_seed(config.seed)
    own = config.inverse
    return new_run(new_inverse_network(own.network), own.loop, own.optimizer)


def _frozen(run: Run, fabric: Fabric) -> InverseNetwork:
    network: Any = run.network if run.average is None else run.average
    frozen: InverseNetwork = network.to(fabric.device).eval().requires_grad_(False)
    return frozen


def _report(
    network: InverseNetwork, run: Run, config: InverseFormConfig, sampling: Sampling
) -> dict[str, Any]:
    report = held_out_report(network, config, sampling.sampler)
    if sampling.choices:
        evenly = TransformSampler(config.inverse.network.parameters)
        report['on_random_transforms'] = held_out_report(network, config, evenly)
        report['choices'] = sampling.choices
    report['gradient_norm'] = round(gradient_norm(network, config), 6)
    report['training_seconds'] = round(run.seconds + sampling.seconds, 3)
    return report


@contextmanager
def _alone(config: InverseFormConfig, fabric: Fabric) -> Iterator[None]:
    """Keep other runs that need the same network from training it at the same time.

    The processes of one run train it together.
    """
    if fabric.world_size > 1:
        yield
        return
    config.inverse_folder.mkdir(parents=True, exist_ok=True)
    with locked(config.inverse_folder / 'lock', 0, wait=True):
        yield
