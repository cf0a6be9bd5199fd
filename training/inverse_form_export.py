# SPDX-License-Identifier: Apache-2.0
"""The student of an InverseForm run as a bundle that the live node loads.

    python -m training.inverse_form_export --folder runs/students/mine \
        --config_path training/configs/inverse_form/full.yaml

The boundary head stays behind: weights and graph are those of the network alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn

from kd_perception.bundle import save_student
from kd_perception.errors import ConfigError
from kd_perception.label_sets import MFNET
from training.evaluation import evaluate_student
from training.export import student_spec
from training.recipes.inverse_form import build, class_weight, deployable_network
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_report import scored_splits
from training.settings import load_config, plain
from training.student_files import checked_onnx, weights_of

_CARD = """\
# {name}

A thermal student that learnt beside a boundary head by the InverseForm recipe, seed {seed},
{steps} steps. The head is not part of it.

| | |
|---|---|
| Task | semantic segmentation of one thermal frame, nine MFNet classes |
| Network | `{architecture}`, preset `{network}`, input 1x1x{height}x{width} |
| Learnt from | {learnt_from} |
| Terms | {terms} |
| Scored on | {scored_on} |

mIoU of the test split {miou:.1f} %, boundary F at 3 px {boundary}. Confidence: temperature
{temperature:.3f}, fitted on the validation split. Nothing is known of other cameras: measure on
your own frames. Not for driving or safety use.
"""


def _check_exportable(config: InverseFormConfig) -> None:
    if config.modality != 'thermal' or config.label_set is not MFNET:
        raise ConfigError(
            'a bundle must see thermal images and know the classes of MFNet, got modality '
            f'{config.modality!r} and {config.label_set.title}'
        )


def _stride(network: nn.Module, image_size: tuple[int, int]) -> int:
    with torch.no_grad():
        logits: Tensor = network(torch.zeros(1, 1, *image_size))
    return image_size[0] // int(logits.shape[2])


def export_student(config: InverseFormConfig, folder: Path) -> str:
    """Write the bundle; returns its SHA-256.

    Args:
        config: of a run that is trained.
        folder: of the bundle.

    Raises:
        ConfigError: the run is not trained, sees or knows what no bundle can, or its graph does
            not compute what the network does.
    """
    _check_exportable(config)
    run = build(config)
    if not run.step:
        raise ConfigError(f'{config.folder} must hold a checkpoint: train this run first')
    network: Any = deployable_network(run, config, class_weight(config))
    onnx = checked_onnx(network, config.image_size)
    splits = scored_splits(config, names=('validation', 'test'))
    report = evaluate_student(
        network, 'thermal', validation=splits['validation'], test=splits['test'], presets={},
        real=(), image_size=config.image_size,
    )  # fmt: skip
    report['calibration']['fitted_on'] = f'{_scored_on(config)}, validation split'
    provenance = {
        'trained_on': _learnt_from(config),
        'recipe': 'inverse_form',
        'seed': config.seed,
        'steps': run.step,
        'config': plain(config),
    }
    stride, architecture = _stride(network, config.image_size), network.config.architecture()
    spec = student_spec(config.name, architecture, config.image_size, stride, report, provenance)
    card = model_card(config, report, run.step)
    return save_student(folder, spec, onnx=onnx, weights=weights_of(network), model_card=card)


def model_card(config: InverseFormConfig, report: dict[str, Any], step: int) -> str:
    """What a user must know of the student."""
    test, own = report['synthetic_test'], config.student
    boundary = test['boundary_f_3px']
    return _CARD.format(
        name=config.name,
        seed=config.seed,
        steps=step,
        architecture=own.architecture,
        network=own.network,
        height=config.image_size[0],
        width=config.image_size[1],
        learnt_from=_learnt_from(config),
        terms=', '.join(f'{name} {weight:g}' for name, weight in _terms(config).items()),
        scored_on=_scored_on(config),
        miou=100.0 * test['miou_nanmean'],
        boundary='unknown' if boundary is None else f'{100.0 * boundary:.1f} %',
        temperature=report['calibration']['temperature'],
    )


def _terms(config: InverseFormConfig) -> dict[str, float]:
    own, host = config.student, config.host.recipe
    first = {'segmentation': own.segmentation_weight} if host == 'none' else {f'{host} terms': 1.0}
    return {
        **first,
        'boundary': own.boundary_weight,
        'edge attention': own.attention_weight,
        'InverseForm': own.inverse_form_weight,
    }


def _learnt_from(config: InverseFormConfig) -> str:
    return 'MFNet' if config.mfnet else f'{config.train.count} synthetic frames'


def _scored_on(config: InverseFormConfig) -> str:
    return 'MFNet' if config.mfnet else 'synthetic frames'


def main(arguments: list[str] | None = None) -> None:
    """Export a run."""
    parser = argparse.ArgumentParser(description='Export the student of an InverseForm run.')
    parser.add_argument('--folder', type=Path, required=True, help='bundle to write')
    own, rest = parser.parse_known_args(arguments)
    config = load_config(InverseFormConfig, rest)
    cv2.setNumThreads(1)
    torch.set_num_threads(config.launch.threads)
    print(f'{own.folder}: SHA-256 {export_student(config, own.folder)}')


if __name__ == '__main__':
    main()
