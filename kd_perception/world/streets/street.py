# SPDX-License-Identifier: Apache-2.0
"""A whole street: its climate, its course and its blocks, assembled around a place."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from kd_perception.world.climate import Climate, draw_climate, turned
from kd_perception.world.config import WorldConfig
from kd_perception.world.materials.ground import Ground
from kd_perception.world.scenes.decals import Decal
from kd_perception.world.scenes.scene import Scene
from kd_perception.world.scenes.solids import Placed, Thing
from kd_perception.world.streets.frontage import add_frontage
from kd_perception.world.streets.inhabitants import add_inhabitants
from kd_perception.world.streets.marks import add_ground_marks
from kd_perception.world.streets.plan import StreetPlan, draw_plan
from kd_perception.world.streets.roadside import add_roadside
from kd_perception.world.streets.site import BLOCK_M, Block, Gaze, Site
from kd_perception.world.streets.styles import CAR_PARK
from kd_perception.world.streets.terrain import Terrain, draw_terrain
from kd_perception.world.things.plants import Grove, draw_tree_line

_PLAN, _BLOCK, _HORIZON, _CLIMATE = 1, 2, 3, 4
_BEHIND_M, _AHEAD_M = 12.0, 95.0
_FAR_AHEAD_M = 150.0
_HORIZON_M = 300.0
_DRIVE_HORIZON_M = 170.0
_NO_BLOCK_BEFORE = 100_000


class Street:
    """A street without end, a pure function of the configuration, the key and the gaze.

    Args:
        config: the world.
        key: what everything is drawn from.
        gaze: of a single frame that stands at z = 0, see `Gaze`; None along a drive.
    """

    def __init__(
        self, config: WorldConfig, key: tuple[int, ...], gaze: Gaze | None = None
    ) -> None:
        """Draw climate, plan and course; blocks follow when they are needed."""
        self.config: Final = config
        self._key, self._gaze = key, gaze
        # A stream of its own: another weather leaves the street as it is.
        climate = draw_climate(np.random.default_rng([*key, _CLIMATE]), config)
        rng = np.random.default_rng([*key, _PLAN])
        self.plan: Final[StreetPlan] = draw_plan(rng, climate)
        level = self.plan.kind == CAR_PARK
        self.terrain: Final[Terrain] = draw_terrain(rng, level=level)
        heading = math.atan(self.terrain.bend(0.0)) + (gaze.yaw if gaze else 0.0)
        self.climate: Final[Climate] = turned(climate, heading)
        self._grove = Grove(rng, self.climate, self.plan.tree_color, self.plan.bare_share)
        self.block = lru_cache(maxsize=8)(self._draw_block)
        self._ground = lru_cache(maxsize=8)(self._draw_ground)
        self._tree_rows = self._draw_tree_rows()

    def scene(
        self,
        z_m: float,
        time_s: float,
        traffic: Iterable[tuple[Placed, list[Decal]]] = (),
    ) -> Scene:
        """What stands around a place at a time.

        Args:
            z_m: where along the street.
            time_s: time of all that moves.
            traffic: further things with what they leave on the ground.
        """
        scene = Scene()
        scene.placed += self._ground(math.floor(z_m / BLOCK_M))
        scene.placed += self._horizon(z_m)
        still = self._gaze is not None
        first = 0 if still else math.floor((z_m - _BEHIND_M) / BLOCK_M)
        # A drive meets new blocks where they are small.
        ahead = _AHEAD_M if still else _FAR_AHEAD_M
        for number in range(first, math.floor((z_m + ahead) / BLOCK_M) + 1):
            self._add_block(scene, self.block(number), time_s)
        for thing, decals in traffic:
            scene.placed.append(thing)
            scene.decals += decals
        return scene

    @staticmethod
    def _add_block(scene: Scene, block: Block, time_s: float) -> None:
        scene.placed += block.placed
        scene.decals += block.decals
        scene.lamps += block.lamps
        for actor in block.actors:
            scene.placed += actor.placed(time_s)
            scene.decals += actor.decals(time_s)

    def _draw_block(self, number: int) -> Block:
        rng = np.random.default_rng([*self._key, _BLOCK, number + _NO_BLOCK_BEFORE])
        gaze = self._gaze if number == 0 else None
        still = self._gaze is not None
        site = Site(
            rng,
            self.config,
            self.climate,
            self.plan,
            self.terrain,
            self._grove,
            number,
            gaze,
            still,
        )
        add_roadside(site)
        add_inhabitants(site)
        add_frontage(site)
        add_ground_marks(site)
        return site.block

    def _draw_ground(self, number: int) -> list[Placed]:
        """The ground seen from anywhere in a block."""
        start = number * BLOCK_M
        ahead = start + BLOCK_M + (_AHEAD_M if self._gaze else _FAR_AHEAD_M)
        return self.terrain.slabs(start - 2.0 * _BEHIND_M, ahead, self._ground_between)

    def _ground_between(self, z0_m: float, z1_m: float) -> Ground:
        nearest = self.plan.crossing_near(0.5 * (z0_m + z1_m))
        if math.isinf(nearest):
            return self.plan.ground
        return replace(
            self.plan.ground, crossing_m=nearest, crossing_half_m=self.plan.crossing_half_m
        )

    def _horizon(self, z_m: float) -> list[Placed]:
        """Trees across the end of the view; along a drive they keep their distance."""
        if self._gaze is None:
            return [self._tree_rows[0].at(self.terrain.upright(0.0, z_m + _DRIVE_HORIZON_M))]
        places = (_HORIZON_M, self._near_row_m)
        return [
            row.at(self.terrain.upright(0.0, where))
            for row, where in zip(self._tree_rows, places, strict=False)
        ]

    def _draw_tree_rows(self) -> list[Thing]:
        """The far row of trees, and often a closer one where a single frame's street ends."""
        rng = np.random.default_rng([*self._key, _HORIZON])
        a, b, c = rng.uniform(size=3).tolist()
        self._near_row_m = 40.0 + 75.0 * c
        sizes = [(160.0, 8.0 + 10.0 * a)]
        if b < 0.7:
            sizes.append((45.0, 6.0 + 9.0 * a))
        color = self.plan.tree_color
        return [draw_tree_line(rng, self.climate, color, *size) for size in sizes]
