# SPDX-License-Identifier: Apache-2.0
"""The forms of vehicles: kinds with their sizes, rounded bodies and cabins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from kd_perception.world.config import Range
from kd_perception.world.scenes.shapes import Hull

_SHORTEST_CABIN_M = 1.9
_WHEEL_SIDES = 12


class Kind(NamedTuple):
    """What sizes a kind of vehicle has [m].

    Args:
        share: how often it stands in streets.
        length_m: bumper to bumper.
        half_width_m: without mirrors.
        roof_m: height.
        belt_m: height of the lower edge of the windows.
        bonnet_m: from the front to the foot of the windscreen.
        screen_m: run of the windscreen along the car.
        deck_m: from the foot of the rear screen to the back.
        rear_m: run of the rear screen.
        clearance_m: height of the lower edge.
        wheel_m: radius of the wheels.
        glazed_share: how often the rear half of the sides has windows.
    """

    share: float
    length_m: Range
    half_width_m: Range
    roof_m: Range
    belt_m: Range
    bonnet_m: Range
    screen_m: Range
    deck_m: Range
    rear_m: Range
    clearance_m: Range = (0.18, 0.24)
    wheel_m: Range = (0.29, 0.33)
    glazed_share: float = 1.0


VEHICLES: dict[str, Kind] = {
    'hatchback': Kind(
        0.24, (3.5, 4.2), (0.82, 0.9), (1.42, 1.56), (0.9, 1.0), (0.8, 1.1), (0.6, 0.9),
        (0.0, 0.06), (0.35, 0.65),
    ),
    'tall': Kind(
        0.14, (3.3, 4.4), (0.74, 0.86), (1.62, 1.9), (0.95, 1.08), (0.4, 0.7), (0.45, 0.7),
        (0.0, 0.03), (0.1, 0.25),
    ),
    'sedan': Kind(
        0.22, (4.3, 4.9), (0.85, 0.92), (1.4, 1.5), (0.88, 0.97), (1.1, 1.4), (0.65, 0.9),
        (0.7, 1.1), (0.5, 0.8),
    ),
    'estate': Kind(
        0.1, (4.4, 4.9), (0.86, 0.92), (1.44, 1.55), (0.9, 0.98), (1.05, 1.3), (0.65, 0.9),
        (0.0, 0.06), (0.3, 0.55),
    ),
    'suv': Kind(
        0.14, (4.2, 4.9), (0.88, 0.97), (1.6, 1.85), (1.02, 1.18), (0.95, 1.25), (0.55, 0.8),
        (0.0, 0.1), (0.2, 0.45), (0.24, 0.32), (0.34, 0.39),
    ),
    'van': Kind(
        0.08, (4.6, 6.0), (0.9, 1.02), (1.9, 2.6), (1.05, 1.3), (0.3, 0.8), (0.45, 0.75),
        (0.0, 0.03), (0.04, 0.14), (0.2, 0.28), (0.31, 0.36), 0.3,
    ),
    'pickup': Kind(
        0.03, (4.9, 5.4), (0.88, 0.97), (1.7, 1.85), (1.05, 1.15), (1.1, 1.3), (0.55, 0.75),
        (1.5, 1.9), (0.05, 0.15), (0.26, 0.34), (0.36, 0.4),
    ),
    'truck': Kind(
        0.04, (5.0, 7.0), (0.92, 1.1), (2.0, 2.3), (1.2, 1.35), (0.06, 0.2), (0.2, 0.35),
        (3.2, 4.8), (0.04, 0.08), (0.4, 0.5), (0.36, 0.42),
    ),
    'bus': Kind(
        0.01, (8.5, 11.5), (1.15, 1.25), (2.8, 3.1), (1.15, 1.4), (0.05, 0.12), (0.1, 0.25),
        (0.0, 0.02), (0.03, 0.1), (0.28, 0.36), (0.45, 0.5),
    ),
}  # fmt: skip


_SIZES = Kind._fields[1:11]


@dataclass(frozen=True)
class Form:
    """The sizes of one vehicle; see `Kind`."""

    kind: str
    length_m: float
    half_width_m: float
    roof_m: float
    belt_m: float
    bonnet_m: float
    screen_m: float
    deck_m: float
    rear_m: float
    clearance_m: float
    wheel_m: float
    glazed: bool
    axle_m: float
    lean: float
    nose_m: float
    round_m: float


def draw_form(rng: np.random.Generator, kind: str | None = None) -> Form:
    """Draw the sizes of a vehicle, of a kind drawn by its share if none is given."""
    if kind is None:
        shares = np.array([k.share for k in VEHICLES.values()])
        kind = list(VEHICLES)[int(rng.choice(len(shares), p=shares / shares.sum()))]
    ranges = VEHICLES[kind]
    sizes = {name: float(rng.uniform(*getattr(ranges, name))) for name in _SIZES}
    sizes['deck_m'] = min(sizes['deck_m'], sizes['length_m'] - _SHORTEST_CABIN_M)
    upright = kind in ('van', 'truck', 'bus')
    return Form(
        kind=kind,
        **sizes,
        glazed=bool(rng.uniform() < ranges.glazed_share),
        axle_m=sizes['length_m'] * rng.uniform(0.28, 0.315),
        lean=rng.uniform(0.02, 0.08) if upright else rng.uniform(0.16, 0.32),
        nose_m=rng.uniform(0.03, 0.08) if sizes['bonnet_m'] < 0.3 else rng.uniform(0.1, 0.3),
        round_m=rng.uniform(0.04, 0.09),
    )


def body(form: Form) -> Hull:
    """Everything below the windows."""
    half, belt, low = form.length_m / 2, form.belt_m, form.clearance_m
    profile = [
        (-half, low + 0.2),
        (-half + 0.08, low),
        (half - 0.14, low),
        (half, low + 0.16),
        (half, low + 0.36),
        (half - 0.07, belt - form.nose_m),
        (half - 0.3, belt - 0.4 * form.nose_m),
        (half - form.bonnet_m - 0.1, belt + 0.03),
        (-half + 0.12, belt),
        (-half, belt - 0.22),
    ]
    return rounded_prism(profile, form.half_width_m, lean=0.05, cut_m=form.round_m)


def cabin(form: Form) -> Hull:
    """The windows and the roof above them."""
    half, belt, roof = form.length_m / 2, form.belt_m, form.roof_m
    start, end = half - form.bonnet_m, -half + form.deck_m + 0.02
    crown = 0.07 if form.roof_m < 1.9 else 0.04
    profile = [
        (start, belt - 0.06),
        (start - form.screen_m, roof - crown),
        (start - form.screen_m - 0.35, roof),
        (end + form.rear_m + 0.35, roof - 0.02),
        (end + form.rear_m, roof - crown - 0.02),
        (end, belt - 0.06),
    ]
    half_width = form.half_width_m - 0.05 * (belt - form.clearance_m) - 0.01
    return rounded_prism(profile, half_width, lean=form.lean, cut_m=0.9 * form.round_m)


def wheel(radius_m: float, half_width_m: float) -> Hull:
    """A cylinder that rolls along z, its middle at the origin."""
    sides = _WHEEL_SIDES
    angles = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
    rims = np.stack([np.zeros(sides), np.cos(angles), np.sin(angles)], axis=1)
    normals = np.vstack([rims, [[1, 0, 0], [-1, 0, 0]]]).astype(np.float32)
    offsets = np.array([radius_m] * sides + [half_width_m] * 2, np.float32)
    high = (half_width_m, 1.04 * radius_m, 1.04 * radius_m)
    return Hull(normals, offsets, (-high[0], -high[1], -high[2]), high)


def rounded_prism(
    profile: Sequence[tuple[float, float]], half_width_m: float, *, lean: float, cut_m: float
) -> Hull:
    """A side profile drawn out along x, with its edges cut but for those at the bottom.

    Args:
        profile: points (z, height) [m]; their convex hull is taken.
        half_width_m: half the extent along x at the lowest height.
        lean: how far the sides lean inward per meter of height.
        cut_m: how deep the edges are cut.
    """
    points = cv2.convexHull(np.array(profile, np.float32))[:, 0].astype(float)
    following = np.roll(points, -1, axis=0)
    run = following - points
    turned = np.stack([np.zeros(len(run)), run[:, 0], run[:, 1]], axis=1)
    turned /= np.linalg.norm(turned, axis=1)[:, None] + 1e-12
    corner = np.stack([np.zeros(len(run)), -points[:, 1], points[:, 0]], axis=1)
    center = np.array([0.0, -points[:, 1].mean(), points[:, 0].mean()])
    outward = np.sign(np.einsum('ij,ij->i', turned, corner - center))
    faces = turned * outward[:, None]
    low, high = points.min(axis=0), points.max(axis=0)
    corner[:, 0] = half_width_m - lean * (points[:, 1] - low[1])
    sides = np.array([[1.0, -lean, 0.0], [-1.0, -lean, 0.0]]) / np.hypot(1.0, lean)
    side_offset = (half_width_m + lean * low[1]) / np.hypot(1.0, lean)
    keep = faces[:, 1] < 0.5
    bevels = faces[keep] + sides[0]
    bevels /= np.linalg.norm(bevels, axis=1)[:, None]
    bevel_offsets = np.einsum('ij,ij->i', bevels, corner[keep]) - cut_m
    normals = np.vstack([faces, sides, bevels, bevels * (-1.0, 1.0, 1.0)])
    face_offsets = np.einsum('ij,ij->i', faces, corner)
    offsets = np.concatenate([face_offsets, [side_offset] * 2, bevel_offsets, bevel_offsets])
    box_low = (-half_width_m, -float(high[1]), float(low[0]))
    box_high = (half_width_m, -float(low[1]), float(high[0]))
    return Hull(normals.astype(np.float32), offsets.astype(np.float32), box_low, box_high)
