# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of InverseForm: a network that estimates transforms between boundary tiles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.data.locks import locked
from training.distributed import Fabric
from training.engine import fit, new_run, restore
from training.inverse_networks import InverseNetwork, new_inverse_network, weight_count
from training.plane_transforms import NAMES
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_sampler import new_sampler
from training.recipes.inverse_form_tiles import TileDrawing, TransformSampler, held_out_tiles
from training.runs import Run

_TESTED_AT_ONCE = 64


class InverseModule(NamedTuple):
    """A frozen inverse network.

    Attributes:
        network: in eval mode, without gradients, on the device of the run.
        report: how well it estimates held-out transforms.
    """

    network: InverseNetwork
    report: dict[str, Any]


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


@torch.no_grad()
def held_out_report(
    network: InverseNetwork, config: InverseFormConfig, sampler: TransformSampler
) -> dict[str, Any]:
    """How well a network estimates transforms of frames that it has not learnt from.

    Args:
        network: in eval mode.
        config: of the run.
        sampler: of the transforms.

    Returns:
        `rmse` by parameter in its unit, `explained` share of the variance by parameter and
        `explained_share` over all of them, `tiles`, `weights`.
    """
    device = next(network.parameters()).device
    tiles, parameters = held_out_tiles(config, sampler)
    parts = [
        network(part[:, :1], part[:, 1:]).cpu() for part in tiles.to(device).split(_TESTED_AT_ONCE)
    ]
    error = (torch.cat(parts) - parameters).double()
    spread = (parameters - parameters.mean(dim=0)).double()
    squared, variance = error.square().mean(dim=0), spread.square().mean(dim=0)
    ranges = config.inverse.ranges.values(parameters.shape[1])
    names = NAMES[: parameters.shape[1]]
    units = {
        name: round(float(value) ** 0.5 * size, 5)
        for name, value, size in zip(names, squared, ranges, strict=True)
    }
    shares = (1.0 - squared / variance.clamp(min=1e-12)).tolist()
    return {
        'rmse': units,
        'explained': {name: round(share, 4) for name, share in zip(names, shares, strict=True)},
        'explained_share': round(float(1.0 - squared.sum() / variance.sum()), 4),
        'tiles': len(tiles),
        'weights': weight_count(network),
    }


def check_explained(report: dict[str, Any], config: InverseFormConfig) -> None:
    """Refuse a network that estimates transforms too badly to teach anything by them.

    Raises:
        ConfigError: it explains less than `min_explained` of their variance.
    """
    found, wanted = report['explained_share'], config.inverse.min_explained
    if not found >= wanted:
        raise ConfigError(
            f'the inverse network must explain at least {wanted} of the variance of held-out '
            f'transforms to be a loss, it explains {found} ({report["explained"]}): train it '
            'longer, on larger tiles or smaller ranges, or lower inverse.min_explained'
        )


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
        sampler = new_sampler(config, fabric, weight)
        torch.manual_seed(config.seed)
        run = new_run(new_inverse_network(own.network), own.loop, own.optimizer)
        folder, fingerprint = config.inverse_folder, config.inverse_fingerprint()
        restore(run, folder, fingerprint)
        if run.step < own.loop.steps:
            fit(
                run,
                fabric=fabric,
                loop=own.loop,
                optimizer_config=own.optimizer,
                draw=TileDrawing(config, sampler),
                losses=inverse_losses,
                folder=folder,
                fingerprint=fingerprint,
                seed=config.seed,
                workers=config.launch.workers,
                title=f'inverse network, seed {config.seed}',
            )
    return _frozen(run, config, fabric, sampler)


def random_inverse(config: InverseFormConfig, fabric: Fabric) -> InverseModule:
    """An inverse network with its first weights, as a control."""
    torch.manual_seed(config.seed)
    loop = config.inverse.loop
    run = new_run(new_inverse_network(config.inverse.network), loop, config.inverse.optimizer)
    sampler = TransformSampler(config.inverse.network.parameters)
    return _frozen(run, config, fabric, sampler)


def _frozen(
    run: Run, config: InverseFormConfig, fabric: Fabric, sampler: TransformSampler
) -> InverseModule:
    network: Any = run.network if run.average is None else run.average
    network = network.to(fabric.device).eval().requires_grad_(False)
    report = held_out_report(network, config, sampler)
    if config.inverse.sampler == 'stn' and config.student.inverse == 'trained':
        evenly = TransformSampler(config.inverse.network.parameters)
        report['on_random_transforms'] = held_out_report(network, config, evenly)
    return InverseModule(network, report)


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
