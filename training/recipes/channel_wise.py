# SPDX-License-Identifier: Apache-2.0
"""Channel-wise distillation (CWD, CD) and its rivals: a student of the same task, taught by maps.

    L_student = label (+ auxiliary) + sum of weight * loss(student's map, teacher's map)

| name in a configuration | method | function |
|---|---|---|
| channel_wise | CWD | `channel_wise_loss` |
| attention_transfer | AT | `attention_transfer_loss` |
| pixel_wise | PI | `pixel_wise_loss` |
| local_similarity | LOCAL | `local_similarity_loss` |
| pairwise_affinity | PA | `pairwise_affinity_loss` |
| intra_class_variation | IFVD | `intra_class_variation_loss` |
| holistic | HO | `holistic_loss`, `discriminator_loss` |
| classes | of CEKD | `cross_entropy_loss` against the teacher's largest scores |
| soft_cross_entropy | of CEKD | `soft_cross_entropy_loss` |
| hint | of CEKD | `edge_hint_loss`, without edges |

Each compares the scores (`at: logits`) or what the last convolution sees (`at: features`), before
anything is upsampled. Layers that bring the student's features to the teacher's channels, and
discriminators, learn with the student and are left behind.

    python -m training.recipes.channel_wise \
        --config_path training/configs/channel_wise/smoke.yaml

Reference:
    C. Shu, Y. Liu, J. Gao, Z. Yan, C. Shen, "Channel-Wise Knowledge Distillation for Dense
    Prediction", ICCV 2021.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_perception.errors import ConfigError
from training.checkpointing import load_checkpoint
from training.data.world import check_described, described, load_world
from training.distributed import Fabric, launch
from training.engine import Run, fit, restore
from training.losses import MeanCount, class_weights
from training.process_counts import counts_of_all
from training.recipes.cekd_losses import shown_to
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_data import Drawing, class_shares
from training.recipes.channel_wise_learner import Learner, new_optimizer
from training.recipes.channel_wise_networks import Maps, Segmenter, told_of_first_weights
from training.recipes.channel_wise_report import evaluate, table_row
from training.records import versions, write_record
from training.settings import load_config, plain

Teacher = Callable[[Tensor], Maps]
Terms = Mapping[str, Tensor]


def new_learner(config: ChannelWiseConfig, role: str) -> Learner:
    """The network of a role with what learns beside it; the same first weights for all terms."""
    weight = class_weights(np.array(class_shares(config))) if config.class_weighted else None
    torch.manual_seed(config.seed_of(role))
    return Learner(
        config.network(role),
        config.terms if role == 'student' else (),
        teacher=config.teacher,
        opponent=config.opponent,
        num_classes=config.label_set.num_classes,
        weight=weight,
    )


def build(config: ChannelWiseConfig, role: str) -> Run:
    """The run of a role at its first step, or at its latest checkpoint.

    Raises:
        ConfigError: the checkpoint is of another configuration, or its frames of another world.
    """
    own, learner = config.network(role), new_learner(config, role)
    average = copy.deepcopy(learner).eval() if own.loop.average_decay else None
    run = Run(learner.train(), average, new_optimizer(learner, own.optimizer))
    restore(run, config.folder_of(role), config.fingerprint(role))
    check_described(run.notes.get('frames', {}), config.train, config.folder_of(role))
    return run


def step_losses(
    network: nn.Module,
    batch: tuple[Tensor, ...],
    config: ChannelWiseConfig,
    role: str,
    teacher: Teacher | None,
    *,
    mean_count: MeanCount | None = None,
) -> Terms:
    """The terms of a step.

    Args:
        network: a `Learner`, maybe wrapped.
        batch: of `Drawing`, stacked.
        config: of the run.
        role: of the network.
        teacher: from what it sees to its maps; None without terms.
        mean_count: over the processes that share the batch, see `training.losses.counts`.
    """
    images, labels, mix = batch
    drawn = config.drawn_modality(role)
    taught = teacher(shown_to(images, drawn, config.teacher.modality)) if teacher else None
    own = shown_to(images, drawn, config.network(role).modality)
    terms: Terms = network(own, labels, mix, taught, mean_count)
    return terms


def train(
    config: ChannelWiseConfig, fabric: Fabric, role: str, teacher: Teacher | None = None
) -> Run:
    """The run of a role, trained to its last step."""
    run, own = build(config, role), config.network(role)
    if run.step == own.loop.steps:
        return run
    if not run.notes and config.rendered:
        run.notes['frames'] = described(load_world(config.train, config.cache))
    mean_count = counts_of_all(fabric)
    fit(
        run,
        fabric=fabric,
        loop=own.loop,
        optimizer_config=own.optimizer,
        draw=Drawing(config, role),
        losses=lambda network, batch: step_losses(
            network, batch, config, role, teacher, mean_count=mean_count
        ),
        folder=config.folder_of(role),
        fingerprint=config.fingerprint(role),
        seed=config.seed_of(role),
        workers=config.launch.workers,
        title=f'{config.name} {role}, seed {config.seed_of(role)}',
    )
    return run


def trained_teacher(config: ChannelWiseConfig, fabric: Fabric) -> Teacher:
    """The teacher of a run, trained unless it is there already, from images to its maps."""
    network = network_of(train(config, fabric, 'teacher')).to(fabric.device)

    @torch.no_grad()
    def taught(images: Tensor) -> Maps:
        with fabric.autocast():
            maps: Maps = network(images)
        return Maps(maps.logits.float(), maps.features.float())

    return taught


def network_of(run: Run) -> Segmenter:
    """What is scored and taught by: the averaged network, without what learnt beside it."""
    learner = run.network if run.average is None else run.average
    assert isinstance(learner, Learner)
    return learner.segmenter.eval().requires_grad_(False)


def trained_network(config: ChannelWiseConfig, role: str) -> Segmenter:
    """The network of a finished run.

    Raises:
        ConfigError: it is not finished, or of other settings.
    """
    steps, folder = config.network(role).loop.steps, config.folder_of(role)
    state = load_checkpoint(folder, fingerprint=config.fingerprint(role))
    if state is None or state['step'] < steps:
        found = 'none' if state is None else f'one of step {state["step"]}'
        raise ConfigError(f'{folder} must hold a checkpoint of step {steps}, got {found}')
    return network_of(build(config, role))


def networks(config: ChannelWiseConfig, fabric: Fabric) -> dict[str, Run]:
    """The run of the stage by role, trained; its teacher is trained on the way."""
    if config.stage == 'teacher':
        return {'teacher': train(config, fabric, 'teacher')}
    teacher = trained_teacher(config, fabric) if config.terms else None
    return {'student': train(config, fabric, 'student', teacher)}


def main(arguments: list[str] | None = None) -> None:
    """Train one seed and write its record."""
    config = load_config(ChannelWiseConfig, arguments)
    told = told_of_first_weights({role: config.network(role) for role in config.trained_roles})
    fabric = launch(config.launch)
    if fabric.is_global_zero and told:
        print(told)
    runs = networks(config, fabric)
    if not fabric.is_global_zero:
        return
    metrics: dict[str, Any] = {
        role: evaluate(network_of(run).to(fabric.device), config) for role, run in runs.items()
    }
    record = {
        'recipe': 'channel_wise',
        'name': config.name,
        'seed': config.seed,
        'trained_on': 'synthetic' if config.rendered else 'real',
        'metrics': metrics,
        'frame_keys': {name: split.key() for name, split in config.splits().items()},
        'training_seconds': {role: round(run.seconds, 1) for role, run in runs.items()},
        'versions': versions(),
        'config': plain(config),
    }
    write_record(config.record_path, record)
    for role, found in metrics.items():
        print(table_row(f'{config.name} {role}', found['test']))
    print(config.record_path)


if __name__ == '__main__':
    main()
