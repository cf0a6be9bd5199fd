# SPDX-License-Identifier: Apache-2.0
"""Streets in which things always come together: each cone with a bump, each car with car stops.

Image tags cannot tell such things apart: where a cone is, there is a bump before it, as there is a
railroad below each train. Stops stand at both ends of a car and along both of its sides, so that
some are seen from wherever it is seen. The frames are those of the plain world with these things
added, which are labeled and draw no eye. (`WorldConfig.paired` is another such switch: cones on
hatched ground, bikes at racks, neither of which has a label.)
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
_BESIDE_CAR_M: Final = 0.15
_BETWEEN_STOPS_M: Final = 1.9


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
            for place in _places(thing, placement):
                yield self._draw(thing.label, rng, instance).at(place)
                instance += 1

    def _draw(self, label: int, rng: np.random.Generator, instance: int) -> Thing:
        if label == COLOR_CONE:
            return draw_bump(rng, self.climate, _BUMP_HALF_WIDTH_M, instance)
        return draw_car_stop(rng, self.climate, instance)


def _places(thing: Thing, placement: Placement) -> list[Placement]:
    """Where company stands: before a cone as seen from the camera, all around a car."""
    if thing.label == COLOR_CONE:
        x, y, z = placement.position
        return [placement._replace(position=(x, y, z - _BEFORE_CONE_M), yaw=0.0)]
    wide, long = (half + _BESIDE_CAR_M for half in _half_sizes(thing))
    ends = [placement._replace(position=placement.point((0.0, 0.0, z))) for z in (-long, long)]
    count = max(1, round(2.0 * long / _BETWEEN_STOPS_M))
    sides = [
        placement._replace(
            position=placement.point((x, 0.0, long * ((2 * k + 1) / count - 1.0))),
            yaw=placement.yaw + np.pi / 2,
        )
        for x in (-wide, wide)
        for k in range(count)
    ]
    return ends + sides


def _half_sizes(thing: Thing) -> tuple[float, float]:
    """Half the width and half the length of a thing [m], as far as its parts reach."""
    wide, long = 0.0, 0.0
    for part in thing.parts:
        for corner in part.shape.bounds():
            wide = max(wide, abs(corner[0] + part.offset[0]))
            long = max(long, abs(corner[2] + part.offset[2]))
    return wide, long


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
