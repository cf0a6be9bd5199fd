# SPDX-License-Identifier: Apache-2.0
"""How the camera moved between frames: the pose network of Monodepth2, for training on video.

Reference:
    C. Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from kd_perception.errors import ConfigError
from kd_perception.models.image_input import check_image_shape, normalized_image
from kd_perception.models.monodepth_unet import preset_widths
from kd_perception.models.resnet import ResNet, ResNetConfig

_MOTION_SCALE = 0.01
"""Frames of a video are close together: motions start, and stay, near zero."""


@dataclass(frozen=True)
class PoseNetworkConfig:
    """Sizes of a `PoseNetwork`.

    Args:
        frame_channels: channels of one frame, >= 1.
        frames: that are looked at together, >= 2.
        poses: that are given, >= 1. Monodepth2 has two, the second of which nothing uses.
        encoder_depth: of the ResNet: 18, 34, 50, 101 or 152.
        base_width: channels of the stem, >= 1; every other width follows from it.
    """

    frame_channels: int = 3
    frames: int = 2
    poses: int = 1
    encoder_depth: int = 18
    base_width: int = 64

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.frame_channels < 1 or self.frames < 2 or self.poses < 1:
            raise ConfigError(
                'frame_channels must be >= 1, frames >= 2 and poses >= 1, got '
                f'{self.frame_channels}, {self.frames} and {self.poses}'
            )
        _ = self.encoder  # its own check

    @classmethod
    def preset(cls, name: str, **changes: Any) -> PoseNetworkConfig:
        """The sizes known as `name`: `paper`, `small` or `tiny`.

        They have 12.50 M, 3.13 M and 0.79 M weights.

        Args:
            name: of the preset.
            changes: fields that shall differ from it.

        Raises:
            ConfigError: `name` is not a preset, or a change is out of range.
        """
        return cls(**{**preset_widths(name), **changes})

    @property
    def in_channels(self) -> int:
        """Channels of all frames."""
        return self.frames * self.frame_channels

    @property
    def encoder(self) -> ResNetConfig:
        """Sizes of the encoder."""
        return ResNetConfig(self.encoder_depth, self.in_channels, self.base_width)

    def architecture(self) -> dict[str, Any]:
        """The description that `build_trainable_network` reads."""
        return {'name': 'pose_network', 'config': asdict(self)}


class Motion(NamedTuple):
    """What `PoseNetwork` gives; `training.poses.pose_from_motion` makes matrices of it.

    Attributes:
        axis_angle: rotation axis times angle in radians, [batch, poses, 3].
        translation: added after the rotation, [batch, poses, 3]; in meters if the depth that it is
            trained with is.
    """

    axis_angle: Tensor
    translation: Tensor


class PoseNetwork(nn.Module):
    """A residual encoder that sees all frames at once, and four convolutions.

    Args:
        config: sizes.
    """

    def __init__(self, config: PoseNetworkConfig) -> None:
        """Create the parts."""
        super().__init__()
        self.config = config
        self.encoder = ResNet(config.encoder)
        width = 4 * config.base_width
        self.decoder = nn.Sequential(
            nn.Conv2d(config.encoder.channels[-1], width, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 6 * config.poses, 1),
        )

    def forward(self, frames: Tensor) -> Motion:
        """Motions between the frames.

        For two frames (a, b) the one pose is `b_from_a`: it takes points from the frame of camera
        a to that of b. Which of them is earlier should not change from batch to batch;
        `training.poses.inverse_pose` gives the way back.

        Args:
            frames: float [batch, frames * frame_channels, height, width], 0 to 1, frame after
                frame; height and width multiples of 32.

        Raises:
            ShapeError: wrong rank, channels or size.
        """
        check_image_shape(frames, self.config.in_channels)
        features = self.encoder(normalized_image(frames))[-1]
        motion = _MOTION_SCALE * self.decoder(features).mean((2, 3))
        axis_angle, translation = motion.unflatten(1, (self.config.poses, 2, 3)).unbind(2)
        return Motion(axis_angle, translation)

    def load_imagenet_weights(self, path: Path) -> None:
        """Start the encoder from a local file; see `ResNet.load_imagenet_weights`.

        Raises:
            ConfigError: the file cannot be read or its weights do not fit, or frames have no
                color.
        """
        if self.config.frame_channels != 3:
            raise ConfigError(
                'frame_channels must be 3 for weights that were learnt from color images, '
                f'got {self.config.frame_channels}'
            )
        self.encoder.load_imagenet_weights(path)
