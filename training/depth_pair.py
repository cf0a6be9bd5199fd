# SPDX-License-Identifier: Apache-2.0
"""Two depth students as one bundle, whose sigma is what they disagree about.

    python -m training.depth_pair --first students/mono_depth_s --second runs/students/other \
        --folder runs/students/mono_depth_pair \
        --config_path training/configs/compress_depth/mono_depth_s.yaml

Depth is that of the first student. Sigma is half of what the logarithms of both depths differ by
(`mutual_log_maps`), times factors that are fitted to it as they are to a predicted sigma. They,
and the least disagreement that counts, come from the validation split of the configuration; its
test split tells how good they are. Both networks run on each frame of the robot, and none of them
in int8: what that changes of a depth would be taken for disagreement.

Students that learnt the same from the same frames agree about their errors: let the second one be
of another teacher, of another branch of mutual distillation, or of another seed at least.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kd_perception.bundle import Student, load_student, save_student
from kd_perception.bundle_depth import SecondStudent, SigmaCalibration
from kd_perception.bundle_files import CARD_FILE
from kd_perception.bundle_pair import check_pair
from kd_perception.errors import ConfigError
from training.depth_disagreement import LEAST_SHARES, PREDICTED, fit, observe, quality
from training.depth_pair_card import pair_card
from training.recipes.compress_depth_config import CompressDepthConfig
from training.recipes.compress_depth_data import scored_frames
from training.recipes.mutual_distillation_frames import ScoredFrame
from training.settings import load_config


def join(
    config: CompressDepthConfig, first: Student, second: Student, folder: Path
) -> dict[str, Any]:
    """Write the bundle of a pair; returns what was fitted and how good that is.

    Args:
        config: whose validation and test frames are looked at.
        first: whose depth is told.
        second: who judges it.
        folder: bundle to write; its name is that of the student.

    Raises:
        ConfigError: both are the same, see no color images, or no depth of the frames is known.
        BundleError: they cannot be compared.
    """
    _check_students(first, second)
    frames = scored_frames(replace(config, presets=()))
    if not {'validation', 'test'} <= set(frames):
        raise ConfigError(
            'frames of known depth must fit sigma and judge it; the recording has no lidar in its '
            'validation or its test split'
        )
    fitted = fit(observe(first, second, _shown(frames, 'validation'), LEAST_SHARES))
    shares = (PREDICTED, fitted['least_share'])
    report = fitted | quality(observe(first, second, _shown(frames, 'test'), shares), fitted)
    assert first.spec.depth is not None
    calibration = _calibration(report, 'synthetic' if config.rendered else 'recorded')
    depth = replace(
        first.spec.depth,
        uncertainty_method='mutual',
        calibration=calibration,
        second=SecondStudent(second.sha256, fitted['least_share']),
    )
    own = replace(first.spec, name=folder.name, quantization=None)
    provenance = {**first.spec.provenance, 'mutual': {'second': second.spec.name, **report}}
    card = (first.folder / CARD_FILE).read_text(encoding='utf-8')
    save_student(
        folder,
        replace(own, depth=depth, provenance=provenance),
        onnx=first.onnx,
        weights=first.weights,
        model_card=pair_card(folder.name, first, second, report) + card,
        second=second,
    )
    return report


def _check_students(first: Student, second: Student) -> None:
    check_pair(first.spec, second.spec)
    if first.second is not None:
        raise ConfigError(f'the first student must be none of a pair; {first.spec.name} is one')
    if first.onnx == second.onnx:
        raise ConfigError('two students must be joined; received the same network twice')
    if first.spec.input.modality != 'rgb':
        raise ConfigError(
            f'the frames here are color images; {first.spec.name} sees '
            f'{first.spec.input.modality} ones'
        )


def _shown(frames: dict[str, Any], name: str) -> Iterable[ScoredFrame]:
    shown: Iterable[ScoredFrame] = tqdm(frames[name], desc=name, unit='frame')
    return shown


def _calibration(report: dict[str, Any], kind: str) -> SigmaCalibration:
    before, after = report['sigma']['before'], report['sigma']['after']
    return SigmaCalibration(
        scale=report['sigma_scale'],
        confidence_scale=report['confidence_scale'],
        fitted_on=f'{kind} validation split',
        nll_before=before['nll'],
        nll_after=after['nll'],
        coverage_before=before['coverage_68'],
        coverage_after=after['coverage_68'],
        ause=report['ause'],
    )


def main(arguments: list[str] | None = None) -> None:
    """Join two bundles."""
    parser = argparse.ArgumentParser(description='Join two depth students into one bundle.')
    parser.add_argument('--first', type=Path, required=True, help='bundle whose depth is told')
    parser.add_argument('--second', type=Path, required=True, help='bundle that judges it')
    parser.add_argument('--folder', type=Path, required=True, help='bundle to write')
    own, rest = parser.parse_known_args(arguments)
    config = load_config(CompressDepthConfig, rest)
    report = join(config, load_student(own.first), load_student(own.second), own.folder)
    after = report['sigma']['after']
    print(
        f'{own.folder}: {after["coverage_1_sigma"]:.1%} and {after["coverage_2_sigma"]:.1%} of '
        f'the errors lie within one and two sigma; AUSE {report["ause"]:.4f}, of the predicted '
        f'sigma {report["ause_predicted"]:.4f}'
    )


if __name__ == '__main__':
    main()
