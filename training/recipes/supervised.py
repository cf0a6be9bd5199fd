# SPDX-License-Identifier: Apache-2.0
"""Plain supervised segmentation: class-weighted cross-entropy on the synthetic world.

The baseline that every other recipe is compared with, and where the shipped students begin. A
network sees heat, color, or both as four channels of one image: the same network at the same cost.
Class weights 1 / ln(1.1 + share) follow the authors of ENet, with 1.1 for their 1.02 so that rare
classes weigh at most ten times; half the logarithm of the weights is taken back from the logits
after training (`prior_correction`), because weights bias the posterior towards rare classes.

    python -m training.recipes.supervised \
        --config_path training/configs/supervised/world_rgbt.yaml --seed 0

Reference:
    A. Paszke et al., "ENet: A Deep Neural Network Architecture for Real-Time Semantic
    Segmentation", 2016 (class weighting).
    A. Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021 (prior correction).
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kd_perception.models import RepUNet, RepUNetConfig
from kd_perception.world.classes import CLASS_NAMES
from training.averaging import update_average
from training.checkpointing import load_checkpoint, save_checkpoint
from training.data.modality import CHANNELS, training_sample
from training.data.real_tiles import load_real_tiles
from training.data.world import WorldData, check_described, described, load_world
from training.deployment import deployable
from training.evaluation import evaluate_student
from training.losses import class_weights, segmentation_loss
from training.recipes.supervised_config import SupervisedConfig
from training.records import versions, write_record
from training.settings import load_config, plain


@dataclass
class Training:
    """What a run carries from step to step.

    Attributes:
        network: that learns.
        average: of its weights over the steps.
        optimizer: of the network.
        step: finished steps.
        seconds: spent in steps.
        frames: `key`, `digest` and `class_shares` of the frames it learns from; empty before.
    """

    network: RepUNet
    average: RepUNet
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    frames: dict[str, Any] = field(default_factory=dict)


def build(config: SupervisedConfig) -> Training:
    """Create network, average and optimizer, or restore the latest checkpoint."""
    torch.manual_seed(config.seed)
    channels = CHANNELS[config.modality]
    sizes = RepUNetConfig.preset(
        config.network, in_channels=channels, out_channels=len(CLASS_NAMES)
    )
    network = RepUNet(sizes).train()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=config.weight_decay)
    training = Training(network, copy.deepcopy(network).eval(), optimizer)
    if state := load_checkpoint(config.folder, fingerprint=config.fingerprint()):
        for name in ('network', 'average', 'optimizer'):
            getattr(training, name).load_state_dict(state[name])
        for name in _PLAIN_STATE:
            setattr(training, name, state[name])
    return training


_PLAIN_STATE = ('step', 'seconds', 'frames')


def save(training: Training, config: SupervisedConfig) -> None:
    """Write the checkpoint. Batches and learning rate follow from the step: no state of theirs."""
    state = {
        name: getattr(training, name).state_dict() for name in ('network', 'average', 'optimizer')
    }
    state |= {name: getattr(training, name) for name in _PLAIN_STATE}
    save_checkpoint(config.folder, {**state, 'fingerprint': config.fingerprint()})


def check_frames(training: Training, config: SupervisedConfig) -> None:
    """Refuse to go on with, or to score on, frames of another world than the run began with.

    Raises:
        ConfigError: the code of the world has changed since.
    """
    check_described(training.frames, config.train, config.folder)


def note_frames(training: Training, data: WorldData, config: SupervisedConfig) -> None:
    """Keep what is learnt from: the class weights and the record follow from it."""
    check_frames(training, config)
    if not training.frames:
        training.frames = described(data)


def draw_batch(data: WorldData, config: SupervisedConfig, step: int) -> tuple[Tensor, Tensor]:
    """The batch of a step, a pure function of (seed, step).

    Returns:
        Images float32 [batch, channels, height, width] and labels int64 [batch, height, width].
    """
    rng = np.random.default_rng([config.seed, step])
    indices = rng.integers(0, len(data), config.batch_size)
    samples = [
        training_sample(data[int(index)], config.modality, rng, config.augmentation)
        for index in indices
    ]
    images, labels = (np.stack(parts) for parts in zip(*samples, strict=True))
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def frame_weights(training: Training) -> Tensor:
    """Class weights [classes] of the frames that the run learns from."""
    return class_weights(np.array(training.frames['class_shares']))


def learning_rate(config: SupervisedConfig, step: int) -> float:
    """One cycle: a linear rise over the first tenth, then half a cosine to almost zero."""
    rise = max(1, config.steps // 10)
    if step < rise:
        return config.learning_rate * (step + 1) / rise
    share = (step - rise) / max(1, config.steps - rise)
    return config.learning_rate * (0.5 + 0.5 * float(np.cos(np.pi * share)))


def training_step(
    batch: tuple[Tensor, Tensor], training: Training, config: SupervisedConfig, weight: Tensor
) -> dict[str, Tensor]:
    """One optimizer step; returns the loss terms by name."""
    images, labels = batch
    for group in training.optimizer.param_groups:
        group['lr'] = learning_rate(config, training.step)
    with torch.autocast('cpu', torch.bfloat16, enabled=config.bfloat16):
        logits = training.network(images)
    terms = {'cross_entropy': segmentation_loss(logits, labels, weight=weight)}
    training.optimizer.zero_grad()
    sum(terms.values()).backward()  # type: ignore[union-attr]
    training.optimizer.step()
    update_average(
        training.average, training.network, step=training.step, decay=config.average_decay
    )
    training.step += 1
    return terms


def fit(training: Training, data: WorldData, config: SupervisedConfig) -> None:
    """Train to the last step, with checkpoints."""
    note_frames(training, data, config)
    weight = frame_weights(training)
    bar = tqdm(total=config.steps, initial=training.step, desc=f'seed {config.seed}', unit='step')
    mean = 0.0
    with bar:
        while training.step < config.steps:
            start = time.monotonic()
            batch = draw_batch(data, config, training.step)
            terms = training_step(batch, training, config, weight)
            mean += 0.02 * (float(terms['cross_entropy'].detach()) - mean)
            training.seconds += time.monotonic() - start
            bar.update()
            bar.set_postfix(cross_entropy=f'{mean:.3f}', refresh=False)
            if training.step % config.checkpoint_steps == 0 or training.step == config.steps:
                save(training, config)


def evaluate(training: Training, config: SupervisedConfig) -> dict[str, Any]:
    """Metrics on the synthetic splits and the real tiles, calibration, digests of the data.

    Raises:
        ConfigError: the code of the world has changed since the run began.
    """
    check_frames(training, config)
    network = deployable(training.average, frame_weights(training), config.prior_correction)
    validation = load_world(config.validation, config.cache)
    test = load_world(config.test, config.cache)
    presets = {
        name: load_world(split, config.cache) for name, split in config.preset_splits().items()
    }
    report = evaluate_student(
        network,
        config.modality,
        validation=validation,
        test=test,
        presets=presets,
        real=load_real_tiles(),
    )
    splits = {'validation': validation, 'test': test, **presets}
    digests = {name: split.digest() for name, split in splits.items()}
    report['data_digest'] = {'train': training.frames['digest'], **digests}
    return report


def main(arguments: list[str] | None = None) -> None:
    """Train one seed and write its record."""
    config = load_config(SupervisedConfig, arguments)
    cv2.setNumThreads(1)
    torch.set_num_threads(config.threads)
    training = build(config)
    check_frames(training, config)
    fit(training, load_world(config.train, config.cache), config)
    report = evaluate(training, config)
    record = {
        'recipe': 'supervised',
        'name': config.name,
        'modality': config.modality,
        'seed': config.seed,
        'trained_on': 'synthetic',
        'metrics': report,
        'frame_keys': {name: split.key() for name, split in config.splits().items()},
        'training_seconds': round(training.seconds, 1),
        'versions': versions(),
        'config': plain(config),
    }
    write_record(config.record_path, record)
    print(f'test mIoU {report["synthetic_test"]["miou"]}, {config.record_path}')


if __name__ == '__main__':
    main()
