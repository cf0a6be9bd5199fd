# SPDX-License-Identifier: Apache-2.0
"""What a pipeline answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto
from typing import NamedTuple

from kd_perception.frames import ByteImage, Float32Image
from kd_perception.postprocessing import Prediction


class Output(Flag):
    """The results that somebody wants; the others are not computed."""

    MASK = auto()
    CONFIDENCE = auto()
    UNCERTAINTY = auto()
    AGC_IMAGE = auto()
    TEMPERATURE = auto()
    SURENESS = CONFIDENCE | UNCERTAINTY
    PREDICTION = MASK | SURENESS
    ALL = PREDICTION | AGC_IMAGE | TEMPERATURE


class Timings(NamedTuple):
    """Wall time of the stages of one frame [ms]."""

    preprocess_ms: float
    infer_ms: float
    postprocess_ms: float


@dataclass(frozen=True)
class Result:
    """What the pipeline says about one frame.

    Attributes:
        mask: HxW uint8 class ids; 255 where there is no prediction.
        confidence: HxW uint8, round(255 * calibrated largest probability); 0 where mask is 255.
            None when neither it nor the uncertainty was asked for.
        uncertainty: HxW float32, calibrated entropy / ln(classes), 0 to 1; NaN without prediction.
            None as the confidence.
        agc_image: HxW uint8, what the network saw before resizing; None when not asked for.
        temperature: HxW float32 [deg C]; None without radiometry or when not asked for.
        agc_low: Raw value that became black.
        agc_high: Raw value that became white.
        frozen: The camera repeats a frame, or has just stopped doing so.
        held: Nothing of this frame should be published (policy ``hold``).
        saturated_share: Share of pixels at the full scale of the sample type, 0 to 1.
        timings: Wall time per stage.
    """

    mask: ByteImage
    confidence: ByteImage | None
    uncertainty: Float32Image | None
    agc_image: ByteImage | None
    temperature: Float32Image | None
    agc_low: float
    agc_high: float
    frozen: bool
    held: bool
    saturated_share: float
    timings: Timings

    @property
    def prediction(self) -> Prediction:
        """Mask, confidence and uncertainty of a frame whose confidence was asked for."""
        assert self.confidence is not None and self.uncertainty is not None
        return Prediction(self.mask, self.confidence, self.uncertainty)
