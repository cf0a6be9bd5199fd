# SPDX-License-Identifier: Apache-2.0
"""From a large depth network to one that runs in real time: `rep_unet` taught in log depth.

    L = label + distillation + channel-wise

| term | function |
|---|---|
| label | `log_depth_distillation_loss` against true depth, or that of a lidar |
| distillation | `log_depth_distillation_loss` against the teacher, weighted by its uncertainty |
| channel-wise | `channel_wise_loss` of -ln depth, softened, against the teacher; 0 by default |

The first two are likelihoods of a Laplace distribution of ln depth, whose scale the student
tells, too: a share of the depth. The third compares where things are near, not how near. Maps of a
quarter of the input are compared at full size, scaled up as the node does. Depth is that of a
camera of one focal length; a view of another zoom is an image of that camera of a scene that is
farther or nearer. Afterwards one factor of sigma is fitted on the validation split, by which 68 %
and 95 % of the errors lie within one and two standard deviations as nearly as one factor can bring
it about.

    python -m training.recipes.compress_depth \
        --config_path training/configs/compress_depth/mono_depth_s.yaml --seed 0

Reference:
    C. Shu et al., "Channel-Wise Knowledge Distillation for Dense Prediction", ICCV 2021.
    J. Baek, G. Kim, S. Kim, "Semi-Supervised Learning with Mutual Distillation for Monocular Depth
    Estimation", ICRA 2022.
    M. Poggi, F. Aleotti, F. Tosi, S. Mattoccia, "On the Uncertainty of Self-Supervised Monocular
    Depth Estimation", CVPR 2020 (a student's uncertainty from its teacher).
    W. Yin et al., "Metric3D: Towards Zero-shot Metric 3D Prediction from A Single Image", ICCV
    2023 (one camera for all images).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kd_perception.models import RepUNet, RepUNetConfig
from training.distributed import Fabric, launch
from training.engine import Run, fit, new_run, restore
from training.first_weights import take_over
from training.losses import at_full_size, channel_wise_loss, log_depth_distillation_loss
from training.recipes.compress_depth_config import CompressDepthConfig
from training.recipes.compress_depth_data import DepthLabels, Drawing
from training.recipes.compress_depth_report import evaluate
from training.recipes.compress_depth_teacher import Teacher, load_teacher
from training.recipes.mutual_distillation_sets import what_is_not_scored
from training.records import versions, write_record
from training.settings import load_config, plain

_FIRST_DEPTH_M, _FIRST_SIGMA = 10.0, 0.3
_NOWHERE = -1.0e6


def build(config: CompressDepthConfig) -> Run:
    """A run at its first step, or at its latest checkpoint.

    An untrained student says 10 m with an uncertainty of 30 % about everything.

    Raises:
        ConfigError: the checkpoint is of another configuration, or what it starts from is missing.
    """
    torch.manual_seed(config.seed)
    network = RepUNet(RepUNetConfig.preset(config.network))
    assert network.head.bias is not None
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([_FIRST_DEPTH_M, _FIRST_SIGMA]).log())
    take_over(network, config.start_folder)
    run = new_run(network, config.loop, config.optimizer)
    restore(run, config.folder, config.fingerprint())
    return run


def depth_losses(
    network: nn.Module,
    teacher: Teacher | None,
    batch: tuple[Tensor, ...],
    config: CompressDepthConfig,
) -> dict[str, Tensor]:
    """The terms of a step; those of weight 0 are left out.

    Args:
        network: that learns.
        teacher: of `load_teacher`.
        batch: as `Drawing` gives it.
        config: of the run.
    """
    own = DepthLabels(*batch)
    maps = network(own.seen).float()
    (full,) = at_full_size([maps], (own.seen.shape[-2], own.seen.shape[-1]))
    depth_m, log_sigma = full[:, :1].exp(), full[:, 1:]

    def loss(target_m: Tensor, **of_teacher: Any) -> Tensor:
        cost = log_depth_distillation_loss(
            depth_m,
            log_sigma,
            target_m,
            detach_depth=config.detach_depth,
            uncertainty_weight=config.uncertainty_weight,
            **of_teacher,
        )
        if not config.detach_depth:
            return cost
        ones = torch.zeros_like(log_sigma)
        return cost + log_depth_distillation_loss(depth_m, ones, target_m, **of_teacher)

    terms: dict[str, Tensor] = {}
    if config.label_weight:
        terms['label'] = config.label_weight * loss(own.target_m)
    if teacher is not None:
        taught = teacher(own.image)
        below_sky = own.target_m <= config.max_depth_m  # it has no notion of the sky
        if config.distillation_weight:
            terms['distillation'] = config.distillation_weight * loss(
                taught.depth_m,
                teacher_log_sigma=taught.log_sigma if config.weighted else None,
                valid=below_sky,
            )
        if config.channel_wise_weight:
            terms['channel_wise'] = config.channel_wise_weight * channel_wise_loss(
                _nearness(depth_m, ~own.sky),  # which a lidar does not tell
                _nearness(taught.depth_m, ~own.sky),
                temperature=config.temperature,
            )
    return terms


def _nearness(depth_m: Tensor, known: Tensor) -> Tensor:
    """-ln depth, whose softmax at temperature 1 is the share of 1 / depth; none where unknown."""
    return (-depth_m.log()).masked_fill(~known, _NOWHERE)


def train(config: CompressDepthConfig, fabric: Fabric) -> Run:
    """The run, trained to its last step."""
    run = build(config)
    if run.step == config.loop.steps:
        return run
    teacher = load_teacher(config, fabric)
    fit(
        run,
        fabric=fabric,
        loop=config.loop,
        optimizer_config=config.optimizer,
        draw=Drawing(config),
        losses=lambda network, batch: depth_losses(network, teacher, batch, config),
        folder=config.folder,
        fingerprint=config.fingerprint(),
        seed=config.seed,
        workers=config.launch.workers,
        title=f'{config.name}, seed {config.seed}',
    )
    return run


def deployable_network(run: Run) -> RepUNet:
    """What is exported and scored: the averaged network, folded."""
    network = run.network if run.average is None else run.average
    assert isinstance(network, RepUNet)
    return network.cpu().eval().folded()


def main(arguments: list[str] | None = None) -> None:
    """Train one seed and write its record."""
    config = load_config(CompressDepthConfig, arguments)
    fabric = launch(config.launch)
    if fabric.is_global_zero and (told := what_is_not_scored(config.bag, config.cache)):
        print(told)
    run = train(config, fabric)
    if not fabric.is_global_zero:
        return
    metrics = evaluate(deployable_network(run), config)
    splits = config.splits() if config.rendered else {}
    record = {
        'recipe': 'compress_depth',
        'name': config.name,
        'seed': config.seed,
        'trained_on': 'synthetic' if config.rendered else 'real',
        'metrics': metrics,
        'frame_keys': {name: split.key() for name, split in splits.items()},
        'training_seconds': round(run.seconds, 1),
        'versions': versions(),
        'config': plain(config),
    }
    write_record(config.record_path, record)
    scored = (
        f'test abs rel {metrics["test"]["all"]["abs_rel"]}' if 'test' in metrics else 'no scores'
    )
    print(f'{scored}, {config.record_path}')


if __name__ == '__main__':
    main()
