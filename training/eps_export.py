# SPDX-License-Identifier: Apache-2.0
"""The student of an EPS run as a bundle for the live node.

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
from training.data.tagged_frames import MODALITIES
from training.evaluation import calibrate
from training.recipes import eps
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_data import RunFrames
from training.recipes.eps_parts import REP_UNETS
from training.recipes.eps_scores import score_segmentation, scores_of
from training.recipes.eps_sources import in_words
from training.recipes.eps_tags import place_report
from training.records import versions
from training.settings import plain
from training.student_bundles import check_finished, export_command
from training.student_files import checked_onnx, weights_of

_CARD = """\
# {name}

A student of {modality} images that the EPS recipe trained, seed {seed}, {steps} steps. {labels}

| | |
|---|---|
| Task | semantic segmentation of one {modality} frame: {classes} |
| Network | `{network}`, input 1x{channels}x{height}x{width} |
| Learnt from | {learnt_from} |
| Saliency | {saliency} |

{figures} Nothing is known of other cameras: measure on your own frames. Not for driving or safety
use.
"""

_LABELS = {
    'masks': 'Its images have tags: classes of images, not of pixels. Their masks were made from '
    'these and from saliency.',
    'salient_tags': 'Its images have tags: classes of images, not of pixels. It is the control '
    'that learnt what is salient, painted with the first tag of the image.',
    'label': 'It is the control that saw the class of every pixel.',
}


def export_student(config: EpsConfig, folder: Path) -> str:
    """Write the bundle; returns its SHA-256.

    Args:
        config: of a run with a segmentation network.
        folder: of the bundle.

    Raises:
        ConfigError: the run is not trained to its end, its network is none that a bundle can be
            made of, or its graph does not compute what the network does.
    """
    if config.segmentation.network not in REP_UNETS:
        raise ConfigError(
            f'a bundle must be of {" or ".join(REP_UNETS)}, which the robot runs; the run has '
            f'{config.segmentation.network}'
        )
    run = eps.build(config, 'segmentation')
    check_finished(run.step, config.segmentation.loop.steps, config.folder)
    network = eps.tested(run)
    assert isinstance(network, RepUNet)
    own = config.segmentation
    onnx = checked_onnx(network, own.image_size, channels=MODALITIES[own.modality])
    report = evaluated(network, config)
    spec = student_spec(config, network, report)
    card = model_card(config, report)
    return save_student(folder, spec, onnx=onnx, weights=weights_of(network), model_card=card)


def evaluated(network: RepUNet, config: EpsConfig) -> dict[str, Any]:
    """What can be measured: with labels scores, of the world a temperature, of a folder tags."""
    frames = RunFrames(config)
    if config.tagged:
        found = score_segmentation(network, frames)
        tags = found.pop('tags') | place_report(frames)
        return {'tags': tags, **({'test': found} if found else {})}
    validation, test = (
        scores_of(network, frames[name], config, name=name) for name in ('validation', 'test')
    )
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
        input=InputSpec(*own.image_size, MODALITIES[own.modality], own.modality),
        output_stride=4,
        agc=AgcConfig(),
        calibration=calibration,
        provenance={
            'trained_on': learnt_from(config),
            'recipe': 'eps',
            'seed': config.seed,
            'steps': own.loop.steps,
            'saliency': config.saliency_source(),
            'metrics': {k: v for k, v in report.items() if k != 'calibration'},
            'config': plain(config),
            'versions': versions(),
        },
    )


def learnt_from(config: EpsConfig) -> str:
    """Where the images of a run come from."""
    if config.tagged:
        return f'tagged frames of {Path(config.tagged).name} ({config.trained_on})'
    return f'synthetic {config.segmentation.modality} views of {config.train.count} frames'


def model_card(config: EpsConfig, report: dict[str, Any]) -> str:
    """What a user must know of the student."""
    own = config.segmentation
    return _CARD.format(
        name=config.name,
        seed=config.seed,
        steps=own.loop.steps,
        modality='color' if own.modality == 'rgb' else 'thermal',
        labels=_LABELS[own.target],
        classes=', '.join(config.label_set.names),
        network=own.network,
        channels=MODALITIES[own.modality],
        height=own.image_size[0],
        width=own.image_size[1],
        learnt_from=learnt_from(config),
        saliency=in_words(config.saliency_source()),
        figures=figures(config, report),
    )


def figures(config: EpsConfig, report: Mapping[str, Any]) -> str:
    """What was measured, in sentences."""
    if not config.tagged:
        return f'mIoU of the synthetic test split {percent(report["test"]["miou_nanmean"])} %.'
    sentences = [
        'Confidence is not calibrated. Tags that follow from its masks, on frames that it has not '
        f'learnt from: {tags_right(report["tags"])}.'
    ]
    if 'test' in report:
        iou = report['test']['iou']
        classes = ', '.join(f'{name} {percent(iou[name])} %' for name in config.label_set.names)
        sentences.append(
            f'IoU on other images of the same recording, whose labels it has not seen: {classes}.'
        )
    else:
        sentences.append('Without labels its masks cannot be scored.')
    return ' '.join(sentences)


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
