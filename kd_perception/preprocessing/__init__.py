# SPDX-License-Identifier: Apache-2.0
"""Camera frame to network input: radiometry, automatic gain control, color, resizing.

The same functions normalize frames for training and on the robot. A thermal frame uses a small and
moving part of its 16 bits, so a fixed window flattens it; the window here follows the scene.
"""

from kd_perception.preprocessing.color import (
    color_network_input,
    gray_from_color,
    rgb_from_frame,
)
from kd_perception.preprocessing.gain import (
    AGC_METHODS,
    Agc,
    AgcConfig,
    AgcImage,
    agc_limits,
    equalization_curve,
    normalize,
)
from kd_perception.preprocessing.geometry import Letterbox, letterbox, network_input
from kd_perception.preprocessing.radiometry import (
    RADIOMETRY_PRESETS,
    Radiometry,
    radiometry_from_preset,
)

__all__ = [
    'AGC_METHODS',
    'RADIOMETRY_PRESETS',
    'Agc',
    'AgcConfig',
    'AgcImage',
    'Letterbox',
    'Radiometry',
    'agc_limits',
    'color_network_input',
    'equalization_curve',
    'gray_from_color',
    'letterbox',
    'network_input',
    'normalize',
    'radiometry_from_preset',
    'rgb_from_frame',
]
