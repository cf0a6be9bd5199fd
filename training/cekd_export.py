# SPDX-License-Identifier: Apache-2.0
"""The thermal student of a CEKD run as a bundle that the live node loads.

    python -m training.cekd_export --config_path training/configs/cekd/bag.yaml --bag drive \
        --folder runs/students/mine
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from kd_perception.markdown import percent
from kd_perception.models.architectures import LogitsOnly
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_report import scored_splits
from training.recipes.cekd_trained import trained_network
from training.student_bundles import (
    check_finished,
    export_command,
    save_segmenting_student,
    scored_on,
)

_CARD = """\
# {name}

A thermal student {trained} by the CEKD recipe, seed {seed}, {steps} steps.

| | |
|---|---|
| Task | semantic segmentation of one thermal frame, nine MFNet classes |
| Network | `EKNet`, preset `{network}`, input 1x1x{height}x{width} |
| Learnt from | {learnt_from} |
{taught_by}| Scored on | {scored_on} |

mIoU of the test split {miou:.1f} % (car {car}, person {person}). Confidence: temperature
{temperature:.3f}, fitted on the validation split. Nothing is known of other cameras: measure on
your own frames. Not for driving or safety use.
"""


_TAUGHT_BY = """\
| Taught by | `CENet`, preset `{teacher}`, which saw {modality} and {labeled} labeled frames |
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
        ConfigError: the run is not trained to its end, its network or its data set is one that no
            bundle can be made of, or its graph does not compute what the network does.
    """
    _check_exportable(config)
    student, step = trained_network(config, 'student')
    check_finished(step, config.student.loop.steps, config.folder)
    network = LogitsOnly(student).eval()
    return save_segmenting_student(
        network,
        config,
        folder,
        architecture=student.config.architecture(),
        splits=scored_splits(config, names=('validation', 'test')),
        provenance={'trained_on': _learnt_from(config), 'recipe': 'cekd', 'steps': step},
        card=lambda report: model_card(config, report, step),
    )


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
        trained='distilled' if config.student.needs_teacher else 'trained without a teacher',
        learnt_from=_learnt_from(config),
        taught_by=_taught_by(config),
        scored_on=scored_on(config),
        miou=100.0 * test['miou_nanmean'],
        temperature=report['calibration']['temperature'],
        **shown,
    )


def _learnt_from(config: CekdConfig) -> str:
    if config.bag:
        return f'the images of the recording {Path(config.bag).name}, without labels'
    if config.student_sees_labels_alone:
        kind = 'MFNet' if config.mfnet else 'the synthetic world'
        return f'{_labeled(config)} frames of {kind}, all with labels'
    also = f', {_labeled(config)} of them with labels' if config.student.target == 'both' else ''
    return ('MFNet' if config.mfnet else f'{config.train.count} synthetic frames') + also


def _taught_by(config: CekdConfig) -> str:
    """A row of the table; empty for a student that nobody taught."""
    if not config.student.needs_teacher:
        return ''
    return _TAUGHT_BY.format(
        teacher=config.teacher.network,
        modality=config.teacher.modality,
        labeled=_labeled(config),
    )


def _labeled(config: CekdConfig) -> str:
    """How many frames have labels that may be seen."""
    if config.mfnet:
        return f'at most {config.labeled}'
    return str(min(config.labeled, config.train.count))


def main(arguments: list[str] | None = None) -> None:
    """Export a run."""
    export_command(
        CekdConfig, export_student, arguments, description='Export the student of a CEKD run.'
    )


if __name__ == '__main__':
    main()
