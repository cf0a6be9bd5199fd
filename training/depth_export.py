# SPDX-License-Identifier: Apache-2.0
"""The fast depth student of a run as a bundle that the live node loads.

    python -m training.export --recipe compress_depth --seed 0 --folder students/mono_depth_s \
        --config_path training/configs/compress_depth/mono_depth_s.yaml
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_perception.bundle import save_student
from kd_perception.bundle_depth import SigmaCalibration
from kd_perception.bundle_schema import InputSpec, StudentSpec
from kd_perception.errors import ConfigError
from kd_perception.models import RepUNetConfig
from training.depth_model_card import depth_model_card, is_scored, learnt_from
from training.observations import NOT_SEEN, observations, remind_of_observations
from training.recipes import compress_depth
from training.recipes.compress_depth_config import LATER, CompressDepthConfig
from training.recipes.compress_depth_report import depth_spec, evaluate
from training.records import read_record, versions
from training.settings import plain, without_later
from training.student_files import checked_onnx, weights_of

_CHANNELS, _STRIDE = 3, 4


def export_depth_student(config: CompressDepthConfig, folder: Path) -> str:
    """Export the latest checkpoint of a run; returns the bundle's SHA-256.

    Args:
        config: as the run was trained.
        folder: bundle to write.

    Raises:
        ConfigError: the run has no checkpoint, its record is of other settings, or the graph does
            not compute what the network does.
    """
    run = compress_depth.build(config)
    if run.step == 0:
        raise ConfigError(f'{config.folder} must hold a checkpoint: train this run first')
    network = compress_depth.deployable_network(run)
    onnx = checked_onnx(network, config.image_size, channels=_CHANNELS, output_name='maps')
    record = finished_record(config) if run.step == config.loop.steps else None
    report = record['metrics'] if record else evaluate(network, config)
    spec = student_spec(config, network.config, report, run.step)
    seen = NOT_SEEN
    if record:
        frames = str(record['frame_keys'].get('train', ''))
        seen = observations(config, frames)
        remind_of_observations(config, frames)
    card = depth_model_card(config, report, run.step, seen=seen)
    return save_student(folder, spec, onnx=onnx, weights=weights_of(network), model_card=card)


def student_spec(
    config: CompressDepthConfig, network: RepUNetConfig, report: Mapping[str, Any], step: int
) -> StudentSpec:
    """The description of a depth bundle.

    Args:
        config: of the run.
        network: sizes.
        report: of `evaluate`.
        step: finished steps.
    """
    provenance = {
        'trained_on': learnt_from(config),
        'recipe': 'compress_depth',
        'seed': config.seed,
        'steps': step,
        'config': plain(config),
        'metrics': dict(report),
        'versions': versions(),
    }
    if config.teacher.config:
        provenance['teacher'] = plain(config.teacher.run())
    return StudentSpec(
        name=config.name,
        architecture=network.architecture(),
        classes=(),
        input=InputSpec(*config.image_size, _CHANNELS, 'rgb'),
        output_stride=_STRIDE,
        task='depth',
        depth=depth_spec(config, calibration=_calibration(config, report)),
        provenance=provenance,
    )


def _calibration(config: CompressDepthConfig, report: Mapping[str, Any]) -> SigmaCalibration:
    """What is known of sigma; nothing where nothing was fitted or scored."""
    if not is_scored(report):
        return SigmaCalibration()
    quality = report['test']['sigma']
    return SigmaCalibration(
        scale=report['sigma_scale'],
        confidence_scale=report['confidence_scale'],
        fitted_on=f'{"synthetic" if config.rendered else "recorded"} validation split',
        nll_before=quality['before']['nll'],
        nll_after=quality['after']['nll'],
        coverage_before=quality['before']['coverage_68'],
        coverage_after=quality['after']['coverage_68'],
        ause=report['test']['sparsification']['abs_rel']['ause'],
    )


def finished_record(config: CompressDepthConfig) -> dict[str, Any] | None:
    """The record of a finished run; None where there is none.

    Raises:
        ConfigError: the record is of another configuration.
    """
    path = config.record_path
    if not path.is_file():
        return None
    record = read_record(path)
    current, recorded = (without_later(v, LATER) for v in (plain(config), record['config']))
    differing = [k for k in current if k not in _ELSEWHERE and recorded.get(k) != current[k]]
    if differing:
        raise ConfigError(
            f'{path} must be of the run that is exported; {", ".join(differing)} differ: train '
            'again, or remove the record'
        )
    return record


_ELSEWHERE = ('cache', 'output', 'results', 'launch')
