# SPDX-License-Identifier: Apache-2.0
"""What the exporters of segmenting students share: description, scores, bundle, command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import torch
from torch import Tensor, nn

from kd_perception.bundle import save_student
from kd_perception.bundle_schema import Calibration, ClassInfo, InputSpec, StudentSpec
from kd_perception.errors import ConfigError
from kd_perception.preprocessing import AgcConfig
from kd_perception.world.classes import CLASS_COLORS, CLASS_NAMES
from training.data.modality import CHANNELS, LabeledFrame
from training.distributed import LaunchConfig
from training.evaluation import evaluate_student
from training.records import versions
from training.settings import load_config, plain
from training.student_files import checked_onnx, weights_of

_METRIC_GROUPS = ('synthetic_test', 'synthetic_validation', 'real_tiles')


class LaunchedConfig(Protocol):
    """A configuration that says how many threads a run has."""

    @property
    def launch(self) -> LaunchConfig:
        """How the run is launched."""


class SegmentingConfig(LaunchedConfig, Protocol):
    """A configuration of a student that is trained on the world or on MFNet."""

    @property
    def name(self) -> str:
        """Of the run."""

    @property
    def seed(self) -> int:
        """Of the run."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the student's input."""

    @property
    def mfnet(self) -> str:
        """Folder of MFNet; empty for the world."""


Config = TypeVar('Config', bound=LaunchedConfig)


def student_spec(
    name: str,
    architecture: dict[str, Any],
    input_spec: InputSpec,
    output_stride: int,
    report: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> StudentSpec:
    """The description of a bundle of the nine classes.

    Args:
        name: of the student.
        architecture: as `build_network` reads it.
        input_spec: of the network.
        output_stride: of the logits.
        report: with `calibration`, and the metrics that are told.
        provenance: what is to be told beside metrics and versions.
    """
    calibration = report['calibration']
    classes = zip(CLASS_NAMES, CLASS_COLORS, strict=True)
    return StudentSpec(
        name=name,
        architecture=architecture,
        classes=tuple(ClassInfo(k, name, color) for k, (name, color) in enumerate(classes)),
        input=input_spec,
        output_stride=output_stride,
        agc=AgcConfig(),
        calibration=Calibration(
            temperature=calibration['temperature'],
            fitted_on=calibration['fitted_on'],
            ece_before=calibration['test_before']['ece'],
            ece_after=calibration['test_after']['ece'],
        ),
        provenance={
            **provenance,
            'metrics': {k: report[k] for k in _METRIC_GROUPS if k in report},
            'versions': versions(),
        },
    )


def save_segmenting_student(
    network: nn.Module,
    config: SegmentingConfig,
    folder: Path,
    *,
    architecture: dict[str, Any],
    splits: Mapping[str, Sequence[LabeledFrame]],
    provenance: Mapping[str, Any],
    card: Callable[[dict[str, Any]], str],
    modality: str = 'thermal',
) -> str:
    """Score a network, fit its temperature and write its bundle; returns the SHA-256.

    Args:
        network: image [1, channels, height, width] to logits of the nine classes, in eval mode on
            the CPU.
        config: of the run.
        folder: of the bundle.
        architecture: as `build_network` reads it.
        splits: `validation`, on which the temperature is fitted, and `test`.
        provenance: `trained_on`, `recipe` and `steps`.
        card: `card(report)` gives the model card from the metrics.
        modality: what the network sees, `thermal` or `rgb`.

    Raises:
        ConfigError: the graph does not compute what the network does.
    """
    channels = CHANNELS[modality]
    onnx = checked_onnx(network, config.image_size, channels=channels)
    report = evaluate_student(
        network, modality, validation=splits['validation'], test=splits['test'], presets={},
        real=(), image_size=config.image_size,
    )  # fmt: skip
    report['calibration']['fitted_on'] = f'{scored_on(config)}, validation split'
    stride = _stride(network, config.image_size, channels)
    known = {**provenance, 'seed': config.seed, 'config': plain(config)}
    input_spec = InputSpec(*config.image_size, channels, modality)
    spec = student_spec(config.name, architecture, input_spec, stride, report, known)
    return save_student(
        folder, spec, onnx=onnx, weights=weights_of(network), model_card=card(report)
    )


def check_finished(step: int, steps: int, folder: Path) -> None:
    """Check that a run is trained to its end.

    Args:
        step: finished ones.
        steps: of the whole run.
        folder: of its checkpoints.

    Raises:
        ConfigError: it is not.
    """
    if step < steps:
        raise ConfigError(
            f'{folder} must hold a checkpoint of a finished run, it is at step {step} of {steps}: '
            'train this run first'
        )


def scored_on(config: SegmentingConfig) -> str:
    """What the student of a run is scored on."""
    return 'MFNet' if config.mfnet else 'synthetic frames'


def _stride(network: nn.Module, image_size: tuple[int, int], channels: int) -> int:
    with torch.no_grad():
        logits: Tensor = network(torch.zeros(1, channels, *image_size))
    return image_size[0] // int(logits.shape[2])


def export_command(
    config_class: type[Config],
    export_student: Callable[[Config, Path], str],
    arguments: list[str] | None,
    *,
    description: str,
) -> None:
    """The command of an exporter: `--folder` and the fields of the configuration.

    Args:
        config_class: of the recipe.
        export_student: writes the bundle of a run, returns its SHA-256.
        arguments: of the command line; those of the process if None.
        description: of the command.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--folder', type=Path, required=True, help='bundle to write')
    own, rest = parser.parse_known_args(arguments)
    config = load_config(config_class, rest)
    cv2.setNumThreads(1)
    torch.set_num_threads(config.launch.threads)
    print(f'{own.folder}: SHA-256 {export_student(config, own.folder)}')
