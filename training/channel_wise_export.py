# SPDX-License-Identifier: Apache-2.0
"""The student of a run of channel-wise distillation or a rival as a bundle that the nodes load.

    python -m training.channel_wise_export --folder runs/students/mine \
        --config_path training/configs/channel_wise/thermal_cwd_logits.yaml

Alignment layers and discriminators stay behind. A student of heat is for the node `thermal_seg`,
one of color for `rgb_seg`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from kd_perception.label_sets import MFNET
from kd_perception.models import RepUNet
from training.data.modality import CHANNELS
from training.recipes.channel_wise import trained_network
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_data import split_frames
from training.recipes.channel_wise_networks import NetworkConfig
from training.student_bundles import export_command, save_segmenting_student, scored_on

_MODALITIES = {'thermal': 'thermal', 'rgb': 'color'}

_CARD = """\
# {name}

A student of {modality} images that the recipe of channel-wise distillation trained, seed {seed},
{steps} steps.

| | |
|---|---|
| Task | semantic segmentation of one {modality} frame, nine MFNet classes |
| Network | `rep_unet`, preset `{network}`, input 1x{channels}x{height}x{width} |
| Learnt from | {learnt_from} |
| Taught by | {taught_by} |
| Scored on | {scored_on} |

mIoU of the test split {miou:.1f} %. Confidence: temperature {temperature:.3f}, fitted on the
validation split. Nothing is known of other cameras: measure on your own frames. Not for driving or
safety use.
"""


def _check_exportable(config: ChannelWiseConfig) -> None:
    own = config.student
    if own.architecture != 'rep_unet' or own.modality not in _MODALITIES:
        raise ConfigError(
            'a bundle must be of rep_unet, which the robot runs, and see heat or color, got '
            f'{own.architecture} that sees {own.modality}'
        )
    if config.label_set is not MFNET or 'validation' not in config.split_names:
        raise ConfigError(
            'a bundle must know the classes of MFNet, and have a validation split on which its '
            f'confidence is fitted; got {config.label_set.title} with {list(config.split_names)}'
        )


def export_student(config: ChannelWiseConfig, folder: Path) -> str:
    """Write the bundle; returns its SHA-256.

    Args:
        config: of a run with a student that is trained.
        folder: of the bundle.

    Raises:
        ConfigError: the run is not trained to its end, its student is none that a bundle can be
            made of, or its graph does not compute what the network does.
    """
    _check_exportable(config)
    trained = trained_network(config, 'student').network
    assert isinstance(trained, RepUNet)
    network = trained.folded()
    return save_segmenting_student(
        network,
        config,
        folder,
        architecture=network.config.architecture(),
        splits={name: split_frames(config, name) for name in ('validation', 'test')},
        provenance={
            'trained_on': _learnt_from(config),
            'recipe': 'channel_wise',
            'steps': config.student.loop.steps,
        },
        card=lambda report: model_card(config, report),
        modality=config.student.modality,
    )


def model_card(config: ChannelWiseConfig, report: dict[str, Any]) -> str:
    """What a user must know of the student."""
    own = config.student
    return _CARD.format(
        name=config.name,
        seed=config.seed,
        steps=own.loop.steps,
        modality=_MODALITIES[own.modality],
        network=own.preset,
        channels=CHANNELS[own.modality],
        height=config.image_size[0],
        width=config.image_size[1],
        learnt_from=_learnt_from(config),
        taught_by=_taught_by(config.teacher, config),
        scored_on=scored_on(config),
        miou=100.0 * report['synthetic_test']['miou_nanmean'],
        temperature=report['calibration']['temperature'],
    )


def _learnt_from(config: ChannelWiseConfig) -> str:
    frames = 'MFNet' if config.mfnet else f'{config.train.count} synthetic frames'
    return f'labels of {frames}'


def _taught_by(teacher: NetworkConfig, config: ChannelWiseConfig) -> str:
    if not config.terms:
        return 'nobody: labels alone'
    saw = f'`{teacher.architecture}`, preset `{teacher.preset}`, which saw {teacher.modality}'
    terms = (f'{term.loss} on {term.at} with weight {term.weight:g}' for term in config.terms)
    return f'{saw}: {", ".join(terms)}'


def main(arguments: list[str] | None = None) -> None:
    """Export a run."""
    export_command(
        ChannelWiseConfig,
        export_student,
        arguments,
        description='Export the student of a run of channel-wise distillation.',
    )


if __name__ == '__main__':
    main()
