# SPDX-License-Identifier: Apache-2.0
"""Plain supervised segmentation: class-weighted cross-entropy on the synthetic thermal world.

The baseline that every other recipe is compared with, and the first student that is shipped.
Class weights 1 / ln(1.1 + share) follow the authors of ENet, with 1.1 for their 1.02 so that rare
classes weigh at most ten times; half the logarithm of the weights is taken back from the logits
after training (`prior_correction`), because weights bias the posterior towards rare classes.

    python -m training.recipes.supervised \
        --config_path training/configs/supervised/thermal_seg_s.yaml --seed 0

Reference:
    A. Paszke et al., "ENet: A Deep Neural Network Architecture for Real-Time Semantic
    Segmentation", 2016 (class weighting).
    A. Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021 (prior correction).
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kd_perception.models import RepUNet, RepUNetConfig
from training.averaging import update_average
from training.checkpointing import load_checkpoint, save_checkpoint
from training.data.augmentation import AugmentationConfig, augment
from training.data.real_tiles import load_real_tiles
from training.data.world import WorldData, WorldSplit, load_world
from training.evaluation import evaluate_student
from training.losses import class_weights, segmentation_loss
from training.records import versions, write_record
from training.settings import load_config, plain


@dataclass(frozen=True)
class SupervisedConfig:
    """One run.

    Args:
        name: of the configuration.
        network: preset of `RepUNetConfig`.
        seed: of initialization, batches and augmentation.
        steps: optimizer steps.
        batch_size: crops per step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        average_decay: of the exponential moving average that is evaluated and exported.
        prior_correction: share of the log class weights taken back from the logits, 0 to 1.
        bfloat16: autocast of the forward pass.
        threads: of torch, >= 1.
        checkpoint_steps: between checkpoints.
        cache: folder of rendered frames.
        output: folder of checkpoints, one subfolder per name and seed.
        results: folder of records.
        train: frames to learn from.
        validation: frames that choose the temperature and the seed to ship.
        test: frames that choose nothing.
        augmentation: of training frames.
    """

    name: str = 'thermal_seg_s'
    network: str = 'rep_unet_s'
    seed: int = 0
    steps: int = 2800
    batch_size: int = 8
    learning_rate: float = 2.5e-3
    weight_decay: float = 1.0e-2
    average_decay: float = 0.995
    prior_correction: float = 0.5
    bfloat16: bool = True
    threads: int = 1
    checkpoint_steps: int = 200
    cache: Path = Path('runs/world')
    output: Path = Path('runs/supervised')
    results: Path = Path('results/supervised')
    train: WorldSplit = field(default_factory=lambda: WorldSplit(1000, 3000))
    validation: WorldSplit = field(default_factory=lambda: WorldSplit(2000, 200))
    test: WorldSplit = field(default_factory=lambda: WorldSplit(3000, 200))
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    @property
    def folder(self) -> Path:
        """Where the checkpoints of this run are."""
        return self.output / self.name / f'seed{self.seed}'

    @property
    def record_path(self) -> Path:
        """Where the record of this run is."""
        return self.results / f'{self.name}_seed{self.seed}.json'

    def fingerprint(self) -> str:
        """Of everything that changes the trained weights."""
        values = plain(self)
        for name in ('cache', 'output', 'results', 'checkpoint_steps', 'validation', 'test'):
            del values[name]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass
class Training:
    """What a run carries from step to step; `seconds` are those spent in steps."""

    network: RepUNet
    average: RepUNet
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0


def build(config: SupervisedConfig) -> Training:
    """Create network, average and optimizer, or restore the latest checkpoint."""
    torch.manual_seed(config.seed)
    network = RepUNet(RepUNetConfig.preset(config.network)).train()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=config.weight_decay)
    training = Training(network, copy.deepcopy(network).eval(), optimizer)
    if state := load_checkpoint(config.folder, fingerprint=config.fingerprint()):
        for name in ('network', 'average', 'optimizer'):
            getattr(training, name).load_state_dict(state[name])
        training.step, training.seconds = state['step'], state['seconds']
    return training


def save(training: Training, config: SupervisedConfig) -> None:
    """Write the checkpoint. Batches and learning rate follow from the step: no state of theirs."""
    state = {
        name: getattr(training, name).state_dict() for name in ('network', 'average', 'optimizer')
    }
    state |= {'step': training.step, 'seconds': training.seconds}
    save_checkpoint(config.folder, {**state, 'fingerprint': config.fingerprint()})


def draw_batch(data: WorldData, config: SupervisedConfig, step: int) -> tuple[Tensor, Tensor]:
    """The batch of a step, a pure function of (seed, step).

    Returns:
        Images float32 [batch, 1, height, width] and labels int64 [batch, height, width].
    """
    rng = np.random.default_rng([config.seed, step])
    indices = rng.integers(0, len(data), config.batch_size)
    samples = [augment(*data[int(index)], rng, config.augmentation) for index in indices]
    images = np.stack([image for image, _ in samples])[:, None]
    labels = np.stack([label for _, label in samples]).astype(np.int64)
    return torch.from_numpy(images), torch.from_numpy(labels)


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
    weight = class_weights(data.class_shares())
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


@torch.no_grad()
def deployable(average: RepUNet, weight: Tensor, prior_correction: float) -> RepUNet:
    """The averaged network, folded, with part of the class weights taken out of the logits."""
    network = average.folded()
    assert network.head.bias is not None
    network.head.bias -= prior_correction * (weight.log() - weight.log().min())
    return network


def evaluate(training: Training, data: WorldData, config: SupervisedConfig) -> dict[str, Any]:
    """Metrics on the synthetic splits and the real tiles, calibration, digests of the data."""
    weight = class_weights(data.class_shares())
    network = deployable(training.average, weight, config.prior_correction)
    validation = load_world(config.validation, config.cache)
    test = load_world(config.test, config.cache)
    report = evaluate_student(network, validation, test, load_real_tiles())
    splits = {'train': data, 'validation': validation, 'test': test}
    report['data_digest'] = {name: split.digest() for name, split in splits.items()}
    return report


def main(arguments: list[str] | None = None) -> None:
    """Train one seed and write its record."""
    config = load_config(SupervisedConfig, arguments)
    cv2.setNumThreads(1)
    torch.set_num_threads(config.threads)
    data = load_world(config.train, config.cache)
    training = build(config)
    fit(training, data, config)
    report = evaluate(training, data, config)
    record = {
        'recipe': 'supervised',
        'name': config.name,
        'seed': config.seed,
        'trained_on': 'synthetic',
        'metrics': report,
        'training_seconds': round(training.seconds, 1),
        'versions': versions(),
        'config': plain(config),
    }
    write_record(config.record_path, record)
    print(f'test mIoU {report["synthetic_test"]["miou"]}, {config.record_path}')


if __name__ == '__main__':
    main()
