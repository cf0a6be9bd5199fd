# SPDX-License-Identifier: Apache-2.0
"""The thermal student of an EPS run, which has seen tags alone, as a bundle for the live node.

    python -m training.eps_export --config_path training/configs/eps/bag.yaml --tagged tagged \
        --folder runs/students/tagged
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_perception.bundle import save_student
from kd_perception.bundle_schema import Calibration, ClassInfo, InputSpec, StudentSpec
from kd_perception.errors import ConfigError
from kd_perception.markdown import percent
from kd_perception.models import RepUNet
from kd_perception.preprocessing import AgcConfig
from training.evaluation import calibrate, score
from training.recipes import eps
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_data import RunFrames
from training.recipes.eps_parts import REP_UNETS
from training.recipes.eps_report import tags_of_masks
from training.recipes.eps_tags import place_report
from training.records import versions
from training.settings import plain
from training.student_bundles import check_finished, export_command
from training.student_files import checked_onnx, weights_of

_CARD = """\
# {name}

A thermal student trained on pseudo-masks by the EPS recipe, seed {seed}, {steps} steps. {labels}

| | |
|---|---|
| Task | semantic segmentation of one thermal frame: {classes} |
| Network | `{network}`, input 1x1x{height}x{width} |
| Learnt from | {learnt_from} |
| Saliency | {saliency} |

{figures} Nothing is known of other cameras: measure on your own frames. Not for driving or safety
use.
"""

_TAGS_ALONE = 'No pixel was labeled; classes of images were.'
_FULL_LABELS = 'It is the control that saw the class of every pixel.'


def export_student(config: EpsConfig, folder: Path) -> str:
    """Write the bundle; returns its SHA-256.

    Args:
        config: of a run with a segmentation network.
        folder: of the bundle.

    Raises:
        ConfigError: the run is not trained to its end, its network is none that a bundle can be
            made of, or its graph does not compute what the network does.
    """
    _check_exportable(config)
    run = eps.build(config, 'segmentation')
    check_finished(run.step, config.segmentation.loop.steps, config.folder)
    network = eps.tested(run)
    assert isinstance(network, RepUNet)
    onnx = checked_onnx(network, config.segmentation.image_size)
    report = evaluated(network, config)
    spec = student_spec(config, network, report)
    card = model_card(config, report)
    return save_student(folder, spec, onnx=onnx, weights=weights_of(network), model_card=card)


def _check_exportable(config: EpsConfig) -> None:
    own = config.segmentation
    if own.network not in REP_UNETS or own.modality != 'thermal':
        raise ConfigError(
            f'a bundle must be of {" or ".join(REP_UNETS)} and of heat, which the robot runs; the '
            f'run has {own.network} of {own.modality}'
        )


def evaluated(network: RepUNet, config: EpsConfig) -> dict[str, Any]:
    """What can be measured: with labels scores and a temperature, without them tags alone."""
    frames = RunFrames(config)
    if config.tagged:
        tags = tags_of_masks(network, frames['test'], config)
        return {'tags': tags | place_report(frames)}
    own = config.segmentation
    validation, test = (
        score(
            lambda image: network(image), frames[name], own.modality, name=name,
            image_size=own.image_size, label_set=config.label_set,
        )
        for name in ('validation', 'test')
    )  # fmt: skip
    return {'test': test.metrics, 'calibration': calibrate(validation, test)}


def student_spec(config: EpsConfig, network: RepUNet, report: dict[str, Any]) -> StudentSpec:
    """The description of the bundle; its classes are background and those of the tags."""
    labels, own = config.label_set, config.segmentation
    named = zip(labels.names, labels.colors, strict=True)
    calibration = Calibration()
    if found := report.get('calibration'):
        calibration = Calibration(
            temperature=found['temperature'],
            fitted_on=found['fitted_on'],
            ece_before=found['test_before']['ece'],
            ece_after=found['test_after']['ece'],
        )
    return StudentSpec(
        name=config.name,
        architecture=network.config.architecture(),
        classes=tuple(ClassInfo(k, name, color) for k, (name, color) in enumerate(named)),
        input=InputSpec(*own.image_size),
        output_stride=4,
        agc=AgcConfig(),
        calibration=calibration,
        provenance={
            'trained_on': learnt_from(config),
            'recipe': 'eps',
            'seed': config.seed,
            'steps': own.loop.steps,
            'saliency': eps.saliency_source(config),
            'metrics': {k: v for k, v in report.items() if k != 'calibration'},
            'config': plain(config),
            'versions': versions(),
        },
    )


def learnt_from(config: EpsConfig) -> str:
    """Where the images of a run come from."""
    if config.tagged:
        return f'tagged frames of {Path(config.tagged).name}'
    return f'synthetic thermal views of {config.train.count} frames'


def model_card(config: EpsConfig, report: dict[str, Any]) -> str:
    """What a user must know of the student."""
    own = config.segmentation
    if config.tagged:
        figures = (
            'Without labels its masks cannot be scored. Tags that follow from its masks, on '
            f'frames it has not learnt from: {tags_right(report["tags"])}. Confidence is not '
            'calibrated.'
        )
    else:
        miou = report['test']['miou_nanmean']
        figures = f'mIoU of the synthetic test split {100.0 * miou:.1f} %.'
    return _CARD.format(
        name=config.name,
        seed=config.seed,
        steps=own.loop.steps,
        labels=_TAGS_ALONE if own.target == 'masks' else _FULL_LABELS,
        classes=', '.join(config.label_set.names),
        network=own.network,
        height=own.image_size[0],
        width=own.image_size[1],
        learnt_from=learnt_from(config),
        saliency=eps.saliency_source(config),
        figures=figures,
    )


def tags_right(tags: Mapping[str, Any]) -> str:
    """Share of right tags, beside that of a guess from the place of a tile where one is known."""
    if 'accuracy' not in tags:
        return 'not measured'
    own = f'{percent(tags["accuracy"])} % right'
    if 'place_accuracy' not in tags:
        return own
    return f'{own}, {percent(tags["place_accuracy"])} % by the place of a tile in its image alone'


def main(arguments: list[str] | None = None) -> None:
    """Export a run."""
    export_command(
        EpsConfig, export_student, arguments, description='Export the student of an EPS run.'
    )


if __name__ == '__main__':
    main()
