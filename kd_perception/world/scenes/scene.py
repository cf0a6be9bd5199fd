# SPDX-License-Identifier: Apache-2.0
"""What stands around a camera at one time."""

from __future__ import annotations

from dataclasses import dataclass, field

from kd_perception.world.rendering.light import Lamp
from kd_perception.world.scenes.decals import Decal
from kd_perception.world.scenes.solids import Placed


@dataclass
class Scene:
    """All that is needed to render, but for camera and climate.

    Args:
        placed: things, the ground among them.
        decals: what lies flat on the ground, later ones over earlier ones.
        lamps: lights that shine by night.
    """

    placed: list[Placed] = field(default_factory=list)
    decals: list[Decal] = field(default_factory=list)
    lamps: list[Lamp] = field(default_factory=list)
