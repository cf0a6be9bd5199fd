# SPDX-License-Identifier: Apache-2.0
"""What an evaluation of depth finds, as types, and its JSON form."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from kd_perception.bundle import Student
from kd_perception.evaluation.result import FORMAT_VERSION, Counts, Latency, Source, plain
from kd_perception.metrics import (
    CalibrationBin,
    DepthMetrics,
    DepthSparsificationMetrics,
    SigmaCalibrationMetrics,
)


@dataclass(frozen=True)
class DepthFrameRecord:
    """One frame of the source bag.

    Attributes:
        index: Position among the images that could be read, from 0.
        stamp_ns: Header stamp.
        depth_sha256: Of the depth; empty without one.
        sigma_sha256: Of the standard deviation; empty without one.
        abs_rel: Mean relative error; NaN without prediction or true depth.
        scale: What the network's depth was multiplied by; NaN if not known.
        latency_ms: As in :class:`~kd_perception.evaluation.result.Latency`; NaN if not known.
    """

    index: int
    stamp_ns: int
    depth_sha256: str = ''
    sigma_sha256: str = ''
    abs_rel: float = math.nan
    scale: float = math.nan
    latency_ms: float = math.nan

    @property
    def is_predicted(self) -> bool:
        """Whether there is depth."""
        return bool(self.depth_sha256)


@dataclass(frozen=True)
class DepthScores:
    """Metrics against true depth.

    Attributes:
        errors: Means over images; infinite depths count as the end of the range that the node
            tells, finite ones beyond the range of the metrics as the nearest end of that.
        pixels: With a true depth in range.
        answered: Share of these that have a depth, finite or not.
        too_near: Share of these whose depth is minus infinity.
        too_far: Share of these whose depth is infinity.
        min_depth_m: Nearer true depths do not count.
        max_depth_m: Farther ones neither.
        median_scaled: Each prediction was scaled by the medians: its scale is not known.
        sparsification: Whether uncertain depths are wrong ones; None without uncertainty.
        calibration: Whether the uncertainty has the right size; None without it.
        ece: Expected calibration error of the confidence; NaN without it.
        reliability: Its bins; "correct" is an error below 10 % of the predicted depth.

    The last four are about pixels with a finite depth.
    """

    errors: DepthMetrics
    pixels: int
    answered: float
    too_near: float
    too_far: float
    min_depth_m: float
    max_depth_m: float
    median_scaled: bool
    sparsification: DepthSparsificationMetrics | None
    calibration: SigmaCalibrationMetrics | None
    ece: float
    reliability: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class DepthEvaluation:
    """The whole finding.

    Attributes:
        mode: ``recorded`` (depth of a live node's bag) or ``replay`` (pipeline in this process).
        source: What was evaluated.
        student: Name, hash, what its maps mean, and provenance.
        counts: Frames.
        scores: Metrics; None without true depth.
        latency: Times.
        frames: One record per image of the source.
        environment: Versions of what took part.
        notes: What a reader must know, in sentences.
    """

    mode: str
    source: Source
    student: dict[str, Any]
    counts: Counts
    scores: DepthScores | None
    latency: Latency
    frames: tuple[DepthFrameRecord, ...]
    environment: dict[str, str]
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the JSON form; NaN becomes null, as JSON has none."""
        document = {'format_version': FORMAT_VERSION, 'task': 'depth', **plain(asdict(self))}
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + '\n'


def depth_student_summary(student: Student) -> dict[str, Any]:
    """Return what a report says about a depth student."""
    spec = student.spec
    assert spec.depth is not None
    return {
        'name': spec.name,
        'sha256': student.sha256,
        'architecture': dict(spec.architecture),
        'image_size': list(spec.image_size),
        'modality': spec.input.modality,
        'depth': asdict(spec.depth),
        'provenance': dict(spec.provenance),
    }
