# SPDX-License-Identifier: Apache-2.0
"""What stands where: a street of blocks, each drawn from the seed and its number alone.

A single frame looks into the first blocks at time zero; a drive passes one block after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kd_perception.world.actors import Actor, Walker
from kd_perception.world.backdrop import (
    draw_building,
    draw_bush,
    draw_clutter,
    draw_tree,
    draw_tree_line,
    draw_wall,
)
from kd_perception.world.climate import Climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.furniture import (
    draw_bike,
    draw_bump,
    draw_car_stop,
    draw_cone,
    draw_guardrail,
)
from kd_perception.world.geometry import Solid
from kd_perception.world.ground import HeatPatch, StreetPlan
from kd_perception.world.materials import Plain
from kd_perception.world.people import draw_person
from kd_perception.world.shapes import Vector, box
from kd_perception.world.vehicles import draw_car

BLOCK_M = 45.0
_INSTANCES_PER_BLOCK = 1000


@dataclass
class Block:
    """One stretch of the street: solids that stand, actors that move, heat on the ground."""

    solids: list[Solid] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)
    patches: list[HeatPatch] = field(default_factory=list)


def draw_plan(rng: np.random.Generator) -> StreetPlan:
    """Draw the cross-section of a street."""
    return StreetPlan(
        half_width_m=rng.uniform(2.8, 6.0),
        pavement_m=rng.uniform(1.2, 4.0),
        lane_marks=bool(rng.uniform() < 0.7),
        grain_k=rng.uniform(0.15, 0.5),
        kind=int(rng.integers(4)),
        cloud_k=rng.uniform(0.3, 4.0) if rng.uniform() < 0.5 else rng.uniform(0.2, 1.0),
    )


class BlockBuilder:
    """Draws one block.

    Args:
        rng: the block's own stream.
        config: the world.
        climate: temperatures of the street.
        plan: cross-section of the street.
        number: position along the street, block 0 starts at Z = 0.
        view: (X of the camera, tangent of half the view) of a frame that stands in block 0, so
            that things are placed in sight and near things are frequent; None along a drive.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        config: WorldConfig,
        climate: Climate,
        plan: StreetPlan,
        number: int,
        view: tuple[float, float] | None,
    ) -> None:
        """Start an empty block."""
        self.rng, self.config, self.climate, self.plan = rng, config, climate, plan
        self.start_m, self.view = number * BLOCK_M, view
        self.block = Block()
        self._taken: list[tuple[float, float, float]] = []
        self._instance = number * _INSTANCES_PER_BLOCK

    def build(self) -> Block:
        """Fill the block."""
        for side in (-1.0, 1.0):
            self._add_houses(side)
            self._add_plants(side)
            self._add_rail(side)
        if self.view is not None and self.rng.uniform() < 0.75:
            z = self.start_m + self.rng.uniform(35.0, 75.0)
            self.block.solids += draw_tree_line(self.rng, self.climate, z)
        self._add_ground()
        density = self.config.density
        for add, mean, most in (
            (self._add_bump, 0.4, 1),
            (self._add_car, 2.6, 6),
            (self._add_walker, 2.4, 7),
            (self._add_bike, 1.2, 3),
            (self._add_cone, 1.3, 4),
            (self._add_car_stop, 0.8, 2),
            (self._add_clutter, 5.0, 12),
        ):
            for _ in range(min(int(self.rng.poisson(mean * density)), most)):
                add()
        return self.block

    def _next_instance(self) -> int:
        self._instance += 1
        return self._instance

    def _depth(self, nearest_m: float, farthest_m: float) -> float:
        if self.view is None:
            return float(self.start_m + self.rng.uniform(0.0, BLOCK_M))
        return float(nearest_m * (farthest_m / nearest_m) ** self.rng.uniform())

    def _place(
        self, low_m: float, high_m: float, radius_m: float, depths_m: tuple[float, float]
    ) -> Vector:
        """A free spot with X between the bounds; the last try stands even if it is crowded."""
        x = z = 0.0
        for _ in range(12):
            x, z = float(self.rng.uniform(low_m, high_m)), self._depth(*depths_m)
            seen = self.view is None or abs(x - self.view[0]) < self.view[1] * z + 0.3
            free = all(
                (x - a) ** 2 + (z - b) ** 2 > (radius_m + r) ** 2 for a, b, r in self._taken
            )
            if seen and free:
                break
        self._taken.append((x, z, radius_m))
        return x, 0.0, z

    def _add_houses(self, side: float) -> None:
        rng, plan = self.rng, self.plan
        share, z = rng.uniform(0.15, 0.9), self.start_m + rng.uniform(-6.0, 2.0)
        while z < self.start_m + BLOCK_M:
            length = rng.uniform(6.0, 22.0)
            edge = plan.half_width_m + plan.pavement_m + rng.uniform(0.2, 5.0)
            if rng.uniform() < share:
                self.block.solids += draw_building(rng, self.climate, side, edge, z, length)
            elif rng.uniform() < 0.5:
                position = (side * edge, 0.0, z + length / 2)
                self.block.solids += draw_wall(rng, self.climate, position, length)
            z += length + rng.uniform(0.0, 6.0)

    def _add_plants(self, side: float) -> None:
        rng = self.rng
        for _ in range(int(rng.integers(0, 8))):
            x = side * (self.plan.half_width_m + rng.uniform(0.8, 10.0))
            position = (x, 0.0, self.start_m + rng.uniform(4.0, BLOCK_M))
            self.block.solids += draw_tree(rng, self.climate, position)
            if rng.uniform() < 0.4:
                beside = (x + rng.normal(0.0, 1.0), 0.0, position[2] + rng.normal(0.0, 2.0))
                self.block.solids += draw_bush(rng, self.climate, beside)

    def _add_rail(self, side: float) -> None:
        rng = self.rng
        if rng.uniform() < 0.4 * self.config.density:
            length = rng.uniform(4.0, 20.0)
            x = side * (self.plan.half_width_m + rng.uniform(0.35, 0.7))
            position = (x, 0.0, self.start_m + rng.uniform(2.0, 14.0) + length / 2)
            instance = self._next_instance()
            self.block.solids += draw_guardrail(rng, self.climate, position, length, instance)

    def _add_ground(self) -> None:
        rng, half = self.rng, self.plan.half_width_m
        for _ in range(int(rng.poisson(3))):
            position = (rng.uniform(-2, 2) * half, 0.0, self.start_m + rng.uniform(2.0, BLOCK_M))
            size = np.exp(rng.uniform(np.log(0.25), np.log(5.0), 2))
            self.block.patches.append(
                HeatPatch(position, rng.uniform(0, 1.5), size[0], size[1], rng.normal(0.0, 1.5))
            )
        if rng.uniform() < 0.3:
            stripes = Plain(
                self.climate.road_c, 0.95, 0.3, stripe_m=1.0, stripe_k=rng.normal(0.0, 0.8)
            )
            position = (0.0, 0.0, self.start_m + rng.uniform(6.0, 30.0))
            self.block.solids.append(Solid(box(half - 0.4, 0.004, 1.3), stripes, position))

    def _add_car(self) -> None:
        rng, half = self.rng, self.plan.half_width_m
        side = rng.choice([-1.0, 1.0])
        low, high = sorted((side * 0.25 * half, side * (half + 1.2)))
        position = self._place(low, high, 2.3, (7.5, 60.0))
        car = draw_car(rng, self.climate, self._next_instance(), moving=rng.uniform() < 0.3)
        yaw = (0.0 if side > 0 else np.pi) + rng.normal(0.0, 0.12)
        if rng.uniform() < 0.3:
            yaw += rng.choice([-0.5, 0.5]) * np.pi + rng.uniform(-0.5, 0.5)
        self.block.solids += car.solids(position, yaw)
        self.block.patches.append(
            HeatPatch(position, yaw, car.half_width_m, car.half_length_m, car.glow_k)
        )

    def _walk(self, speed_m_s: float) -> tuple[float, float]:
        heading = self.rng.choice([0.0, 0.5, 1.0, 1.5]) * np.pi + self.rng.normal(0.0, 0.3)
        return speed_m_s * float(np.sin(heading)), speed_m_s * float(np.cos(heading))

    def _add_walker(self) -> None:
        rng, reach = self.rng, self.plan.half_width_m + self.plan.pavement_m
        position = self._place(-reach, reach, 0.5, (4.5, 50.0))
        person = draw_person(rng, self.climate, self._next_instance())
        velocity = self._walk(rng.uniform(0.6, 1.7) if person.stride else 0.01)
        self.block.actors.append(
            Walker(person, position, velocity, rng.uniform(3.0, 9.0), rng.uniform(0.0, 6.3))
        )

    def _add_bike(self) -> None:
        rng, half = self.rng, self.plan.half_width_m
        position = self._place(-half - 1.5, half + 1.5, 0.8, (5.0, 28.0))
        bike = draw_bike(rng, self.climate, self._next_instance())
        if rng.uniform() < 0.4:
            person = draw_person(rng, self.climate, self._next_instance())
            velocity = self._walk(rng.uniform(1.5, 3.5))
            phase = rng.uniform(0.0, 6.3)
            self.block.actors.append(Walker(person, position, velocity, 8.0, phase, bike))
        else:
            self.block.solids += bike.solids(position, rng.uniform(-np.pi, np.pi))

    def _add_cone(self) -> None:
        half = self.plan.half_width_m
        position = self._place(-half - 0.3, half + 0.3, 0.4, (4.5, 22.0))
        self.block.solids += draw_cone(self.rng, self.climate, position, self._next_instance())

    def _add_car_stop(self) -> None:
        half = self.plan.half_width_m
        position = self._place(-half, half, 0.9, (4.5, 16.0))
        self.block.solids += draw_car_stop(self.rng, self.climate, position, self._next_instance())

    def _add_bump(self) -> None:
        position = (0.0, 0.0, self._depth(5.0, 20.0))
        half, instance = self.plan.half_width_m - 0.2, self._next_instance()
        self.block.solids += draw_bump(self.rng, self.climate, position, half, instance)

    def _add_clutter(self) -> None:
        side, near = self.rng.choice([-1.0, 1.0]), self.plan.half_width_m + 0.3
        low, high = sorted((side * near, side * (near + 6.0)))
        position = self._place(low, high, 0.5, (5.0, 45.0))
        self.block.solids += draw_clutter(self.rng, self.climate, position)
