# SPDX-License-Identifier: Apache-2.0
"""What an evaluation finds, as types, and its JSON form."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.bundle import Student
from kd_perception.errors import BagError
from kd_perception.metrics import CalibrationBin, SegmentationMetrics, SparsificationMetrics

FORMAT_VERSION = 1


class Percentiles(NamedTuple):
    """Distribution of times [ms]; NaN without any."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    frames: int

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Percentiles:
        """Summarize times; those that are NaN do not count."""
        known = np.asarray(times_ms, np.float64)
        known = known[~np.isnan(known)]
        if not known.size:
            return cls(math.nan, math.nan, math.nan, math.nan, 0)
        p50, p90, p99, largest = np.percentile(known, [50, 90, 99, 100]).tolist()
        return cls(p50, p90, p99, largest, int(known.size))


@dataclass(frozen=True)
class Latency:
    """Where the time of a frame went.

    Attributes:
        definition: What is timed, in words.
        total: The whole.
        stages: Its parts by name, e.g. ``infer``.
    """

    definition: str = 'not known'
    total: Percentiles = field(default_factory=lambda: Percentiles.of([]))
    stages: dict[str, Percentiles] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """Frames; what the node does not tell is None.

    Attributes:
        frames: Images in the source bag.
        predicted: Of these, with a prediction.
        labeled: Of these, with ground truth.
        scored: Frames with both, which the metrics are about.
        received: By the node.
        published: By the node.
        dropped: By the node, because a newer frame was there or the frame was too old.
        failed: By the node, or frames that could not be read or run.
        unmatched: Predictions whose stamp is not that of an image of the source bag.
    """

    frames: int = 0
    predicted: int = 0
    labeled: int = 0
    scored: int = 0
    received: int | None = None
    published: int | None = None
    dropped: int | None = None
    failed: int | None = None
    unmatched: int = 0


@dataclass(frozen=True)
class FrameRecord:
    """One frame of the source bag.

    Attributes:
        index: Position among the images of the source bag that could be read, from 0.
        stamp_ns: Header stamp.
        mask_sha256: Of :func:`array_sha256`; empty without prediction.
        uncertainty_sha256: The same.
        miou: Mean IoU over the classes in this frame; NaN without prediction or label.
        latency_ms: As in :class:`Latency`; NaN if not known.
    """

    index: int
    stamp_ns: int
    mask_sha256: str = ''
    uncertainty_sha256: str = ''
    miou: float = math.nan
    latency_ms: float = math.nan

    @property
    def is_predicted(self) -> bool:
        """Whether there is a mask."""
        return bool(self.mask_sha256)


@dataclass(frozen=True)
class Scores:
    """Metrics against ground truth, over all labeled pixels pooled.

    Attributes:
        segmentation: IoU and accuracy.
        confusion: (C, C + 1) pixels, rows target, columns mask, last column without prediction.
        ece: Expected calibration error of the confidence.
        nll_correct: Mean negative log likelihood of "the mask is right" under the confidence
            [nat]. The whole class distribution is not published, so this is of the yes-no event.
        reliability: Reliability bins of the confidence.
        sparsification: Mask error against uncertainty; None without uncertainty.
    """

    segmentation: SegmentationMetrics
    confusion: tuple[tuple[int, ...], ...]
    ece: float
    nll_correct: float
    reliability: tuple[CalibrationBin, ...]
    sparsification: SparsificationMetrics | None


@dataclass(frozen=True)
class Source:
    """The evaluated recording.

    Attributes:
        name: Folder or file name.
        image_topic: Topic of the images.
        labels: Where ground truth came from; empty if there is none.
        sha256: Of the serialized images and label messages in order, so it does not depend on the
            container.
        duration_s: First to last image by header stamps.
        rate_hz: Median rate by header stamps; NaN for a single image.
        image_size: (height, width) of the first image.
        encoding: Of the first image.
    """

    name: str
    image_topic: str
    labels: str = ''
    sha256: str = ''
    duration_s: float = math.nan
    rate_hz: float = math.nan
    image_size: tuple[int, int] = (0, 0)
    encoding: str = ''


@dataclass(frozen=True)
class Evaluation:
    """The whole finding.

    Attributes:
        mode: ``recorded`` (masks of a live node's bag) or ``replay`` (pipeline in this process).
        source: What was evaluated.
        student: Name, hash, classes, calibration and provenance.
        counts: Frames.
        scores: Metrics; None without ground truth.
        latency: Times.
        frames: One record per image of the source.
        environment: Versions of what took part.
        notes: What a reader must know, in sentences.
    """

    mode: str
    source: Source
    student: dict[str, Any]
    counts: Counts
    scores: Scores | None
    latency: Latency
    frames: tuple[FrameRecord, ...]
    environment: dict[str, str]
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the JSON form; NaN becomes null, as JSON has none."""
        document = {'format_version': FORMAT_VERSION, **plain(asdict(self))}
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + '\n'


def array_sha256(array: npt.NDArray[Any]) -> str:
    """Hash shape, sample type and content of an array."""
    digest = hashlib.sha256(f'{array.shape}{array.dtype.str}'.encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def student_summary(student: Student) -> dict[str, Any]:
    """Return what a report says about a student."""
    spec = student.spec
    return {
        'name': spec.name,
        'sha256': student.sha256,
        'architecture': dict(spec.architecture),
        'image_size': list(spec.image_size),
        'modality': spec.input.modality,
        'classes': [asdict(info) for info in spec.classes],
        'calibration': asdict(spec.calibration),
        'provenance': dict(spec.provenance),
    }


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file that is either whole or as it was before.

    Raises:
        BagError: The folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    partial = path.with_name(f'.{path.name}.partial')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        raise BagError(f'The result must be written to {path}: {error}') from error


def plain(value: Any) -> Any:
    """Turn a finding into what JSON knows; what is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, '_asdict'):
        return plain(value._asdict())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str | None) else str(value)
