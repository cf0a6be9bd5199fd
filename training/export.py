# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to a student bundle: fold, correct, calibrate, export, check.

    python -m training.export --recipe compress --seed 1 --folder students/thermal_seg_s \
        --config_path training/configs/compress/thermal_seg_s.yaml

With `--prior-correction` another share of the class weights is taken back than the run was scored
with, and the student is scored anew; `training.prior_correction` says what that changes. Students
of `--recipe compress_depth` tell depth: see `training.depth_export`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import torch
from torch import Tensor

from kd_perception.bundle import save_student
from kd_perception.bundle_schema import InputSpec
from kd_perception.errors import ConfigError
from kd_perception.models import RepUNet
from training.data.modality import CHANNELS
from training.deployment import deployable
from training.depth_export import export_depth_student
from training.model_card import (
    input_size,
    learnt_from,
    modality_of,
    model_card,
    train_digest,
)
from training.observations import remind_of_observations
from training.recipes import compress, compress_data, supervised
from training.recipes.compress_config import CompressConfig
from training.recipes.compress_depth_config import CompressDepthConfig
from training.recipes.supervised_config import SupervisedConfig
from training.records import read_record
from training.settings import load_config, plain
from training.student_bundles import student_spec
from training.student_files import checked_onnx, weights_of

RunConfig = SupervisedConfig | CompressConfig

RECIPES = {'supervised': SupervisedConfig, 'compress': CompressConfig}
DEPTH_RECIPE = 'compress_depth'
EXPORTED = ('thermal', 'rgb')


class Trained(NamedTuple):
    """A run as far as it is trained.

    Attributes:
        config: of the run, with the prior correction of the network.
        network: folded and corrected, in eval mode.
        step: finished steps.
        frames: `key` and `digest` of what it learnt from, `class_shares` where that has labels.
        class_weight: that it learnt with, [classes]; None where all classes weigh the same.
        evaluate: gives its metrics.
    """

    config: RunConfig
    network: RepUNet
    step: int
    frames: dict[str, Any]
    class_weight: Tensor | None
    evaluate: Callable[[], dict[str, Any]]


def trained_run(config: RunConfig, *, prior_correction: float | None = None) -> Trained:
    """The latest checkpoint of a run.

    Args:
        config: as the run was trained.
        prior_correction: share of the log class weights taken back, 0 to 1; None for the run's.

    Raises:
        ConfigError: there is none, it is of another configuration, or the share is out of range.
    """
    share = config.prior_correction if prior_correction is None else prior_correction
    deployed = replace(config, prior_correction=share)
    if isinstance(config, CompressConfig) and isinstance(deployed, CompressConfig):
        return _compressed(config, deployed)
    assert isinstance(config, SupervisedConfig) and isinstance(deployed, SupervisedConfig)
    return _supervised(config, deployed)


def _supervised(config: SupervisedConfig, deployed: SupervisedConfig) -> Trained:
    training = supervised.build(config)
    _check_started(training.step, config)
    weight = supervised.frame_weights(training)
    network = deployable(training.average, weight, deployed.prior_correction)
    return Trained(
        deployed,
        network,
        training.step,
        training.frames,
        weight,
        lambda: supervised.evaluate(training, deployed),
    )


def _compressed(config: CompressConfig, deployed: CompressConfig) -> Trained:
    run = compress.build(config)
    _check_started(run.step, config)
    network = compress.deployable_network(run, deployed)
    return Trained(
        deployed,
        network,
        run.step,
        compress_data.learnt_from(run.notes),
        compress.frame_weights(run, config),
        lambda: compress.evaluate(run, deployed),
    )


def _check_started(step: int, config: RunConfig) -> None:
    if step == 0:
        raise ConfigError(f'{config.folder} must hold a checkpoint: train this run first')


