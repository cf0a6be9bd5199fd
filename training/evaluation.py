# SPDX-License-Identifier: Apache-2.0
"""Scores of a network, through the robot's own preprocessing, postprocessing and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from kd_perception.label_sets import MFNET, LabelSet
from kd_perception.metrics.boundary import BoundaryF
from kd_perception.metrics.calibration import CalibrationBins
from kd_perception.metrics.segmentation import ConfusionMatrix
from kd_perception.postprocessing import mask_from_logits
from kd_perception.preprocessing import Letterbox
from kd_perception.uncertainty import (
    IGNORE_INDEX,
    confidence_from_logits,
    fit_temperature,
    negative_log_likelihood,
)
from training.data.modality import LabeledFrame, network_image
from training.data.real_tiles import NO_TEST

Array = npt.NDArray[Any]

Frames = Sequence[LabeledFrame]
Network = Callable[[Tensor], Tensor]

FREQUENT = ('car', 'person', 'bike', 'curve')
RARE = ('car_stop', 'guardrail', 'color_cone', 'bump')
"""Of MFNet. Whether a class with so few pixels is learnt at all is chance at a small budget: their
mean says little about a method, and the mean over all classes is dominated by it."""

IMAGE_SIZE = (480, 640)
REAL_TILES_NOTE = (
    f'four labeled real tiles; they chose neither weights nor settings of this run, but {NO_TEST}'
)
_CALIBRATION_STRIDE = 3
_NO_CELLS = (np.empty((0, 0), np.float32), np.empty(0, np.uint8))


class Scores(NamedTuple):
    """What a network does on a split.

    Attributes:
        metrics: means as `SegmentationMetrics` defines them, `iou` and `accuracy` by class name,
            mean IoU of the frequent and the rare classes of MFNet (None of other label sets, and
            where none of them is there), boundary F.
        logits: [N, classes] at every third cell of the logit grid, for calibration.
        labels: [N] of those cells.
    """

    metrics: dict[str, Any]
    logits: Array
    labels: Array


class Tally:
    """Gathers scores over frames from their logits.

    Args:
        bounds_px: how far off a boundary may be, for boundary F, in pixels of the labels.
        label_set: of the labels and of the network's classes.
        calibrated: keep logits; those of PSPNet are as large as images.
    """

    def __init__(
        self,
        bounds_px: tuple[int, ...] = (3,),
        label_set: LabelSet = MFNET,
        *,
        calibrated: bool = True,
    ) -> None:
        self._label_set, self._calibrated = label_set, calibrated
        self._confusion = ConfusionMatrix(label_set.num_classes, IGNORE_INDEX)
        self._outlines = BoundaryF(label_set.num_classes, bounds_px, IGNORE_INDEX)
        self._cells: list[tuple[Array, Array]] = []

    def update(self, logits: Array, box: Letterbox, label: Array) -> Array:
        """Add a frame.

        Args:
            logits: float32 [1, classes, h, w].
            box: where the frame lies in the network's input.
            label: class ids [height, width], 255 is ignored.

        Returns:
            The mask that is scored, of the size of the label.
        """
        size = (label.shape[0], label.shape[1])
        mask = mask_from_logits(logits, box, temperature=1.0, size=size)
        self._confusion.update(mask, label)
        self._outlines.update(mask, label)
        self._cells.append(_grid_samples(logits, label, box) if self._calibrated else _NO_CELLS)
        return mask

    def scores(self) -> Scores:
        """The scores of all frames, at least one."""
        metrics = _metrics(self._confusion, self._label_set)
        metrics |= _boundary_metrics(self._outlines, self._label_set)
        logits, labels = zip(*self._cells, strict=True)
        return Scores(metrics, np.concatenate(logits), np.concatenate(labels))


@torch.no_grad()
def infer(
    network: Network, frame: LabeledFrame, modality: str, image_size: tuple[int, int] = IMAGE_SIZE
) -> tuple[Array, Letterbox]:
    """Logits float32 [1, classes, h, w] of a frame, as the robot's pipeline computes them.

    Args:
        network: in eval mode.
        frame: with the images that the modality needs.
        modality: what the network sees.
        image_size: (height, width) of the network's input.
    """
    tensor, box = network_image(frame, modality, image_size)
    return network(torch.from_numpy(tensor)).numpy(), box


def score(
    network: Network,
    frames: Frames,
    modality: str,
    *,
    name: str = 'frames',
    image_size: tuple[int, int] = IMAGE_SIZE,
    bounds_px: tuple[int, ...] = (3,),
    label_set: LabelSet = MFNET,
) -> Scores:
    """Score a network on frames with labels; 255 is ignored.

    Args:
        network: in eval mode; its input and its logits are float32 [1, channels, h, w].
        frames: with labels and what the modality needs.
        modality: what the network sees.
        name: of the frames, for the progress bar.
        image_size: (height, width) of the network's input.
        bounds_px: how far off a boundary may be, for boundary F, in pixels of the labels.
        label_set: of the labels and of the network's classes.
    """
    tally = Tally(bounds_px, label_set)
    for k in tqdm(range(len(frames)), desc=f'score {name}', unit='frame'):
        frame = frames[k]
        tally.update(*infer(network, frame, modality, image_size), np.asarray(frame.label))
    return tally.scores()


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


def _metrics(confusion: ConfusionMatrix, label_set: LabelSet) -> dict[str, Any]:
    computed = confusion.compute()
    report: dict[str, Any] = {
        name: _rounded(getattr(computed, name))
        for name in ('miou', 'miou_nanmean', 'macc', 'macc_nanmean', 'pixel_accuracy')
    }
    for name, values in (('iou', computed.iou), ('accuracy', computed.accuracy)):
        report[name] = {n: _rounded(v) for n, v in zip(label_set.names, values, strict=True)}
    for group, names in (('miou_frequent', FREQUENT), ('miou_rare', RARE)):
        own = report['iou'] if label_set is MFNET else {}
        known = [v for n, v in own.items() if n in names and v is not None]
        report[group] = _rounded(np.mean(known)) if known else None
    return report


def _boundary_metrics(outlines: BoundaryF, label_set: LabelSet) -> dict[str, Any]:
    """Boundary F by bound: over images that hold the class, and as papers have it, over all."""
    report: dict[str, Any] = {}
    for found in outlines.compute().scores:
        name = f'boundary_f_{found.bound:g}px'
        report[name] = _rounded(found.mean_present)
        report[f'{name}_all_images'] = _rounded(found.mean)
        report[f'{name}_by_class'] = {
            n: _rounded(f) for n, f in zip(label_set.names, found.f_present, strict=True)
        }
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
    network: Network,
    modality: str,
    *,
    validation: Frames,
    test: Frames,
    presets: Mapping[str, Frames],
    real: Frames,
    image_size: tuple[int, int] = IMAGE_SIZE,
) -> dict[str, Any]:
    """Metrics of a deployable network on every split, and its calibration.

    Args:
        network: folded, in eval mode.
        modality: what the network sees.
        validation: synthetic frames that the temperature is fitted on.
        test: synthetic frames that choose nothing.
        presets: synthetic frames by weather, time of day or sensor; they choose nothing.
        real: the real tiles, which choose nothing of a run but are no test; may be empty.
        image_size: (height, width) of the network's input.
    """

    def scored(frames: Frames, name: str) -> Scores:
        return score(network, frames, modality, name=name, image_size=image_size)

    fitted, tested = scored(validation, 'validation'), scored(test, 'test')
    report: dict[str, Any] = {
        'synthetic_validation': fitted.metrics,
        'synthetic_test': tested.metrics,
        'calibration': calibrate(fitted, tested),
        'presets': {name: scored(frames, name).metrics for name, frames in presets.items()},
    }
    if real:
        metrics = scored(real, 'real tiles').metrics
        report['real_tiles'] = {**metrics, 'note': REAL_TILES_NOTE}
    return report
