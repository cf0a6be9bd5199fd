# SPDX-License-Identifier: Apache-2.0
"""What stage 1 of InverseForm hands to stage 2: a frozen network, and how well it estimates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kd_perception.errors import ConfigError
from training.inverse_networks import InverseNetwork, weight_count
from training.losses import euclidean_distance, geodesic_distance, parameter_distance
from training.plane_transforms import NAMES, TransformRanges, matrices_from_parameters
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_tiles import TransformSampler, held_out_tiles

Distance = Callable[[Tensor], Tensor]

_TESTED_AT_ONCE = 64
_LEAST = 0.02
"""Probability of a boundary that a prediction gives at least, and 1 minus it at most."""


class InverseModule(NamedTuple):
    """A frozen inverse network.

    Attributes:
        network: in eval mode, without gradients, on the device of the run.
        report: how well it estimates held-out transforms, how large its gradients are, and how
            long it took to train.
        scale: what the loss through it is multiplied by, beside its weight.
    """

    network: InverseNetwork
    report: dict[str, Any]
    scale: float = 1.0


def distance_of(name: str, ranges: TransformRanges) -> Distance:
    """The distance from the identity of parameters, by its name."""
    if name == 'parameters':
        return parameter_distance
    between = {'euclidean': euclidean_distance, 'geodesic': geodesic_distance}[name]
    return lambda parameters: between(matrices_from_parameters(parameters, ranges))


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


def gradient_norm(network: InverseNetwork, config: InverseFormConfig) -> float:
    """Mean norm of what InverseForm gives the boundary logits of a tile as their gradient.

    Args:
        network: in eval mode.
        config: of the run; its tiles are held-out ones after random transforms.
    """
    device = next(network.parameters()).device
    distance = distance_of(config.student.distance, config.inverse.ranges)
    sampler = TransformSampler(config.inverse.network.parameters)
    norms = []
    for part in held_out_tiles(config, sampler)[0].to(device).split(_TESTED_AT_ONCE):
        probability = _LEAST + (1.0 - 2.0 * _LEAST) * part[:, :1]
        logits = torch.logit(probability).requires_grad_()
        total = distance(network(torch.sigmoid(logits), part[:, 1:])).sum()
        (gradient,) = torch.autograd.grad(total, logits)
        norms.append(gradient.flatten(1).norm(dim=1))
    return float(torch.cat(norms).mean())


def check_module(report: dict[str, Any], config: InverseFormConfig) -> None:
    """Refuse a network that estimates transforms too badly to teach anything by them.

    Args:
        report: of the module.
        config: of the run.

    Raises:
        ConfigError: it explains less than `min_explained` of the variance of transforms, those of
            its own sampler or random ones; or it learnt from transforms that hardly change or
            are off their middle.
    """
    if 'choices' in report:
        _check_choices(report['choices'], config)
    wanted = config.inverse.min_explained
    for found in (report, report.get('on_random_transforms', report)):
        if not found['explained_share'] >= wanted:
            raise ConfigError(
                f'the inverse network must explain at least {wanted} of the variance of held-out '
                f'transforms to be a loss, it explains {found["explained_share"]} '
                f'({found["explained"]}, RMSE {found["rmse"]}): train it longer, on larger tiles '
                'or other ranges, or lower inverse.min_explained'
            )


def _check_choices(choices: dict[str, Any], config: InverseFormConfig) -> None:
    own = config.inverse.transformer
    least = min(choices['spread'].values())
    largest = max(abs(mean) for mean in choices['mean'].values())
    if not (least >= own.min_spread and largest <= own.max_mean):
        raise ConfigError(
            f'transforms of a transformer must deviate by at least {own.min_spread} of the range '
            f'of each parameter, and have means of at most {own.max_mean}, got spreads '
            f'{choices["spread"]} and means {choices["mean"]}: set inverse.sampler to random'
        )
