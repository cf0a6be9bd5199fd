# SPDX-License-Identifier: Apache-2.0
"""The student of an InverseForm run as a bundle that the live node loads.

    python -m training.inverse_form_export --folder runs/students/mine \
        --config_path training/configs/inverse_form/full.yaml

The boundary head stays behind: weights and graph are those of the network alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from kd_perception.label_sets import MFNET
from training.first_weights import card_row
from training.recipes.compress_config import CompressConfig
from training.recipes.inverse_form import build, class_weight, deployable_network
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_report import scored_splits
from training.student_bundles import (
    check_finished,
    export_command,
    save_segmenting_student,
    scored_on,
)

_CARD = """\
# {name}

A thermal student that learnt beside a boundary head by the InverseForm recipe, seed {seed},
{steps} steps. The head is not part of it.

| | |
|---|---|
| Task | semantic segmentation of one thermal frame, nine MFNet classes |
| Network | `{architecture}`, preset `{network}`, input 1x1x{height}x{width} |
| Learnt from | {learnt_from} |
{started}| Terms | {terms} |
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


def export_student(config: InverseFormConfig, folder: Path) -> str:
    """Write the bundle; returns its SHA-256.

    Args:
        config: of a run that is trained.
        folder: of the bundle.

    Raises:
        ConfigError: the run is not trained to its end, sees or knows what no bundle can, or its
            graph does not compute what the network does.
    """
    _check_exportable(config)
    run = build(config)
    check_finished(run.step, config.student.loop.steps, config.folder)
    network: Any = deployable_network(run, config, class_weight(config))
    return save_segmenting_student(
        network,
        config,
        folder,
        architecture=network.config.architecture(),
        splits=scored_splits(config, names=('validation', 'test')),
        provenance={
            'trained_on': _learnt_from(config),
            'recipe': 'inverse_form',
            'steps': run.step,
        },
        card=lambda report: model_card(config, report, run.step),
    )


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
        started=_started(config),
        terms=', '.join(f'{name} {weight:g}' for name, weight in _terms(config).items()),
        scored_on=scored_on(config),
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


def _started(config: InverseFormConfig) -> str:
    run = config.host.run()
    return card_row(run.start_folder) if isinstance(run, CompressConfig) else ''


def _learnt_from(config: InverseFormConfig) -> str:
    return 'MFNet' if config.mfnet else f'{config.train.count} synthetic frames'


def main(arguments: list[str] | None = None) -> None:
    """Export a run."""
    export_command(
        InverseFormConfig,
        export_student,
        arguments,
        description='Export the student of an InverseForm run.',
    )


if __name__ == '__main__':
    main()
