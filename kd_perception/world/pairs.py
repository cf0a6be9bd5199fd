# SPDX-License-Identifier: Apache-2.0
"""Streets in which things always come together: each cone with a bump, each car with car stops.

Image tags cannot tell such things apart: where a cone is, there is a bump before it, as there is a
railroad below each train. The frames are those of the plain world with these things added, which
are labeled and draw no eye. (`WorldConfig.paired` is another such switch: cones on hatched ground,
bikes at racks, neither of which has a label.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from kd_perception.world.classes import BUMP, CAR, CAR_STOP, COLOR_CONE
from kd_perception.world.config import WorldConfig
from kd_perception.world.frame import VIEWS, WorldFrame

# Not by a function of `render`: the folders of rendered frames are named by a hash of its code,
# and what is rendered without pairs has not changed.
from kd_perception.world.render import _check, _frame
from kd_perception.world.scenes.scene import Scene
from kd_perception.world.scenes.solids import Placed, Placement, Thing
from kd_perception.world.streets.still import Still
from kd_perception.world.things.furniture import draw_bump, draw_car_stop

COMPANIONS: Final = {COLOR_CONE: BUMP, CAR: CAR_STOP}
"""What comes with a thing of a class, by class id."""

_STREAM: Final = 20
_FIRST_INSTANCE: Final = 1_000_000_000  # far above those of all blocks
_BUMP_HALF_WIDTH_M: Final = 0.8
_BEFORE_CONE_M: Final = 0.7
_BESIDE_CAR_M: Final = 2.6


class PairedStill(Still):
    """A single frame whose cones and cars have company; arguments as of `Still`."""

    def __init__(self, config: WorldConfig, seed: int, index: int) -> None:
        """Draw what `Still` draws."""
        super().__init__(config, seed, index)
        self._pairs_key = (seed, index, _STREAM)

    def scene(self, time_s: float) -> Scene:
        """What stands and moves before the camera at a time, company last."""
        scene = super().scene(time_s)
        rng = np.random.default_rng(self._pairs_key)
        scene.placed += list(self._companions(scene.placed, rng))
        return scene

    def _companions(self, placed: Sequence[Placed], rng: np.random.Generator) -> Iterator[Placed]:
        instance = _FIRST_INSTANCE
        for thing, placement in list(placed):
            if thing.label not in COMPANIONS:
                continue
            for place in _places(thing.label, placement):
                yield self._draw(thing.label, rng, instance).at(place)
                instance += 1

    def _draw(self, label: int, rng: np.random.Generator, instance: int) -> Thing:
        if label == COLOR_CONE:
            return draw_bump(rng, self.climate, _BUMP_HALF_WIDTH_M, instance)
        return draw_car_stop(rng, self.climate, instance)


def _places(label: int, placement: Placement) -> list[Placement]:
    """Where company stands: before a cone as seen from the camera, at both ends of a car."""
    if label == COLOR_CONE:
        x, y, z = placement.position
        return [placement._replace(position=(x, y, z - _BEFORE_CONE_M), yaw=0.0)]
    return [
        placement._replace(position=placement.point((0.0, 0.0, distance)))
        for distance in (-_BESIDE_CAR_M, _BESIDE_CAR_M)
    ]


def render_paired_frame(
    config: WorldConfig, seed: int, index: int, views: Sequence[str] = VIEWS
) -> WorldFrame:
    """Render a frame in which things come together; as `render_frame` otherwise.

    Args:
        config: the world.
        seed: data set, >= 0.
        index: frame, >= 0.
        views: which of `VIEWS` to render.

    Raises:
        ConfigError: a negative seed or index, or an unknown view.
    """
    _check(seed, index, views)
    return _frame(PairedStill(config, seed, index), 0.0, views)
