# SPDX-License-Identifier: Apache-2.0
"""A whole street: its climate, its cross-section and its blocks, assembled around a camera."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from kd_perception.world.camera import Camera
from kd_perception.world.climate import Climate, draw_climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.furniture import COLD_DEVIATION_K, draw_curb
from kd_perception.world.geometry import GBuffer, Solid, cast
from kd_perception.world.ground import HeatPatch, StreetPlan, paint_ground, paint_sky
from kd_perception.world.scene import BLOCK_M, Block, BlockBuilder, draw_plan

_PLAN, _BLOCK = 1, 2
_BEHIND_M, _AHEAD_M = 15.0, 95.0
_CURB_INSTANCES = 900_000_000


class Street:
    """A street without end, a pure function of the configuration and the key.

    Args:
        config: the world.
        key: what everything is drawn from.
        view: passed to the first block, see `BlockBuilder`.
    """

    def __init__(
        self, config: WorldConfig, key: tuple[int, ...], view: tuple[float, float] | None = None
    ) -> None:
        """Draw the climate and the cross-section; blocks follow when they are needed."""
        self.config, self._key, self._view = config, key, view
        rng = np.random.default_rng([*key, _PLAN])
        self.climate: Climate = draw_climate(rng, night_share=config.night_share)
        self.plan: StreetPlan = draw_plan(rng)
        curb_share = 0.6 * min(config.density, 1.0)
        self._curbs = [side for side in (-1.0, 1.0) if rng.uniform() < curb_share]
        self._curb_c = self.climate.road_c + rng.normal(0.5, COLD_DEVIATION_K)
        self.block = lru_cache(maxsize=8)(self._draw_block)

    def _draw_block(self, number: int) -> Block:
        rng = np.random.default_rng([*self._key, _BLOCK, number + 1_000_000])
        view = self._view if number == 0 else None
        return BlockBuilder(rng, self.config, self.climate, self.plan, number, view).build()

    def render(
        self, camera: Camera, time_s: float, traffic: Iterable[tuple[list[Solid], HeatPatch]] = ()
    ) -> GBuffer:
        """What the camera sees at a time.

        Args:
            camera: where and how.
            time_s: time of the actors.
            traffic: further things with the heat that they leave on the road.
        """
        z = float(camera.position[2])
        first, last = int((z - _BEHIND_M) // BLOCK_M), int((z + _AHEAD_M) // BLOCK_M)
        if self._view is not None:
            first, last = 0, 1
        solids, patches = self._curb_solids(z), []
        for block in (self.block(number) for number in range(first, last + 1)):
            solids += block.solids
            solids += [solid for actor in block.actors for solid in actor.solids(time_s)]
            patches += block.patches
        for things, patch in traffic:
            solids += things
            patches.append(patch)
        return self._draw(camera, solids, patches)

    def _curb_solids(self, z: float) -> list[Solid]:
        edge = self.plan.half_width_m + 0.12
        return [
            solid
            for k, side in enumerate(self._curbs)
            for solid in draw_curb(
                self._curb_c, (side * edge, 0.0, z + 40.0), 90.0, _CURB_INSTANCES + k
            )
        ]

    def _draw(self, camera: Camera, solids: list[Solid], patches: list[HeatPatch]) -> GBuffer:
        buffer, rays = GBuffer.empty(camera.image_size), camera.rays()
        paint_sky(buffer, rays, self.plan, self.climate)
        paint_ground(buffer, camera, rays, self.plan, self.climate, patches)
        cast(solids, camera, self.climate.sun, buffer, rays)
        return buffer
