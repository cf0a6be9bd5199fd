# SPDX-License-Identifier: Apache-2.0
"""From a large network to one that runs in real time: `rep_unet`, taught by CEKD or by a bundle.

    L = label + soft cross-entropy + channel-wise divergence + terms

| term | function |
|---|---|
| label | `segmentation_loss`, class-weighted; none on a recording |
| soft cross-entropy | `soft_cross_entropy_loss`, class-weighted with `reweigh` |
| channel-wise | `channel_wise_loss` on the logits |
| `terms` | any other loss of `channel_wise` on the logits |

All imitating terms compare logits at a quarter of the input, where those of `rep_unet` are; the
teacher's are averaged down to it. Without a teacher this is supervised training. Half the
logarithm of the class weights, where a term has any, is taken back from the logits afterwards
(`prior_correction`).

    python -m training.recipes.compress \
        --config_path training/configs/compress/thermal_seg_s.yaml

Reference:
    C. Shu, Y. Liu, J. Gao, Z. Yan, C. Shen, "Channel-Wise Knowledge Distillation for Dense
    Prediction", ICCV 2021.
    Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for Semantic
    Scene Understanding Using Only Thermal Images", RA-L 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.label_sets import MFNET
from kd_perception.models import RepUNet, RepUNetConfig
from training.data.real_tiles import load_real_tiles
from training.data.world import check_described, load_world
from training.deployment import deployable
from training.distributed import Fabric, launch
from training.engine import Run, fit, new_run, restore
from training.evaluation import evaluate_student
from training.first_weights import take_over
from training.losses import (
    MeanCount,
    channel_wise_loss,
    class_weights,
    segmentation_loss,
    soft_cross_entropy_loss,
)
from training.process_counts import counts_of_all
from training.recipes.channel_wise_terms import Given, loss_of
from training.recipes.compress_config import CompressConfig
from training.recipes.compress_data import Drawing, frame_keys, learnt_from, notes_of
from training.recipes.compress_teacher import Teacher, load_teacher
from training.recipes.recorded_pairs import check_pairs
from training.records import versions, write_record
from training.settings import load_config, plain


def build(config: CompressConfig) -> Run:
    """A run at its first step, or at its latest checkpoint.

    Raises:
        ConfigError: the checkpoint is of another configuration, or its frames of another world.
    """
    torch.manual_seed(config.seed)
    network = RepUNet(RepUNetConfig.preset(config.network))
    take_over(network, config.start_folder)
    run = new_run(network, config.loop, config.optimizer)
    restore(run, config.folder, config.fingerprint())
    check_described(run.notes.get('frames', {}), config.train, config.folder)
    return run


def frame_weights(run: Run, config: CompressConfig) -> Tensor | None:
    """Weights of the classes [classes] that a run learns with; None where all weigh the same.

    They are those of its frames where it looks at labels; without labels those of its teacher's
    frames, if it is reweighed.
    """
    if config.label_weight:
        frames = run.notes.get('frames')
        return class_weights(np.array(frames['class_shares'])) if frames else None
    taught = run.notes.get('teacher_weights')
    return torch.tensor(taught) if taught else None


def compression_losses(
    network: nn.Module,
    teacher: Teacher | None,
    batch: tuple[Tensor, ...],
    config: CompressConfig,
    weight: Tensor | None,
    *,
    mean_count: MeanCount | None = None,
) -> dict[str, Tensor]:
    """The terms of a step; those of weight 0 are left out.

    Args:
        network: that learns.
        teacher: of `load_teacher`.
        batch: images [batch, channels, height, width], heat first, and labels int64 [batch,
            height, width].
        config: of the run.
        weight: of the classes.
        mean_count: over the processes that share the batch, see `training.losses.counts`.
    """
    images, labels = batch
    logits = network(images[:, :1])
    terms: dict[str, Tensor] = {}
    if config.label_weight:
        assert weight is not None
        terms['label'] = config.label_weight * segmentation_loss(
            logits, labels, weight=weight, mean_count=mean_count
        )
    if teacher is None:
        return terms
    taught = teacher.logits(images)
    taught = functional.avg_pool2d(taught, taught.shape[2] // logits.shape[2])
    if config.soft_weight:
        terms['soft_cross_entropy'] = config.soft_weight * soft_cross_entropy_loss(
            logits,
            taught,
            temperature=config.soft_temperature,
            weight=teacher.weight,
            mean_count=mean_count,
        )
    if config.channel_wise_weight:
        terms['channel_wise'] = config.channel_wise_weight * channel_wise_loss(
            logits, taught, temperature=config.channel_wise_temperature
        )
    given = Given(labels, MFNET.num_classes, weight, mean_count=mean_count)
    for term in config.terms:
        terms[term.name] = term.weight * loss_of(term, logits, taught, given)
    return terms


def train(config: CompressConfig, fabric: Fabric) -> Run:
    """The run, trained to its last step.

    Raises:
        ConfigError: as `build` and `load_teacher`, or the checkpoint is of another recording.
    """
    run = build(config)
    if recording := run.notes.get('recording'):
        check_pairs(recording, config.recorded_pairs, config.cache, config.folder)
    if run.step == config.loop.steps:
        return run
    if not run.step:
        run.notes = notes_of(config)
    teacher = load_teacher(config, fabric)
    if teacher and teacher.weight is not None and not config.label_weight:
        run.notes['teacher_weights'] = teacher.weight.tolist()
    weight = frame_weights(run, config)
    if weight is not None:
        weight = weight.to(fabric.device)
    mean_count = counts_of_all(fabric)
    fit(
        run,
        fabric=fabric,
        loop=config.loop,
        optimizer_config=config.optimizer,
        draw=Drawing(config),
        losses=lambda network, batch: compression_losses(
            network, teacher, batch, config, weight, mean_count=mean_count
        ),
        folder=config.folder,
        fingerprint=config.fingerprint(),
        seed=config.seed,
        workers=config.launch.workers,
        title=f'seed {config.seed}',
    )
    return run


def deployable_network(run: Run, config: CompressConfig) -> RepUNet:
    """What is exported and scored: the averaged network, folded and corrected."""
    network = run.network if run.average is None else run.average
    assert isinstance(network, RepUNet)
    weight = frame_weights(run, config)
    return deployable(network.cpu().eval(), weight, config.prior_correction)


def evaluate(run: Run, config: CompressConfig) -> dict[str, Any]:
    """Metrics on the synthetic splits and the real tiles, calibration, digests of the data."""
    check_described(run.notes.get('frames', {}), config.train, config.folder)
    splits = {name: load_world(split, config.cache) for name, split in _scored(config).items()}
    presets = {k: v for k, v in splits.items() if k in config.presets}
    report = evaluate_student(
        deployable_network(run, config),
        'thermal',
        validation=splits['validation'],
        test=splits['test'],
        presets=presets,
        real=load_real_tiles(),
        image_size=config.image_size,
    )
    learnt = {'train': found['digest']} if (found := learnt_from(run.notes)) else {}
    digests = {name: split.digest() for name, split in splits.items()}
    report['data_digest'] = {**learnt, **digests}
    return report


def _scored(config: CompressConfig) -> Mapping[str, Any]:
    return {name: split for name, split in config.splits().items() if name != 'train'}


def main(arguments: list[str] | None = None) -> None:
    """Train one seed and write its record."""
    config = load_config(CompressConfig, arguments)
    fabric = launch(config.launch)
    run = train(config, fabric)
    if not fabric.is_global_zero:
        return
    report = evaluate(run, config)
    record = {
        'recipe': 'compress',
        'name': config.name,
        'modality': config.modality,
        'seed': config.seed,
        'trained_on': 'real' if config.bag else 'synthetic',
        'metrics': report,
        **frame_keys(run.notes, config),
        'training_seconds': round(run.seconds, 1),
        'versions': versions(),
        'config': plain(config),
    }
    write_record(config.record_path, record)
    print(f'test mIoU {report["synthetic_test"]["miou"]}, {config.record_path}')


if __name__ == '__main__':
    main()
