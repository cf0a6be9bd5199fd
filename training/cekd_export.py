# SPDX-License-Identifier: Apache-2.0
"""The thermal student of a CEKD run as a bundle that the live node loads.

    python -m training.cekd_export --config_path training/configs/cekd/bag.yaml --bag drive \
        --folder runs/students/mine
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import torch

from kd_perception.bundle import save_student
from kd_perception.errors import ConfigError
from kd_perception.markdown import percent
from kd_perception.models.architectures import LogitsOnly
from training.evaluation import evaluate_student
from training.export import student_spec
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_report import scored_splits
from training.recipes.cekd_trained import trained_network
from training.settings import load_config, plain
from training.student_files import checked_onnx, weights_of

_CARD = """\
# {name}

A thermal student distilled by the CEKD recipe, seed {seed}, {steps} steps.

| | |
|---|---|
| Task | semantic segmentation of one thermal frame, nine MFNet classes |
| Network | `EKNet`, preset `{network}`, input 1x1x{height}x{width} |
| Learnt from | {learnt_from} |
| Taught by | `CENet`, preset `{teacher}`, which saw {modality} and {labeled} labeled frames |
| Scored on | {scored_on} |

mIoU of the test split {miou:.1f} % (car {car}, person {person}). Confidence: temperature
{temperature:.3f}, fitted on the validation split. Nothing is known of other cameras: measure on
your own frames. Not for driving or safety use.
"""


def _check_exportable(config: CekdConfig) -> None:
    if config.student.architecture != 'eknet':
        raise ConfigError(
            'a bundle must be of eknet, which the robot can build; the student of this run is '
            f'{config.student.architecture}, which is there to be compared with'
        )
    if 'validation' not in config.split_names:
        raise ConfigError(
            'the confidence of a bundle is fitted on a validation split, which '
            f'{config.label_set.title} has not: train on the world, a recording or MFNet'
        )


def export_student(config: CekdConfig, folder: Path) -> str:
    """Write the bundle; returns its SHA-256.

    Args:
        config: of a run with a student of its own.
        folder: of the bundle.

    Raises:
        ConfigError: the run is not trained, its network or its data set is one that no bundle can
            be made of, or its graph does not compute what the network does.
    """
    _check_exportable(config)
    student, step = trained_network(config, 'student')
    network = LogitsOnly(student).eval()
    onnx = checked_onnx(network, config.image_size)
    splits = scored_splits(config, names=('validation', 'test'))
    report = evaluate_student(
        network, 'thermal', validation=splits['validation'], test=splits['test'], presets={},
        real=(), image_size=config.image_size,
    )  # fmt: skip
    report['calibration']['fitted_on'] = f'{_scored_on(config)}, validation split'
    provenance = {
        'trained_on': _learnt_from(config),
        'recipe': 'cekd',
        'seed': config.seed,
        'steps': step,
        'config': plain(config),
    }
    architecture = student.config.architecture()
    spec = student_spec(config.name, architecture, config.image_size, 1, report, provenance)
    card = model_card(config, report, step)
    return save_student(folder, spec, onnx=onnx, weights=weights_of(network), model_card=card)


def model_card(config: CekdConfig, report: dict[str, Any], step: int) -> str:
    """What a user must know of the student."""
    test = report['synthetic_test']
    shown = {name: percent(test['iou'][name]) for name in ('car', 'person')}
    return _CARD.format(
        name=config.name,
        seed=config.seed,
        steps=step,
        network=config.student.network,
        height=config.image_size[0],
        width=config.image_size[1],
        learnt_from=_learnt_from(config),
        teacher=config.teacher.network,
        modality=config.teacher.modality,
        labeled=config.labeled,
        scored_on=_scored_on(config),
        miou=100.0 * test['miou_nanmean'],
        temperature=report['calibration']['temperature'],
        **shown,
    )


def _learnt_from(config: CekdConfig) -> str:
    if config.bag:
        return f'the images of the recording {Path(config.bag).name}, without labels'
    if config.mfnet:
        return 'MFNet'
    return f'{config.train.count} synthetic frames'


def _scored_on(config: CekdConfig) -> str:
    return 'MFNet' if config.mfnet else 'synthetic frames'


def main(arguments: list[str] | None = None) -> None:
    """Export a run."""
    parser = argparse.ArgumentParser(description='Export the student of a CEKD run.')
    parser.add_argument('--folder', type=Path, required=True, help='bundle to write')
    own, rest = parser.parse_known_args(arguments)
    config = load_config(CekdConfig, rest)
    cv2.setNumThreads(1)
    torch.set_num_threads(config.launch.threads)
    print(f'{own.folder}: SHA-256 {export_student(config, own.folder)}')


if __name__ == '__main__':
    main()
