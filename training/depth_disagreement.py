# SPDX-License-Identifier: Apache-2.0
"""What two depth students disagree about, as a sigma that is fitted to their errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.backends import create_backend
from kd_perception.bundle import Student
from kd_perception.bundle_depth import DepthSpec
from kd_perception.depth_postprocessing import (
    DepthLimits,
    depth_from_log_maps,
    mutual_log_maps,
    relative_log_maps,
)
from kd_perception.errors import ConfigError
from kd_perception.metrics import DEPTH_PROTOCOLS, DepthSparsification
from kd_perception.preprocessing import Letterbox, color_network_input
from training.depth_evaluation import SigmaErrors
from training.recipes.mutual_distillation_frames import ScoredFrame
from training.sigma_calibration import (
    before_and_after,
    confidence_quality,
    fit_confidence_scale,
    fit_sigma_scale,
    sigma_quality,
)

Array = npt.NDArray[Any]

LEAST_SHARES = (0.001, 0.003, 0.01, 0.03)
"""Of which the least disagreement is chosen."""

PREDICTED = 0.0
"""Stands among the least disagreements for the first student's own sigma."""

_EVERYTHING = DepthLimits(0.0, float('inf'))


class Answer(NamedTuple):
    """What both networks say about a frame.

    Attributes:
        first: maps of the first, [1, 2, h, w].
        second: maps of the second.
        box: where the image lies in the input.
        scale: of the depth of the first, by the focal length of the frame's camera.
    """

    first: Array
    second: Array
    box: Letterbox
    scale: float


class Observed:
    """Depth, truth and disagreement of frames, by the least disagreement.

    Args:
        spec: of the first student.
        log_ratio: as `mutual_log_maps` takes it.
        least_shares: those to look at; `PREDICTED` for the first student's own sigma.
    """

    def __init__(self, spec: DepthSpec, log_ratio: float, least_shares: Iterable[float]) -> None:
        protocol = DEPTH_PROTOCOLS['world']
        self._spec, self._log_ratio = spec, log_ratio
        self._errors = {share: SigmaErrors(protocol) for share in least_shares}
        self._sorted = {share: DepthSparsification(protocol) for share in self._errors}

    def update(self, answer: Answer, target_m: Array) -> None:
        """Add a frame with its truth, [height, width]."""
        for share, errors in self._errors.items():
            found = depth_from_log_maps(
                self._log_maps(answer, share),
                answer.box,
                scale=answer.scale,
                sigma_scale=1.0,
                confidence_scale=1.0,
                limits=_EVERYTHING,
                size=(target_m.shape[0], target_m.shape[1]),
                with_confidence=False,
            )
            assert found.sigma is not None
            told_m = self._spec.min_depth_m * answer.scale, self._spec.max_depth_m * answer.scale
            errors.update(found.depth, target_m, found.sigma, told_m)
            self._sorted[share].update(found.depth, target_m, found.sigma)

    def _log_maps(self, answer: Answer, share: float) -> Array:
        if share == PREDICTED:
            return relative_log_maps(answer.first, self._spec)
        return mutual_log_maps(
            answer.first, answer.second, log_ratio=self._log_ratio, least_share=share
        )

    def pixels(self, share: float) -> Array:
        """Depth, truth and sigma before calibration [m], [3, pixels]."""
        return self._errors[share].pixels()

    def ause(self, share: float) -> float:
        """Area between sparsification curve and oracle, by the relative error."""
        found = self._sorted[share].compute()
        return float('nan') if found is None else round(found.abs_rel.ause, 5)


def observe(
    first: Student, second: Student, frames: Iterable[ScoredFrame], least_shares: Iterable[float]
) -> Observed:
    """Run two students on frames, through the robot's own preprocessing and postprocessing.

    Args:
        first: the one whose depth counts.
        second: the other one, that fits it.
        frames: with the focal length of their camera.
        least_shares: as `Observed`.
    """
    spec, other = first.spec.depth, second.spec.depth
    assert spec is not None and other is not None
    found = Observed(spec, float(np.log(spec.focal_px / other.focal_px)), least_shares)
    taken = first.spec.input
    with ExitStack() as stack:
        networks = [
            stack.enter_context(
                closing(create_backend(s, backend='onnxruntime', device='cpu', precision='fp32'))
            )
            for s in (first, second)
        ]
        for frame in frames:
            image, box = color_network_input(
                frame.rgb,
                first.spec.image_size,
                mean=taken.mean,
                standard_deviation=taken.standard_deviation,
            )
            assert frame.camera_matrix is not None
            focal_px = frame.camera_matrix[0, 0] * box.content_size[1] / frame.rgb.shape[1]
            maps = [network.infer(image).copy() for network in networks]
            answer = Answer(maps[0], maps[1], box, float(focal_px / spec.focal_px))
            found.update(answer, frame.target_m)
    return found


def fit(observed: Observed) -> dict[str, float]:
    """The least disagreement of the largest likelihood, and the factors that go with it.

    Args:
        observed: validation frames, by all of `LEAST_SHARES`.

    Returns:
        `least_share`, `sigma_scale` and `confidence_scale`.

    Raises:
        ConfigError: no depth of these frames is known.
    """
    scales = {share: fit_sigma_scale(observed.pixels(share)) for share in LEAST_SHARES}
    nll = {k: sigma_quality(observed.pixels(k), scale)['nll'] for k, scale in scales.items()}
    best = min(nll, key=lambda share: nll[share])
    return {
        'least_share': best,
        'sigma_scale': round(scales[best], 5),
        'confidence_scale': round(fit_confidence_scale(observed.pixels(best)), 5),
    }


def quality(observed: Observed, fitted: Mapping[str, float]) -> dict[str, Any]:
    """How good sigma is on frames that fitted nothing, beside the first student's own.

    Args:
        observed: test frames, by `PREDICTED` and the least disagreement that was chosen.
        fitted: as `fit` gives it.

    Returns:
        `sigma` and `confidence`: before and after calibration; `ause`, and `ause_predicted`, that
        of what the first student says by itself.

    Raises:
        ConfigError: no depth of these frames is known.
    """
    share = fitted['least_share']
    pixels = observed.pixels(share)
    if not pixels.shape[1]:
        raise ConfigError('the test split must have pixels of known depth; it has none')
    return {
        'sigma': before_and_after(sigma_quality, pixels, fitted['sigma_scale']),
        'confidence': before_and_after(confidence_quality, pixels, fitted['confidence_scale']),
        'ause': observed.ause(share),
        'ause_predicted': observed.ause(PREDICTED),
    }
