# SPDX-License-Identifier: Apache-2.0
"""Which frames of a recording are training data for depth."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2

from kd_perception.bags import BagReader
from kd_perception.errors import ConfigError
from training.data.bag_digest import bag_digest
from training.data.source_digest import source_digest

CAMERA_FRAMES = ('rectified', 'recorded')

LATER = {'camera_frame': 'rectified'}
"""Settings that runs without them had in effect, see `training.settings.without_later`."""

_FORMAT = 2
_SOURCES = tuple(
    source_digest(name)
    for name in (
        'kd_perception.encodings', 'training.data.bag_pairing', 'training.data.bag_points',
        'training.data.bag_rectification', 'training.data.bag_transforms',
    )
)  # fmt: skip


@dataclass(frozen=True)
class DepthBagConfig:
    """Which frames of a bag, and how they are stored.

    Args:
        bag: folder with metadata.yaml, or a .mcap or .db3 file; empty: no recording.
        left_topic: of the camera whose depth is learnt; empty for the only image topic.
        right_topic: of the right camera; empty: there is none.
        lidar_topic: of points; empty for the only PointCloud2 topic, if there is one.
        camera_from_lidar: twelve numbers, rows of the pose that takes points of the lidar to the
            left camera (right, down, forward) in meters; empty for that of tf.
        camera_frame: what the frame of the left camera in tf, and `camera_from_lidar`, stand for:
            `rectified`, the camera after R of its camera_info has turned it, as in ROS, where P
            projects points of this frame; or `recorded`, the camera before that, as where the
            lidar was calibrated against raw images.
        pose_frame: frame of tf that stands still while the camera moves; empty: motions are not
            known.
        max_gap_ms: largest difference of header stamps of an image to its partners, 0 to 1000.
        interval_s: of neighbors in the video, > 0; the nearest image within half of it counts.
        stride: every how many-th left image is a frame, >= 1. Neighbors are of all images.
        image_size: (height, width) of what is stored.
        held_out_share: of the recording, its end: half of it is the validation split, half the
            test split, each without its first two intervals; 0 to below 1. 0, or a recording too
            short for that, leaves nothing to be scored on.
        max_gb: largest size of the folder.
    """

    bag: str = ''
    left_topic: str = ''
    right_topic: str = ''
    lidar_topic: str = ''
    camera_from_lidar: tuple[float, ...] = ()
    camera_frame: str = 'rectified'
    pose_frame: str = ''
    max_gap_ms: float = 20.0
    interval_s: float = 0.1
    stride: int = 1
    image_size: tuple[int, int] = (192, 640)
    held_out_share: float = 0.2
    max_gb: float = 40.0

    def __post_init__(self) -> None:
        """Check ranges; lists become tuples."""
        for name in ('camera_from_lidar', 'image_size'):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.camera_from_lidar) not in (0, 12):
            raise ConfigError(
                'camera_from_lidar must be twelve numbers, or none to ask tf, got '
                f'{len(self.camera_from_lidar)}'
            )
        if self.camera_frame not in CAMERA_FRAMES:
            raise ConfigError(
                f'camera_frame must be one of {list(CAMERA_FRAMES)}, got {self.camera_frame!r}'
            )
        if not (0.0 <= self.max_gap_ms <= 1000.0 and 0.0 < self.interval_s < math.inf):
            raise ConfigError(
                f'max_gap_ms must be 0 to 1000 and interval_s above 0, got {self.max_gap_ms} and '
                f'{self.interval_s}'
            )
        if self.stride < 1 or not 0.0 <= self.held_out_share < 1.0 or not self.max_gb > 0.0:
            raise ConfigError(
                'stride must be >= 1, held_out_share 0 to below 1 and max_gb above 0, got '
                f'{self.stride}, {self.held_out_share} and {self.max_gb}'
            )
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise ConfigError(f'image_size must be height and width, got {self.image_size}')

    def key(self, cache: Path) -> str:
        """Name of the cache folder: a hash of what is stored.

        Args:
            cache: folder that remembers the hash of a bag.

        Raises:
            BagError: there is no such bag.
        """
        with BagReader(self.bag):  # says what is wrong with a path that is none
            pass
        chosen = ('bag', 'max_gb', 'held_out_share', 'interval_s', 'stride')
        description = {
            'format': _FORMAT,
            'bag': bag_digest(Path(self.bag), cache),
            'settings': {k: v for k, v in asdict(self).items() if k not in chosen},
            'sources': _SOURCES,
            'opencv': cv2.__version__,
        }
        text = json.dumps(description, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
