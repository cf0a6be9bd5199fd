# SPDX-License-Identifier: Apache-2.0
"""Persons of ellipsoids: warm face and hands, clothes between skin and air, things they carry."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kd_perception.world.classes import PERSON
from kd_perception.world.climate import Climate
from kd_perception.world.materials.plain import Plain
from kd_perception.world.scenes.solids import Part, Placed, Placement, Thing
from kd_perception.world.things.bones import Bone, ellipsoids
from kd_perception.world.things.clothing import Clothing, draw_clothing
from kd_perception.world.things.poses import Frame, Limbs, Pose, Skeleton, draw_pose, skeleton
from kd_perception.world.things.props import pram, seat, umbrella

Dressed = tuple[Bone, Plain]


@dataclass(frozen=True)
class Person:
    """One person, ready to be put anywhere in any phase of a step.

    Args:
        height_m: from sole to crown.
        girth: factor on all widths.
        pose: how he holds himself.
        stride: swing of the legs when walking [rad], 0 for one who stands or sits.
        clothing: materials.
        props: what he pushes, holds or sits on, which is no part of him.
        instance: object id.
    """

    height_m: float
    girth: float
    pose: Pose
    stride: float
    clothing: Clothing
    props: tuple[Thing, ...]
    instance: int

    @property
    def walks(self) -> bool:
        """Whether he is in a pose to walk in."""
        return self.stride > 0.0

    def placed(
        self, placement: Placement, phase: float = 0.0, *, moving: bool = False
    ) -> list[Placed]:
        """On the ground, facing the way the placement does, in the step given by `phase` [rad]."""
        pose = self.pose.stepped(self.stride, phase) if moving and self.stride else self.pose
        upright = Placement(placement.position, placement.yaw)
        person = Placed(self._thing(pose, moving), upright)
        return [person, *(Placed(prop, placement) for prop in self.props)]

    def riding(
        self, placement: Placement, phase: float, saddle_m: float, *, pedals: bool, lean: float
    ) -> list[Placed]:
        """On the saddle of a bike.

        Args:
            placement: of the bike.
            phase: of the pedals [rad].
            saddle_m: height of the saddle.
            pedals: whether the legs turn; else they rest before the body.
            lean: of the trunk [rad].
        """
        lift = 0.32 * float(np.sin(phase)) if pedals else 0.0
        thigh, knee = (0.85, 1.05) if pedals else (1.2, 1.25)
        pose = Pose(
            lean=lean,
            nod=-0.6 * lean,
            thighs=(thigh + lift, thigh - lift),
            knees=(knee + 0.9 * lift, knee - 0.9 * lift),
            apart=0.08 if pedals else 0.2,
            arms=(0.75 + 0.3 * lean, 0.75 + 0.3 * lean),
            elbows=(0.35, 0.35),
            spreads=(0.12, 0.12),
            hip_m=saddle_m + 0.06 * self.height_m,
        )
        back = placement.point((0.0, 0.0, -0.25))
        return [Placed(self._thing(pose, True), Placement(back, placement.yaw, placement.pitch))]

    def _thing(self, pose: Pose, moving: bool) -> Thing:
        bones = skeleton(pose, self.height_m, self.girth)
        dressed = [
            *self._head(bones.head),
            *self._trunk(bones.trunk, hanging=max(pose.thighs) < 0.9),
            *self._limbs(bones.left),
            *self._limbs(bones.right),
            *self._carried(bones),
        ]
        bodies = ellipsoids([bone for bone, _ in dressed])
        parts = tuple(Part(b, m) for b, (_, m) in zip(bodies, dressed, strict=True))
        return Thing(parts, PERSON, self.instance, absorptance=0.3, salient=True, moving=moving)

    def _head(self, frame: Frame) -> list[Dressed]:
        h, wear = self.height_m, self.clothing
        big = 1.0 if h > 1.4 else 1.5 - 0.36 * h

        def bone(low: float, high: float, back: float, wide: float, deep: float) -> Bone:
            ends = frame.at(0.0, low * h * big, back * h), frame.at(0.0, high * h * big, back * h)
            return Bone(*ends, wide * h * big, deep * h * big)

        parts = [
            (bone(-0.03, 0.05, 0.0, 0.032, 0.032), wear.collar),
            (bone(0.012, 0.13, 0.014, 0.043, 0.047), wear.face),
            (bone(0.045, 0.145, -0.008, 0.046, 0.055), wear.hair),
        ]
        if wear.long_hair:
            parts.append((bone(-0.03, 0.12, -0.03, 0.05, 0.035), wear.hair))
        if wear.hat is not None:
            parts.append((bone(0.075, 0.16, -0.004, 0.053, 0.062), wear.hat))
            if wear.brim:
                parts.append((bone(0.085, 0.105, 0.05, 0.04, 0.05), wear.hat))
        return parts

    def _trunk(self, frame: Frame, *, hanging: bool) -> list[Dressed]:
        h, wide, wear = self.height_m, self.height_m * self.girth, self.clothing

        def bone(low: float, high: float, size: tuple[float, float], ahead: float = 0.0) -> Bone:
            ends = frame.at(0.0, low * h, ahead * wide), frame.at(0.0, high * h, ahead * wide)
            return Bone(*ends, size[0] * wide, size[1] * wide)

        shoulders = [frame.at(side * 0.118 * wide, 0.272 * h, -0.004 * h) for side in (-1, 1)]
        parts = [
            (bone(-0.06, 0.12, (0.088, 0.066)), wear.bottom),
            (bone(0.01, 0.22, (0.084, 0.062)), wear.top),
            (bone(0.08, 0.34, (0.096, 0.066)), wear.top),
            (Bone(shoulders[0], shoulders[1], 0.052 * wide, 0.046 * wide), wear.sleeve),
        ]
        if hanging and (wear.coat or wear.skirt):
            # Two bodies side by side end as broad as cloth does.
            cloth = wear.top if wear.coat else wear.bottom
            for right in (-0.042 * wide, 0.042 * wide):
                ends = frame.at(right, -0.27 * h, 0.0), frame.at(right, 0.12 * h, 0.0)
                parts.append((Bone(*ends, 0.06 * wide, 0.088 * wide), cloth))
        if wear.open_front:
            parts.append((bone(0.08, 0.32, (0.022, 0.03), 0.045), wear.fold))
        if wear.tight_back and wear.backpack is None:
            parts.append((bone(0.1, 0.31, (0.066, 0.026), -0.046), wear.fold))
        return parts

    def _limbs(self, limbs: Limbs) -> list[Dressed]:
        h, wide, wear = self.height_m, self.height_m * self.girth, self.clothing
        return [
            (Bone(limbs.shoulder, limbs.elbow, 0.027 * wide, 0.03 * wide, 1.35), wear.sleeve),
            (Bone(limbs.elbow, limbs.wrist, 0.022 * wide, 0.024 * wide, 1.4), wear.forearm),
            (Bone(limbs.wrist, limbs.fingers, 0.016 * h, 0.022 * h, 1.3), wear.hand),
            (Bone(limbs.hip, limbs.knee, 0.046 * wide, 0.05 * wide, 1.42), wear.bottom),
            (Bone(limbs.knee, limbs.ankle, 0.033 * wide, 0.037 * wide, 1.42), wear.calf),
            (Bone(limbs.ankle, limbs.toe, 0.026 * h, 0.024 * h, 1.35), wear.shoe),
        ]

    def _carried(self, bones: Skeleton) -> list[Dressed]:
        h, wide, wear = self.height_m, self.height_m * self.girth, self.clothing
        parts = []
        if wear.backpack is not None:
            low, high = (bones.trunk.at(0.0, up * h, -0.09 * wide) for up in (0.06, 0.31))
            parts.append((Bone(low, high, 0.082 * wide, 0.06 * wide), wear.backpack))
        if wear.hand_bag is not None:
            x, y, z = bones.left.fingers
            parts.append((Bone((x, y, z), (x, y + 0.2 * h, z), 0.04, 0.15), wear.hand_bag))
        if wear.box is not None:
            low, high = (bones.trunk.at(0.0, up * h, 0.15 * h) for up in (0.04, 0.2))
            parts.append((Bone(low, high, 0.13 * h, 0.08 * h), wear.box))
        return parts


def draw_person(
    rng: np.random.Generator,
    climate: Climate,
    instance: int,
    *,
    cold: bool = False,
    walking: bool | None = None,
    rider: bool = False,
) -> Person:
    """Draw size, build, pose and clothes of a person.

    Args:
        rng: stream to draw from.
        climate: of the scene.
        instance: object id.
        cold: as cold as the surroundings.
        walking: True for one who walks, False for one who does not, None for either.
        rider: to sit on a bike: no child, no luggage in the hands, often a helmet.
    """
    child = rng.uniform() < 0.12 and not rider
    height_m = rng.uniform(1.0, 1.4) if child else float(np.clip(rng.normal(1.7, 0.09), 1.5, 1.95))
    pose, walks = draw_pose(rng, walking=walking)
    helmet = bool(rider and rng.uniform() < 0.5)
    clothing = draw_clothing(rng, climate, cold=cold, helmet=helmet)
    stride = rng.uniform(0.25, 0.5) if walks else 0.0
    person = Person(height_m, rng.uniform(0.88, 1.25), pose, stride, clothing, (), instance)
    if rider:
        bare = replace(clothing, hand_bag=None, box=None, coat=False)
        return replace(person, clothing=bare)
    return _equipped(rng, climate, person)


def _equipped(rng: np.random.Generator, climate: Climate, person: Person) -> Person:
    """With a seat, an umbrella or something to push."""
    thing_c = climate.ground_mix_c + rng.normal(0.0, 0.8)
    color = (rng.uniform(0.02, 0.3), rng.uniform(0.02, 0.15), rng.uniform(0.02, 0.2))
    pose = person.pose
    if pose.thighs[0] > 1.2 and pose.lean < 0.6 and pose.knees[0] < 1.9:
        return replace(person, props=(seat(thing_c, person.height_m),))
    if climate.rain and pose.lean < 0.3 and rng.uniform() < 0.6:
        held = replace(pose, arms=(pose.arms[0], 0.9), elbows=(pose.elbows[0], 1.9))
        held = replace(held, swinging=(True, False))
        return replace(person, pose=held, props=(umbrella(thing_c, color, person.height_m),))
    if person.walks and rng.uniform() < 0.07:
        held = replace(pose, lean=0.1, arms=(0.4, 0.4), elbows=(0.9, 0.9), swinging=(False, False))
        return replace(person, pose=held, props=(pram(thing_c, color),))
    return person
