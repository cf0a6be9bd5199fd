# SPDX-License-Identifier: Apache-2.0
"""Scores of a network, through the robot's own preprocessing, postprocessing and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from kd_perception.metrics.calibration import CalibrationBins
from kd_perception.metrics.segmentation import ConfusionMatrix
from kd_perception.models import RepUNet
from kd_perception.postprocessing import prediction_from_logits
from kd_perception.preprocessing import AgcConfig, Letterbox, agc_limits, network_input, normalize
from kd_perception.uncertainty import (
    IGNORE_INDEX,
    confidence_from_logits,
    fit_temperature,
    negative_log_likelihood,
)
from kd_perception.world.classes import CLASS_NAMES

Array = npt.NDArray[Any]

Frames = Sequence[tuple[Array, Array]]

IMAGE_SIZE = (480, 640)
REAL_TILES_NOTE = (
    'four labeled real tiles; they chose neither weights nor settings of this run, but what the '
    'world renders was designed after looking at frames of this kind'
)
_CALIBRATION_STRIDE = 3


class Scores(NamedTuple):
    """What a network does on a split.

    Attributes:
        metrics: means as `SegmentationMetrics` defines them, `iou` and `accuracy` by class name.
        logits: [N, classes] at every third cell of the logit grid, for calibration.
        labels: [N] of those cells.
    """

    metrics: dict[str, Any]
    logits: Array
    labels: Array


@torch.no_grad()
def infer(network: RepUNet, image: Array) -> tuple[Array, Letterbox]:
    """Logits float32 [1, classes, 120, 160] of a camera frame, as the robot's pipeline computes.

    Args:
        network: folded, in eval mode.
        image: uint8 or uint16 [height, width].
    """
    gray = normalize(image, *agc_limits(image, AgcConfig()))
    tensor, box = network_input(gray, IMAGE_SIZE)
    return network(torch.from_numpy(tensor)).numpy(), box


def score(network: RepUNet, frames: Frames) -> Scores:
    """Score a network on frames with labels; 255 is ignored.

    Args:
        network: folded, in eval mode.
        frames: pairs of image and label, of the same size.
    """
    confusion = ConfusionMatrix(len(CLASS_NAMES), IGNORE_INDEX)
    logits_parts, label_parts = [], []
    for k in range(len(frames)):
        image, label = (np.asarray(part) for part in frames[k])
        logits, box = infer(network, image)
        size = (label.shape[0], label.shape[1])
        mask = prediction_from_logits(logits, box, temperature=1.0, size=size).mask
        confusion.update(mask, label)
        cells, cell_labels = _grid_samples(logits, label, box)
        logits_parts.append(cells)
        label_parts.append(cell_labels)
    return Scores(_metrics(confusion), np.concatenate(logits_parts), np.concatenate(label_parts))


def _grid_samples(logits: Array, label: Array, box: Letterbox) -> tuple[Array, Array]:
    """Logits of some cells and the label at their centers, where the camera image lies."""
    stride = box.network_size[0] / logits.shape[2]
    rows, columns = (
        np.arange(1, int(content // stride), _CALIBRATION_STRIDE) for content in box.content_size
    )
    scale = label.shape[0] / box.content_size[0]
    y, x = (((cells + 0.5) * stride * scale).astype(int) for cells in (rows, columns))
    cells = logits[0][:, rows[:, None], columns[None]]
    return cells.reshape(len(logits[0]), -1).T, label[y[:, None], x[None]].ravel()


def _metrics(confusion: ConfusionMatrix) -> dict[str, Any]:
    computed = confusion.compute()
    report: dict[str, Any] = {
        name: _rounded(getattr(computed, name))
        for name in ('miou', 'miou_nanmean', 'macc', 'macc_nanmean', 'pixel_accuracy')
    }
    for name, values in (('iou', computed.iou), ('accuracy', computed.accuracy)):
        report[name] = {n: _rounded(v) for n, v in zip(CLASS_NAMES, values, strict=True)}
    return report


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def calibration_metrics(logits: Array, labels: Array, temperature: float) -> dict[str, float]:
    """Expected calibration error (15 bins) and negative log likelihood [nat] at a temperature."""
    valid = labels != IGNORE_INDEX
    found = confidence_from_logits(logits[valid].T, temperature)
    bins = CalibrationBins()
    bins.update(found.confidence, found.mask == labels[valid])
    nll = negative_log_likelihood(logits, labels, temperature)
    return {'ece': round(bins.ece, 5), 'nll': round(nll, 5)}


def calibrate(validation: Scores, test: Scores) -> dict[str, Any]:
    """Fit the temperature on the validation split; state what it changes on the test split."""
    temperature = fit_temperature(validation.logits, validation.labels)
    return {
        'temperature': round(temperature, 5),
        'fitted_on': 'synthetic validation split, cells of the logit grid',
        'test_before': calibration_metrics(test.logits, test.labels, 1.0),
        'test_after': calibration_metrics(test.logits, test.labels, temperature),
    }


def evaluate_student(
    network: RepUNet, validation: Frames, test: Frames, real: Frames
) -> dict[str, Any]:
    """Metrics of a deployable network on every split, and its calibration.

    Args:
        network: folded, in eval mode.
        validation: synthetic frames that the temperature is fitted on.
        test: synthetic frames that choose nothing.
        real: real frames that choose nothing; may be empty.
    """
    scores = {'validation': score(network, validation), 'test': score(network, test)}
    report: dict[str, Any] = {f'synthetic_{name}': s.metrics for name, s in scores.items()}
    report['calibration'] = calibrate(scores['validation'], scores['test'])
    if real:
        report['real_tiles'] = {**score(network, real).metrics, 'note': REAL_TILES_NOTE}
    return report