def run_provenance(config: RunConfig, report: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Where the student of a run comes from."""
    known = {
        'trained_on': f'synthetic {modality_of(config)} street world, no real image',
        'recipe': next(name for name, kind in RECIPES.items() if isinstance(config, kind)),
        'seed': config.seed,
        'steps': step,
        'data_digest': report['data_digest'],
        'config': plain(config),
    }
    if isinstance(config, CompressConfig):
        if config.bag:
            known['trained_on'] = learnt_from(config)
        if config.teacher.config:
            known['teacher'] = plain(config.teacher.run())
        if config.teacher.bundle:
            teacher = config.teacher.student()
            known['teacher'] = {'bundle': teacher.spec.name, 'sha256': teacher.sha256}
    return known


def export_student(
    config: RunConfig,
    folder: Path,
    *,
    prior_correction: float | None = None,
    tiles_chose: bool = False,
) -> str:
    """Export the latest checkpoint of a run; returns the bundle's SHA-256.

    Args:
        config: as the run was trained.
        folder: bundle to write.
        prior_correction: share of the log class weights taken back, 0 to 1; None for the run's.
        tiles_chose: the real tiles chose this seed among those that validation holds equal; the
            card says so.

    Raises:
        ConfigError: the run has no checkpoint or sees heat and color at once; its record, or the
            world that it would be scored on, is not that of the frames it learnt from; the prior
            correction is out of range; or the graph does not compute what the network does.
    """
    modality = modality_of(config)
    if modality not in EXPORTED:
        raise ConfigError(f'a bundle must see one of {list(EXPORTED)}, got {modality}')
    run = trained_run(config, prior_correction=prior_correction)
    deployed, image_size = run.config, input_size(config)
    onnx = checked_onnx(run.network, image_size, channels=CHANNELS[modality])
    recorded = recorded_metrics(config, run) if deployed == config else None
    report = recorded or run.evaluate()
    provenance = run_provenance(config, report, run.step)
    applied = deployed.prior_correction if run.class_weight is not None else 0.0
    provenance['prior_correction'] = applied  # nothing was taken back from unweighted losses
    provenance['tiles_chose'] = tiles_chose
    architecture = run.network.config.architecture()
    input_spec = InputSpec(*image_size, CHANNELS[modality], modality)
    spec = student_spec(config.name, architecture, input_spec, 4, report, provenance)
    card = model_card(deployed, report, run.step, tiles_chose=tiles_chose)
    remind_of_observations(deployed, train_digest(report))
    return save_student(folder, spec, onnx=onnx, weights=weights_of(run.network), model_card=card)


def recorded_metrics(config: RunConfig, run: Any) -> dict[str, Any] | None:
    """The metrics of the finished run's record; None while it is unfinished.

    Args:
        config: of the run.
        run: with `step` and `frames`.

    Raises:
        ConfigError: the record is of a run that learnt from other frames than the checkpoint.
    """
    path = config.record_path
    if run.step < config.steps or not path.is_file():
        return None
    metrics: dict[str, Any] = read_record(path)['metrics']
    recorded, learnt = metrics['data_digest'].get('train'), run.frames.get('digest')
    if recorded != learnt:
        raise ConfigError(
            f'{path} must be of the checkpoint in {config.folder}: it learnt from the frames '
            f'{str(recorded)[:16]}, the checkpoint from {str(learnt)[:16]}; train again'
        )
    return metrics


def main(arguments: list[str] | None = None) -> None:
    """Export a run."""
    parser = argparse.ArgumentParser(description='Export the latest checkpoint of a run.')
    parser.add_argument('--recipe', choices=[*RECIPES, DEPTH_RECIPE], default='supervised')
    parser.add_argument('--folder', type=Path, required=True, help='bundle to write')
    parser.add_argument('--prior-correction', type=float, help='0 to 1, else that of the run')
    parser.add_argument(
        '--tiles-chose', action='store_true',
        help='the real tiles chose the seed, among those that validation holds equal',
    )  # fmt: skip
    own, rest = parser.parse_known_args(arguments)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if own.recipe == DEPTH_RECIPE:
        sha256 = export_depth_student(load_config(CompressDepthConfig, rest), own.folder)
    else:
        config: RunConfig = load_config(RECIPES[own.recipe], rest)
        sha256 = export_student(
            config,
            own.folder,
            prior_correction=own.prior_correction,
            tiles_chose=own.tiles_chose,
        )
    print(f'{own.folder}: SHA-256 {sha256}')


if __name__ == '__main__':
    main()
