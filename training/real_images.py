# SPDX-License-Identifier: Apache-2.0
"""A finished student on real frames: a picture, a record, and tables.

The bundle runs as the node runs it, from raw frames to masks (`kd_perception.pipeline`); every
frame stands alone. A student of color images sees the color halves of the frames that have one.
Labeled frames are scored; of the others there are shares of classes and confidence. The picture
shows what the student saw in gray, mask, uncertainty, and label or color where there is one. It
holds real frames: it is for your eyes and never committed.

    python -m training.real_images students/thermal_seg_s --sheet runs/real/thermal_seg_s.jpg \
        --record results/real/thermal_seg_s.json --page docs/results.md

Statistics of the four labeled tiles shaped the synthetic world, and the tiles may choose
checkpoints: their scores are no test. Frames that chose nothing are scored apart with `--labeled`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from kd_perception.bundle import Student
from kd_perception.errors import ConfigError, DatasetError
from kd_perception.evaluation.environment import environment_versions
from kd_perception.evaluation.report_images import SheetRow, contact_sheet
from kd_perception.evaluation.scoring import Scorer
from kd_perception.frames import Frame
from kd_perception.markdown import replace_section
from kd_perception.parameters.table import check_parameters
from kd_perception.pipeline import Output, Pipeline, Result
from kd_perception.replay import pipeline_from_parameters
from kd_perception.world.classes import CLASS_NAMES
from training.data.real_frames import (
    TILE_SET,
    RealFrame,
    load_labeled_folder,
    load_real_sets,
    set_digest,
)
from training.data.real_tiles import NO_TEST
from training.real_sheet import sheet_row
from training.real_tables import FIRST_CLASSES, real_images_section
from training.records import write_record

Sets = Mapping[str, Sequence[RealFrame]]

TILES_NOTE = f'the four tiles may choose checkpoints, and {NO_TEST}'


class Seen(NamedTuple):
    """What a student makes of a set.

    Attributes:
        report: for the record.
        rows: for the picture.
    """

    report: dict[str, Any]
    rows: list[SheetRow]


def load_pipeline(folder: Path, *, precision: str = 'fp32') -> Pipeline:
    """The pipeline of a bundle with the node's defaults, but the same bits in every run.

    Raises:
        KdPerceptionError: the bundle or the precision cannot be used.
        ConfigError: the student knows other classes than the labels.
    """
    values = {'model.path': str(folder), 'precision': precision, 'deterministic': True}
    pipeline = pipeline_from_parameters(check_parameters({**values, 'warmup_iterations': 0}))
    names = tuple(info.name for info in pipeline.student.spec.classes)
    if names != CLASS_NAMES:
        pipeline.backend.close()
        raise ConfigError(f'a student must know the classes {CLASS_NAMES}, {folder} knows {names}')
    return pipeline


def see_set(pipeline: Pipeline, name: str, frames: Sequence[RealFrame]) -> Seen:
    """Run a student on the frames of a set.

    Args:
        pipeline: of the student; reset before each frame.
        name: of the set.
        frames: all labeled or none, of the images that the student takes.
    """
    pooled, palette = Scorer(len(CLASS_NAMES)), pipeline.student.palette
    images: dict[str, dict[str, Any]] = {}
    rows = []
    for real in tqdm(frames, desc=name, unit='frame'):
        pipeline.reset()
        result = pipeline.step(real.frame, Output.PREDICTION | Output.AGC_IMAGE)
        images[real.name] = _image_report(real, result)
        if real.label is not None:
            pooled.update(result.mask, real.label, result.confidence, result.uncertainty)
        rows.append(sheet_row(f'{name}/{real.name}', real, result, images[real.name], palette))
    report: dict[str, Any] = {'frames': len(frames), 'sha256': set_digest(frames)}
    if pooled.frames:
        report['scores'] = _scores(pooled)
    return Seen({**report, **_means(images), 'images': images}, rows)


def visible_sets(sets: Sets, student: Student) -> Sets:
    """The sets as a student sees them: for one of color images the color halves, where they are.

    Raises:
        DatasetError: it can see none at all.
    """
    if student.spec.input.modality == 'thermal':
        return sets
    seen = {name: [_in_color(real) for real in frames if real.rgb is not None]
            for name, frames in sets.items()}  # fmt: skip
    if not any(seen.values()):
        raise DatasetError(
            f'{student.spec.name} must have color images; none of {", ".join(sets)} has any'
        )
    return {name: frames for name, frames in seen.items() if frames}


def _in_color(real: RealFrame) -> RealFrame:
    assert real.rgb is not None
    return real._replace(frame=Frame(real.rgb, 'rgb8', real.frame.stamp_ns))


def _image_report(real: RealFrame, result: Result) -> dict[str, Any]:
    prediction = result.prediction
    pixels = np.bincount(result.mask.ravel(), minlength=len(CLASS_NAMES)) / result.mask.size
    report: dict[str, Any] = {
        'size': list(real.frame.image.shape),
        'class_shares': {n: _rounded(pixels[k]) for n, k in _CLASS_IDS.items()},
        'mean_confidence': _rounded(prediction.confidence.mean() / 255.0),
        'mean_uncertainty': _rounded(prediction.uncertainty.mean()),
    }
    if real.label is not None:
        own = Scorer(len(CLASS_NAMES))
        own.update(result.mask, real.label, result.confidence, result.uncertainty)
        report['scores'] = _scores(own)
    return report


_CLASS_IDS = {name: CLASS_NAMES.index(name) for name in FIRST_CLASSES}


def _scores(scorer: Scorer) -> dict[str, Any]:
    found = scorer.scores()
    assert found is not None
    metrics, labeled = found.segmentation, np.sum(found.confusion, axis=1)
    return {
        'iou': {n: _rounded(metrics.iou[k]) for n, k in _CLASS_IDS.items()},
        'labeled_pixels': {n: int(labeled[k]) for n, k in _CLASS_IDS.items()},
        **{n: _rounded(getattr(metrics, n)) for n in ('miou', 'miou_nanmean', 'macc_nanmean')},
        'pixel_accuracy': _rounded(metrics.pixel_accuracy),
        'ece': _rounded(found.ece),
    }


def _means(images: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Means over frames, each of which counts the same whatever its size."""
    found = images.values()
    shares = {n: [image['class_shares'][n] for image in found] for n in FIRST_CLASSES}
    return {
        'class_shares': {n: _rounded(np.mean(values)) for n, values in shares.items()},
        'mean_confidence': _rounded(np.mean([image['mean_confidence'] for image in found])),
        'mean_uncertainty': _rounded(np.mean([image['mean_uncertainty'] for image in found])),
    }


