# SPDX-License-Identifier: Apache-2.0
"""What a depth pipeline answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto

from kd_perception.frames import ByteImage, Float32Image
from kd_perception.pipeline.result import Timings


class DepthOutput(Flag):
    """The results that somebody wants; the others are not computed."""

    DEPTH = auto()
    SIGMA = auto()
    CONFIDENCE = auto()
    RELATIVE = auto()
    PREDICTION = DEPTH | SIGMA | CONFIDENCE | RELATIVE
    ALL = PREDICTION


@dataclass(frozen=True)
class DepthResult:
    """What the pipeline says about one frame.

    Attributes:
        size: (height, width) of the images.
        depth_m: HxW float32 along the optical axis [m]: infinity beyond the range, minus infinity
            nearer than it, NaN without reliable prediction (REP 117 and 118). None where the scale
            is not known, or when nothing was asked for.
        sigma_m: HxW float32, calibrated standard deviation [m]; NaN where the depth is not finite.
            None without metric depth or when not asked for.
        confidence: HxW uint8, round(255 * calibrated probability of a relative error below 10 %);
            0 where the depth is not finite. None as `sigma_m`.
        relative_depth: HxW float32 without unit; NaN without prediction. None with metric depth.
        scale: What exp(log_depth) was multiplied by; NaN where the scale is not known.
        focal_px: Horizontal focal length of the camera at the network's size [px]; NaN if unknown.
        is_assumed: The focal length is not known, and taken to be that of the training's cameras.
        min_m: Smallest depth that is told as a finite one, by the range asked for and by what the
            training reached with this camera [m]; NaN without metric depth.
        max_m: Largest one [m]; NaN likewise.
        valid_ratio: Share of pixels with a finite depth, 0 to 1.
        frozen: The camera repeats a frame, or has just stopped doing so.
        held: Nothing of this frame should be published (policy ``hold``).
        saturated_share: Share of pixels at the full scale of the sample type, 0 to 1.
        timings: Wall time per stage.
    """

    size: tuple[int, int]
    depth_m: Float32Image | None
    sigma_m: Float32Image | None
    confidence: ByteImage | None
    relative_depth: Float32Image | None
    scale: float
    focal_px: float
    is_assumed: bool
    min_m: float
    max_m: float
    valid_ratio: float
    frozen: bool
    held: bool
    saturated_share: float
    timings: Timings

    @property
    def is_metric(self) -> bool:
        """Whether the scale of the depth is known."""
        return self.scale == self.scale
