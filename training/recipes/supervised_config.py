# SPDX-License-Identifier: Apache-2.0
"""What may be set of a supervised run; `training.recipes.supervised` runs it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from kd_perception.errors import ConfigError
from training.data.augmentation import AugmentationConfig, SensorConfig
from training.data.modality import FIELDS, check_modality
from training.data.world import WorldSplit, preset_splits
from training.records import RunPaths
from training.settings import plain, settings_digest

_NOT_TRAINED_ON = (
    *('cache', 'output', 'results', 'checkpoint_steps'),
    *('validation', 'test', 'presets', 'preset_count'),
)
_LATER_FAULTS = ('row_share', 'drift_share', 'drift_k', 'contrast_share', 'contrast_least')
"""Settings of the sensor that are younger than recorded runs. Those that have their default are no
part of a fingerprint: they are off then, and the fingerprints of older runs stay as they were."""


@dataclass(frozen=True)
class SupervisedConfig(RunPaths):
    """One run; the defaults are those of `thermal_seg_s.yaml`.

    Args:
        name: of the configuration.
        modality: what the network sees: `thermal`, `rgb` or `rgbt`.
        network: preset of `RepUNetConfig`.
        seed: of initialization, batches and augmentation.
        steps: optimizer steps.
        batch_size: crops per step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        average_decay: of the exponential moving average that is evaluated and exported.
        prior_correction: share of the log class weights taken back from the logits, 0 to 1.
        bfloat16: autocast of the forward pass; pays on a CPU with AMX.
        threads: of torch, >= 1.
        checkpoint_steps: between checkpoints.
        cache: folder of rendered frames.
        output: folder of checkpoints, one subfolder per name and seed.
        results: folder of records.
        train: frames to learn from.
        validation: frames that choose the temperature and the seed to ship.
        test: frames that choose nothing.
        presets: worlds that the network is also scored on.
        preset_count: frames of each of them.
        augmentation: of training frames.
    """

    name: str = 'thermal_seg_s'
    modality: str = 'thermal'
    network: str = 'rep_unet_s'
    seed: int = 0
    steps: int = 4800
    batch_size: int = 8
    learning_rate: float = 2.5e-3
    weight_decay: float = 1.0e-2
    average_decay: float = 0.995
    prior_correction: float = 0.5
    bfloat16: bool = False
    threads: int = 1
    checkpoint_steps: int = 200
    cache: Path = Path('runs/world')
    output: Path = Path('runs/supervised')
    results: Path = Path('results/supervised')
    train: WorldSplit = field(default_factory=lambda: WorldSplit('train', 0, 3000))
    validation: WorldSplit = field(default_factory=lambda: WorldSplit('val', 0, 200))
    test: WorldSplit = field(default_factory=lambda: WorldSplit('test', 0, 200))
    presets: tuple[str, ...] = ('day', 'night', 'glare', 'rain', 'fog', 'hard', 'shifted')
    preset_count: int = 100
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        """Check modality and prior correction, and let the splits hold what they need."""
        check_modality(self.modality)
        if not 0.0 <= self.prior_correction <= 1.0:
            raise ConfigError(f'prior_correction must be 0 to 1, got {self.prior_correction}')
        for name in ('train', 'validation', 'test'):
            split = replace(getattr(self, name), fields=FIELDS[self.modality])
            object.__setattr__(self, name, split)

    def preset_splits(self) -> dict[str, WorldSplit]:
        """What is scored beside the test split: its world under other presets."""
        return preset_splits(self.test, self.presets, self.preset_count)

    def splits(self) -> dict[str, WorldSplit]:
        """All frames that the run learns from or is scored on, by name."""
        own = {'train': self.train, 'validation': self.validation, 'test': self.test}
        return {**own, **self.preset_splits()}

    def fingerprint(self) -> str:
        """Of everything that changes the trained weights."""
        values = plain(self)
        for name in _NOT_TRAINED_ON:
            del values[name]
        sensor, usual = values['augmentation']['sensor'], plain(SensorConfig())
        for name in _LATER_FAULTS:
            if sensor[name] == usual[name]:
                del sensor[name]
        return settings_digest(values)