def _rounded(value: Any) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def examine(pipeline: Pipeline, sets: Sets) -> tuple[dict[str, Any], list[SheetRow]]:
    """The record of a student on all sets, and the rows of its picture."""
    student, backend = pipeline.student, pipeline.backend
    visible = visible_sets(sets, student)
    seen = {name: see_set(pipeline, name, frames) for name, frames in visible.items()}
    record = {
        'recipe': 'real_images',
        'student': {
            'name': student.spec.name,
            'sha256': student.sha256,
            'trained_on': student.spec.provenance.get('trained_on', 'unknown'),
            'seed': student.spec.provenance.get('seed'),
        },
        'backend': f'{backend.name} {backend.precision} on {backend.device}',
        'notes': {TILE_SET: TILES_NOTE} if TILE_SET in visible else {},
        'sets': {name: found.report for name, found in seen.items()},
        'versions': environment_versions(),
    }
    return record, [row for found in seen.values() for row in found.rows]


def all_sets(labeled: Sequence[Path]) -> dict[str, list[RealFrame]]:
    """The real samples, and folders of labeled frames by their names.

    Raises:
        DatasetError: there are no samples, or a folder is not as `load_labeled_folder` expects.
        ConfigError: two sets have one name.
    """
    sets = load_real_sets()
    for folder in labeled:
        name = folder.resolve().name
        if name in sets:
            raise ConfigError(f'every set must have a name of its own, got {name} twice: rename')
        sets[name] = load_labeled_folder(folder)
    return sets


def main(arguments: Sequence[str] | None = None) -> None:
    """Look at a student, and write what was asked for."""
    parser = argparse.ArgumentParser(description='Run a student on real frames.')
    parser.add_argument('student', type=Path, help='bundle')
    parser.add_argument(
        '--sheet', type=Path, help='picture to write; it holds real frames: for your eyes only'
    )
    parser.add_argument('--record', type=Path, help='JSON to write')
    parser.add_argument('--page', type=Path, help='page in Markdown to write the tables into')
    parser.add_argument(
        '--labeled', type=Path, nargs='*', default=(),
        help='folders with <stem>_thermal.png and <stem>_label.png, each scored as its own set',
    )  # fmt: skip
    parser.add_argument('--precision', default='fp32', help='of the network, as the node has it')
    own = parser.parse_args(arguments)
    sets = all_sets(own.labeled)
    pipeline = load_pipeline(own.student, precision=own.precision)
    with closing(pipeline.backend):
        record, rows = examine(pipeline, sets)
    text = real_images_section(record)
    print(text)
    if own.sheet:
        contact_sheet(rows, own.sheet, pipeline.student)
    if own.record:
        write_record(own.record, record)
    if own.page:
        page = own.page.read_text(encoding='utf-8') if own.page.is_file() else '# Results\n'
        name = f'real images {pipeline.student.spec.name}'
        own.page.write_text(replace_section(page, name, text), encoding='utf-8')


if __name__ == '__main__':
    main()
