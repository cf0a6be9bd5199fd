# SPDX-License-Identifier: Apache-2.0
"""A block of the street while it is being built: what is free, what stands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.rendering.light import Lamp
from kd_perception.world.scenes.decals import Decal
from kd_perception.world.scenes.solids import Placed, Placement, Thing
from kd_perception.world.streets.plan import StreetPlan
from kd_perception.world.streets.terrain import Terrain
from kd_perception.world.things.actors import Actor
from kd_perception.world.things.plants import Grove

BLOCK_M: Final = 45.0
_INSTANCES_PER_BLOCK = 1000
_TRIES = 10
_BEYOND_SHARE = 0.5


class Gaze(NamedTuple):
    """What a single frame looks at from z = 0, so that things are placed in its sight.

    Args:
        u_m: where its camera stands across the street.
        yaw: where it looks, to the right of the street's direction [rad].
        tangent: of half its field of view.
    """

    u_m: float
    yaw: float
    tangent: float

    def sees(self, u_m: float, z_m: float) -> bool:
        """Whether a place is in view, a little way from the image's edge at most."""
        return abs(u_m - self.u_m - math.tan(self.yaw) * z_m) < self.tangent * z_m + 0.3


@dataclass
class Block:
    """One stretch of the street."""

    placed: list[Placed] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)
    decals: list[Decal] = field(default_factory=list)
    lamps: list[Lamp] = field(default_factory=list)


@dataclass
class Site:
    """A block under construction and all that decides about it.

    Args:
        rng: the block's own stream.
        config: the world.
        climate: temperatures of the street.
        plan: the street.
        terrain: its course.
        grove: its trees.
        number: position along the street; block 0 starts at z = 0.
        gaze: of a single frame that stands in block 0; None in other blocks and along a drive.
        still: whether the street is that of a single frame.
    """

    rng: np.random.Generator
    config: WorldConfig
    climate: Climate
    plan: StreetPlan
    terrain: Terrain
    grove: Grove
    number: int
    gaze: Gaze | None = None
    still: bool = False
    block: Block = field(default_factory=Block)
    _taken: list[tuple[float, float, float]] = field(default_factory=list)
    _used: int = 0

    @property
    def start_m(self) -> float:
        """Where the block begins."""
        return self.number * BLOCK_M

    @property
    def density(self) -> float:
        """Factor on the number of classed things; a single frame shows few of the far ones."""
        return self.config.density * (_BEYOND_SHARE if self.beyond else 1.0)

    @property
    def beyond(self) -> bool:
        """Whether the block lies in the distance and will not come nearer."""
        return self.still and self.gaze is None

    def next_instance(self) -> int:
        """An object id that no other thing has; ids of a block are positive and its own."""
        self._used += 1
        return (self.number + 2) % 100_000 * _INSTANCES_PER_BLOCK + self._used

    def is_cold(self) -> bool:
        """Draw whether a thing with heat of its own is as cold as its surroundings."""
        return bool(self.rng.uniform() < self.config.cold_share)

    def count(self, mean: float, most: int) -> int:
        """Draw how many of some things there are."""
        return min(int(self.rng.poisson(mean)), most)

    def put(self, thing: Thing, placement: Placement) -> None:
        """Let a thing stand."""
        self.block.placed.append(thing.at(placement))

    def free(self, u_m: float, z_m: float, radius_m: float) -> bool:
        """Whether nothing stands within a radius, not even the camera of a single frame."""
        if self.gaze is not None and z_m < 4.0 and abs(u_m - self.gaze.u_m) < radius_m + 1.2:
            return False
        return all(
            (u_m - u) ** 2 + (z_m - z) ** 2 > (radius_m + r) ** 2 for u, z, r in self._taken
        )

    def take(self, u_m: float, z_m: float, radius_m: float) -> None:
        """Mark a place as taken."""
        self._taken.append((u_m, z_m, radius_m))

    def spot(
        self,
        zones: tuple[tuple[float, float], ...],
        radius_m: float,
        depths_m: tuple[float, float],
    ) -> tuple[float, float] | None:
        """Find and take a free place (u, z), None if the block is crowded.

        Args:
            zones: ranges of u, one of which is drawn.
            radius_m: how much room is needed.
            depths_m: nearest and farthest z for a single frame; near ones are frequent.
        """
        for _ in range(_TRIES):
            a, b, c = self.rng.uniform(size=3).tolist()
            low, high = zones[int(a * len(zones))]
            u, z = low + (high - low) * b, self._depth(c, radius_m, depths_m)
            seen = self.gaze is None or self.gaze.sees(u, z)
            if seen and self.free(u, z, radius_m):
                self.take(u, z, radius_m)
                return u, z
        return None

    def _depth(self, share: float, radius_m: float, depths_m: tuple[float, float]) -> float:
        if self.gaze is None:
            return self.start_m + BLOCK_M * share
        nearest, farthest = depths_m
        # What reaches into the next block would be in the way of what stands there.
        farthest = min(farthest, BLOCK_M - radius_m)
        return float(nearest * (farthest / nearest) ** share)
