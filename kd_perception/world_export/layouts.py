# SPDX-License-Identifier: Apache-2.0
"""All layouts by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kd_perception.world_export import bag, cityscapes, kitti, mfnet, nyu, stereo_bag, voc
from kd_perception.world_export.layout import Layout

LAYOUTS: Final[Mapping[str, Layout]] = MappingProxyType(
    {
        'mfnet': mfnet.LAYOUT,
        'kitti': kitti.LAYOUT,
        'cityscapes': cityscapes.LAYOUT,
        'nyu': nyu.LAYOUT,
        'voc': voc.LAYOUT,
        'bag': bag.LAYOUT,
        'stereo_bag': stereo_bag.LAYOUT,
    }
)
