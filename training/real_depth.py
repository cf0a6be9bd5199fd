# SPDX-License-Identifier: Apache-2.0
"""A finished depth student on real images: a picture, and a record where there is a lidar.

The bundle runs as the node runs it (`kd_perception.pipeline`); every image stands alone. Images
with lidar points are scored in meters, by the scores of `kd-perception evaluate`; images without a
calibration are shown with depth without unit. The picture holds real images: it is for your eyes
and never committed.

    python -m training.real_depth students/mono_depth_s --sheet runs/real/mono_depth_s.jpg \
        --record results/real/mono_depth_s.json
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from kd_perception.evaluation.depth_evaluator import EvaluatedDepth
from kd_perception.evaluation.depth_pictures import DepthPainter
from kd_perception.evaluation.depth_predictions import predicted_depth
from kd_perception.evaluation.depth_result import DepthFrameRecord
from kd_perception.evaluation.depth_scoring import DepthScorer
from kd_perception.evaluation.environment import environment_versions
from kd_perception.evaluation.report_images import SheetRow, contact_sheet
from kd_perception.evaluation.result import array_sha256, plain
from kd_perception.metrics import DepthProtocol
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.pipeline import DepthPipeline
from kd_perception.tasks import DEPTH, load_pipeline
from training.data.real_depth_frames import RealDepthFrame, load_real_depth_sets
from training.records import write_record

MIN_DEPTH_M, MAX_DEPTH_M = 1.0, 80.0
"""Lidar points nearer or farther do not count, as on KITTI."""

NOTHING_SCORED = 'no set has a lidar: nothing to score'

_PANEL_PX = 300

Sets = Mapping[str, Sequence[RealDepthFrame]]


class Seen(NamedTuple):
    """What a student makes of a set.

    Attributes:
        report: for the record; None without lidar.
        rows: for the picture.
    """

    report: dict[str, Any] | None
    rows: list[SheetRow]


def load_depth_pipeline(folder: Path, *, precision: str = 'fp32') -> DepthPipeline:
    """The pipeline of a bundle with the node's defaults, but the same bits in every run.

    Raises:
        KdPerceptionError: the bundle or the precision cannot be used.
    """
    own = {'model.path': str(folder), 'precision': precision, 'deterministic': True}
    return load_pipeline(DEPTH, MONO_DEPTH.check({**own, 'warmup_iterations': 0}))


def see_set(pipeline: DepthPipeline, name: str, frames: Sequence[RealDepthFrame]) -> Seen:
    """Run a student on the images of a set.

    Args:
        pipeline: of the student; reset before each image.
        name: of the set.
        frames: all with lidar or none.
    """
    scorer = DepthScorer(MIN_DEPTH_M, MAX_DEPTH_M, median_scaling=False)
    scaled = DepthScorer(MIN_DEPTH_M, MAX_DEPTH_M, median_scaling=True)
    rows = []
    for real in tqdm(frames, desc=name, unit='image'):
        pipeline.reset()
        prediction = predicted_depth(pipeline.step(real.frame, focal_px=real.focal_px))
        record = DepthFrameRecord(0, 0, array_sha256(prediction.depth))
        caption = f'{name}/{real.name}  {"meters" if prediction.is_metric else "without unit"}'
        if real.target_m is not None:
            error = scorer.update(prediction, real.target_m)
            scaled.update(prediction, real.target_m)
            caption += f', abs rel {error:.3f}'
        painter = DepthPainter(DepthProtocol(MIN_DEPTH_M, MAX_DEPTH_M))
        evaluated = EvaluatedDepth(record, real.frame, real.target_m, prediction)
        panels = painter.pictures(evaluated, _PANEL_PX)
        rows.append(SheetRow(caption, tuple(panel for panel in panels if panel is not None)))
    return Seen(_report(scorer, scaled, frames), rows)


def _report(
    scorer: DepthScorer, scaled: DepthScorer, frames: Sequence[RealDepthFrame]
) -> dict[str, Any] | None:
    scores, by_medians = scorer.scores(), scaled.scores()
    if scores is None or by_medians is None:
        return None
    digests = [array_sha256(a) for f in frames for a in (f.frame.image, f.target_m)]
    return {
        'images': len(frames),
        'sha256': hashlib.sha256(' '.join(digests).encode()).hexdigest(),
        'focal_px': [f.focal_px for f in frames],
        'scores': plain(asdict(scores)),
        'median_scaled': plain(asdict(by_medians)['errors']),
    }


def examine(pipeline: DepthPipeline, sets: Sets) -> tuple[dict[str, Any], list[SheetRow]]:
    """The record of a student on the sets with lidar, and the rows of its picture, of all sets."""
    student, backend = pipeline.student, pipeline.backend
    seen = {name: see_set(pipeline, name, frames) for name, frames in sets.items()}
    record = {
        'recipe': 'real_depth',
        'student': {
            'name': student.spec.name,
            'sha256': student.sha256,
            'trained_on': student.spec.provenance.get('trained_on', 'unknown'),
            'seed': student.spec.provenance.get('seed'),
        },
        'backend': f'{backend.name} {backend.precision} on {backend.device}',
        'sets': {name: found.report for name, found in seen.items() if found.report},
        'versions': environment_versions(),
    }
    return record, [row for found in seen.values() for row in found.rows]


def summary(record: Mapping[str, Any]) -> str:
    """A line per set with lidar."""
    return '\n'.join(map(_line, record['sets'], record['sets'].values())) or NOTHING_SCORED


def _line(name: str, found: Mapping[str, Any]) -> str:
    scores = found['scores']
    errors, sigma = scores['errors'], scores['calibration']
    return (
        f'{name}, {found["images"]} images, {scores["pixels"]} lidar points: abs rel '
        f'{errors["abs_rel"]:.3f}, RMSE {errors["rmse"]:.2f} m, delta1 {errors["delta1"]:.3f}, '
        f'scaled by medians abs rel {found["median_scaled"]["abs_rel"]:.3f}; within one and two '
        f'sigma {sigma["within_1_sigma"]:.1%} and {sigma["within_2_sigma"]:.1%}'
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Look at a student, and write what was asked for."""
    parser = argparse.ArgumentParser(description='Run a depth student on real images.')
    parser.add_argument('student', type=Path, help='bundle')
    parser.add_argument(
        '--sheet', type=Path, help='picture to write; it holds real images: for your eyes only'
    )
    parser.add_argument('--record', type=Path, help='JSON to write')
    parser.add_argument('--precision', default='fp32', help='of the network, as the node has it')
    own = parser.parse_args(arguments)
    sets = load_real_depth_sets()
    pipeline = load_depth_pipeline(own.student, precision=own.precision)
    with closing(pipeline.backend):
        record, rows = examine(pipeline, sets)
    print(summary(record))
    if own.sheet:
        contact_sheet(rows, own.sheet, pipeline.student)
    if own.record:
        write_record(own.record, record)


if __name__ == '__main__':
    main()
