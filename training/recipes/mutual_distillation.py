# SPDX-License-Identifier: Apache-2.0
"""Mutual distillation for semi-supervised monocular depth: two branches that teach each other.

One branch learns from sparse lidar, the other from how other views look; each tells depth and how
uncertain it is, and learns from the other where that is sure. Each sees the same frame in other
colors, with noise beside the objects; the photometric loss sees the clean images.

    L_sup   = L_S,u + a L_U->S
    L_unsup = L_U,u + b L_S->U + c L_sm

| term | function |
|---|---|
| L_S `l1` | `depth_l1_loss` |
| L_S,u `nll`, `filtering` | `laplacian_nll_loss`, `unprojected_point_loss` |
| L_U `photometric` | `multi_scale_reprojection`, `photometric_loss` |
| L_U,u `photometric_nll` | `uncertain_photometric_loss` |
| L_sm `smoothness` | `multi_scale_smoothness_loss` |
| L_U->S, L_S->U `distillation` | `uncertainty_weighted_distillation_loss` |

The authors' code is not public, nor are the weights a, b, c, the form and the magnitude of the
filtering, the encoder, the noise, how scale is handled and the schedule: they are settings, and
the defaults are readings of ours. Where the recipe differs from Monodepth2 by default: points
outside of a view do not count for it, ties of the auto-mask count as standing still, and the pose
network sees clean images. Controls that the paper lacks are settings, too: one branch alone, the
plain sum of both losses on one network, and pairs of one kind.

    python -m training.recipes.mutual_distillation \
        --config_path training/configs/mutual_distillation/smoke.yaml

Reference:
    J. Baek, G. Kim, S. Kim, "Semi-Supervised Learning with Mutual Distillation for Monocular Depth
    Estimation", ICRA 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from training.distributed import Fabric, launch
from training.engine import fit, new_run, restore
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_data import DepthBatch, Drawing, scored_frames
from training.recipes.mutual_distillation_losses import mutual_losses
from training.recipes.mutual_distillation_networks import MutualNetwork
from training.recipes.mutual_distillation_report import evaluate, show, table_row
from training.recipes.mutual_distillation_sets import what_is_not_scored
from training.recipes.mutual_distillation_watch import Watched
from training.records import versions, write_record
from training.settings import load_config, plain


def new_network(config: MutualConfig) -> MutualNetwork:
    """All networks of a run, untrained; their weights follow from its seed."""
    torch.manual_seed(config.seed)
    return MutualNetwork(config.network, len(config.branches), learns_poses=config.learns_poses)


def trained(config: MutualConfig, fabric: Fabric) -> MutualNetwork:
    """The networks of a run in evaluation mode, from its latest checkpoint if there is one.

    What is tested is the average of the weights where the run keeps one.

    Args:
        config: of the run.
        fabric: from `launch`.
    """
    run = new_run(new_network(config), config.loop, config.optimizer)
    fingerprint, watched = config.fingerprint(), Watched()
    restore(run, config.folder, fingerprint)

    def losses(network: nn.Module, batch: tuple[Any, ...]) -> Mapping[str, torch.Tensor]:
        done = run.step / config.loop.steps
        return mutual_losses(network, DepthBatch(*batch), config, watched, done=done)

    if run.step < config.loop.steps:
        fit(
            run,
            fabric=fabric,
            loop=config.loop,
            optimizer_config=config.optimizer,
            draw=Drawing(config),
            losses=losses,
            folder=config.folder,
            fingerprint=fingerprint,
            pictures=_pictures(config) if fabric.is_global_zero else None,
            scalars=watched.means,
            seed=config.seed,
            workers=config.launch.workers,
            title=f'{config.name}, seed {config.seed}',
        )
    tested = run.network if run.average is None else run.average
    assert isinstance(tested, MutualNetwork)
    return tested.to(fabric.device).eval().requires_grad_(False)


def _pictures(config: MutualConfig) -> Callable[[nn.Module], dict[str, Any]]:
    splits = scored_frames(config)
    frames = splits.get('validation', splits.get('test', ()))

    def pictures(network: nn.Module) -> dict[str, Any]:
        assert isinstance(network, MutualNetwork)
        return show(network, config, frames)

    return pictures


def parameters(network: MutualNetwork) -> dict[str, int]:
    """Weights of a branch, which is what is deployed, and of all that learns."""
    return {
        'branch': sum(weight.numel() for weight in network.branches[0].parameters()),
        'trained': sum(weight.numel() for weight in network.parameters()),
    }


def main(arguments: list[str] | None = None) -> None:
    """Train one seed and write its record."""
    config = load_config(MutualConfig, arguments)
    fabric = launch(config.launch)
    if fabric.is_global_zero and (told := what_is_not_scored(config.bag, config.cache)):
        print(told)
    network = trained(config, fabric)
    if not fabric.is_global_zero:
        return
    metrics = evaluate(network, config, scored_frames(config))
    splits = config.splits() if config.rendered else {}
    record = {
        'recipe': 'mutual_distillation',
        'name': config.name,
        'seed': config.seed,
        'trained_on': 'synthetic' if config.rendered else 'real',
        'parameters': parameters(network),
        'metrics': metrics,
        'frame_keys': {name: split.key() for name, split in splits.items()},
        'versions': versions(),
        'config': plain(config),
    }
    write_record(config.record_path, record)
    for branch, found in metrics.items():
        if 'test' in found:
            print(table_row(f'{config.name} {branch}', found['test']))
    print(config.record_path)


if __name__ == '__main__':
    main()
