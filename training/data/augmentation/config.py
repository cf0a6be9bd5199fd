# SPDX-License-Identifier: Apache-2.0
"""How training frames are changed, all in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kd_perception.errors import ConfigError
from training.data.augmentation.joint import JointConfig
from training.data.augmentation.photometric import PhotometricConfig
from training.data.augmentation.sensor import SensorConfig


@dataclass(frozen=True)
class AugmentationConfig:
    """How far training frames are taken from what the world renders.

    Args:
        view: which part of the frame is seen, and how.
        coarsest: a small camera's frame is scaled up by at most this, >= 1.
        coarse_share: how often a frame comes from a smaller camera.
        raw_share: how often the frame stays 16-bit radiometric; else it passes a display AGC.
        scene_share: how often temperatures of the scene are changed.
        clutter_share: how often shapes that are no object are drawn behind the objects.
        sensor: faults of thermal cameras; by default hidden corners alone.
        rgb: changes of color images.
    """

    view: JointConfig = field(default_factory=JointConfig)
    coarsest: float = 4.0
    coarse_share: float = 0.45
    raw_share: float = 0.45
    scene_share: float = 0.7
    clutter_share: float = 0.6
    sensor: SensorConfig = field(default_factory=SensorConfig)
    rgb: PhotometricConfig = field(default_factory=PhotometricConfig)

    def __post_init__(self) -> None:
        if self.coarsest < 1.0:
            raise ConfigError(f'coarsest must be >= 1, got {self.coarsest}')

    @classmethod
    def strong(cls, **changes: Any) -> AugmentationConfig:
        """Every fault and change turned on; `changes` are fields that differ from that."""
        values = {'sensor': SensorConfig.strong(), 'rgb': PhotometricConfig.strong()}
        return cls(**{**values, **changes})
