# SPDX-License-Identifier: Apache-2.0
"""How persons hold themselves: angles of the joints, where these put the joints.

A person stands at the origin and looks along +Z; y points down, the sole is at y = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, sin
from typing import NamedTuple

import numpy as np

from kd_perception.world.scenes.shapes import Vector

Pair = tuple[float, float]
"""One value for the left side, one for the right."""

_ANKLE, _SHIN, _THIGH, _ARM, _FOREARM, _HAND = 0.045, 0.235, 0.24, 0.165, 0.145, 0.05
"""Lengths in heights of the person."""


@dataclass(frozen=True)
class Pose:
    """Angles [rad] of a body; all zero is standing upright with hanging arms.

    Args:
        lean: of the trunk, forward.
        nod: of the head, forward, beyond the trunk's.
        thighs: swung forward.
        knees: bent backward.
        apart: legs spread sideways.
        arms: upper arms swung forward.
        elbows: bent forward.
        spreads: upper arms sideways.
        inward: forearms towards the middle.
        hip_m: height of the hips; None puts the lower foot on the ground.
        swinging: whether the arms swing with the steps.
    """

    lean: float = 0.0
    nod: float = 0.0
    thighs: Pair = (0.0, 0.0)
    knees: Pair = (0.0, 0.0)
    apart: float = 0.04
    arms: Pair = (0.0, 0.0)
    elbows: Pair = (0.15, 0.15)
    spreads: Pair = (0.1, 0.1)
    inward: Pair = (0.0, 0.0)
    hip_m: float | None = None
    swinging: tuple[bool, bool] = (True, True)

    def stepped(self, stride: float, phase: float) -> Pose:
        """In the middle of a step.

        Args:
            stride: largest swing of a leg [rad].
            phase: of the step [rad].
        """
        swing, lift = stride * sin(phase), stride * cos(phase)
        arm = 0.75 * swing
        return replace(
            self,
            lean=self.lean + 0.15 * stride,
            thighs=(0.1 + swing, 0.1 - swing),
            knees=(0.1 + 1.2 * max(0.0, lift), 0.1 + 1.2 * max(0.0, -lift)),
            arms=(
                self.arms[0] - arm * self.swinging[0],
                self.arms[1] + arm * self.swinging[1],
            ),
        )


class Frame(NamedTuple):
    """Axes of a trunk or a head: where it begins, how far it leans forward [rad]."""

    origin: Vector
    lean: float

    def at(self, right: float, up: float, ahead: float) -> Vector:
        """A point given along its axes [m]."""
        x, y, z = self.origin
        c, s = cos(self.lean), sin(self.lean)
        return x + right, y - up * c + ahead * s, z + up * s + ahead * c


class Limbs(NamedTuple):
    """The joints of one side."""

    shoulder: Vector
    elbow: Vector
    wrist: Vector
    fingers: Vector
    hip: Vector
    knee: Vector
    ankle: Vector
    toe: Vector


class Skeleton(NamedTuple):
    """Where everything is: the trunk's frame begins at the hips, the head's at the neck."""

    trunk: Frame
    head: Frame
    left: Limbs
    right: Limbs


def skeleton(pose: Pose, height_m: float, girth: float) -> Skeleton:
    """Put the joints of a person of some height and girth in their places."""
    loose = _hung(pose, height_m, girth, 0.0)
    if pose.hip_m is not None:
        return _hung(pose, height_m, girth, -pose.hip_m)
    soles = [
        max(limbs.ankle[1] + _ANKLE * height_m, limbs.toe[1] + 0.015 * height_m)
        for limbs in (loose.left, loose.right)
    ]
    return _hung(pose, height_m, girth, -max(soles))


def _hung(pose: Pose, height_m: float, girth: float, hip_y: float) -> Skeleton:
    trunk = Frame((0.0, hip_y, 0.0), pose.lean)
    head = Frame(trunk.at(0.0, 0.34 * height_m, 0.0), pose.lean + pose.nod)
    left, right = (_limbs(pose, side, trunk, height_m, girth) for side in (0, 1))
    return Skeleton(trunk, head, left, right)


def _limbs(pose: Pose, side: int, trunk: Frame, height_m: float, girth: float) -> Limbs:
    out, h = (-1.0, 1.0)[side], height_m
    arm, spread = pose.arms[side], pose.spreads[side]
    forearm = arm + pose.elbows[side]
    turned = spread - pose.inward[side]
    thigh = pose.thighs[side]
    shin = thigh - pose.knees[side]
    shoulder = trunk.at(out * (0.082 * girth + 0.016) * h, 0.29 * h, 0.0)
    elbow = _hang(shoulder, arm, out * spread, _ARM * h)
    wrist = _hang(elbow, forearm, out * turned, _FOREARM * h)
    fingers = _hang(wrist, forearm, out * turned, _HAND * h)
    hip = trunk.at(out * 0.048 * girth * h, 0.0, 0.0)
    knee = _hang(hip, thigh, out * pose.apart, _THIGH * h)
    ankle = _hang(knee, shin, 0.0, _SHIN * h)
    x, y, z = ankle
    foot = 0.08 * h
    toe = (x, y + (0.03 - 0.35 * sin(shin) * 0.08) * h, z + foot * cos(0.5 * shin))
    return Limbs(shoulder, elbow, wrist, fingers, hip, knee, ankle, toe)


def _hang(start: Vector, swing: float, sideways: float, length: float) -> Vector:
    """The end of a limb that hangs from `start`, swung forward and sideways."""
    x, y, z = start
    flat = length * cos(sideways)
    return x + length * sin(sideways), y + flat * cos(swing), z + flat * sin(swing)


def draw_pose(rng: np.random.Generator, *, walking: bool | None = None) -> tuple[Pose, bool]:
    """What a person does, and whether he may walk while doing so.

    Args:
        rng: stream to draw from.
        walking: True and False force the second answer.
    """
    if walking is None:
        walking = bool(rng.uniform() < 0.6)
    if walking or rng.uniform() < 0.65:
        return _upright(rng), walking
    draw = rng.uniform()
    if draw < 0.4:
        return _sitting(rng), False
    if draw < 0.65:
        return _crouching(rng), False
    return _bending(rng), False


def _jitter(rng: np.random.Generator, pose: Pose) -> Pose:
    shift = rng.normal(0.0, 0.06, 6).tolist()
    return replace(
        pose,
        lean=pose.lean + shift[0],
        nod=pose.nod + 1.5 * abs(shift[1]),
        thighs=(pose.thighs[0] + shift[2], pose.thighs[1] - shift[2]),
        arms=(pose.arms[0] + shift[3], pose.arms[1] + shift[4]),
        apart=abs(pose.apart + 0.5 * shift[5]),
    )


_ARMS: tuple[tuple[float, Pose], ...] = (
    (0.52, Pose()),
    (0.1, Pose(nod=0.25, arms=(0.0, 0.9), elbows=(0.2, 1.9), swinging=(True, False))),
    (0.1, Pose(nod=0.4, arms=(0.3, 0.3), elbows=(1.2, 1.2), inward=(0.4, 0.4))),
    (0.1, Pose(arms=(0.4, 0.4), elbows=(1.2, 1.2), inward=(1.0, 1.0), swinging=(False, False))),
    (0.1, Pose(elbows=(0.5, 0.5), spreads=(0.35, 0.35), inward=(0.7, 0.7))),
    (0.05, Pose(arms=(2.5, 2.7), elbows=(0.4, 0.3), swinging=(False, False))),
    (0.03, Pose(arms=(0.0, 1.5), elbows=(0.1, 0.2), swinging=(True, False))),
)
"""Shares and arms of an upright person: hanging, phone at the ear, phone in hand, crossed, hands
in the pockets, raised, pointing."""


def _upright(rng: np.random.Generator) -> Pose:
    shares = np.array([share for share, _ in _ARMS])
    return _jitter(rng, _ARMS[int(rng.choice(len(_ARMS), p=shares / shares.sum()))][1])


def _sitting(rng: np.random.Generator) -> Pose:
    lean, bend = rng.uniform(-0.15, 0.5), rng.uniform(1.3, 1.75)
    arms = rng.uniform(0.4, 0.8)
    pose = Pose(lean, 0.1, (1.5, 1.5), (bend, bend), 0.1, (arms, arms), (0.7, 0.7))
    return _jitter(rng, pose)


def _crouching(rng: np.random.Generator) -> Pose:
    thigh, bend = rng.uniform(1.3, 1.9), rng.uniform(2.0, 2.4)
    pose = Pose(rng.uniform(0.3, 0.8), 0.1, (thigh, thigh - 0.3), (bend, bend + 0.1), 0.15)
    return _jitter(rng, replace(pose, arms=(0.9, 0.9), elbows=(0.6, 0.6)))


def _bending(rng: np.random.Generator) -> Pose:
    pose = Pose(rng.uniform(0.7, 1.3), 0.2, (0.2, 0.2), (0.3, 0.3), 0.08)
    return _jitter(rng, replace(pose, arms=(0.5, 0.3), elbows=(0.3, 0.3)))
