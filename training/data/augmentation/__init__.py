# SPDX-License-Identifier: Apache-2.0
"""Training samples out of frames: another view, another scene, another camera.

`joint` moves everything that is known of a frame together, `photometric` changes colors, `thermal`
temperatures and gray levels, with the parts `clutter`, `cameras` and `sensor`.
"""

from training.data.augmentation.config import AugmentationConfig
from training.data.augmentation.joint import (
    JointConfig,
    View,
    augment_sample,
    draw_view,
    view_matrix,
    view_sample,
)
from training.data.augmentation.photometric import PhotometricConfig, augment_rgb
from training.data.augmentation.sample import Sample
from training.data.augmentation.sensor import SensorConfig
from training.data.augmentation.thermal import augment, augment_pair

__all__ = [
    'AugmentationConfig',
    'JointConfig',
    'PhotometricConfig',
    'Sample',
    'SensorConfig',
    'View',
    'augment',
    'augment_pair',
    'augment_rgb',
    'augment_sample',
    'draw_view',
    'view_matrix',
    'view_sample',
]
