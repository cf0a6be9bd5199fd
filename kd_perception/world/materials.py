# SPDX-License-Identifier: Apache-2.0
"""Surfaces that many things share: plain matter, walls, leaves, twigs, grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.world.geometry import Sample, SurfacePoint
from kd_perception.world.noise import noise

Array = npt.NDArray[Any]
Segment = tuple[float, float, float, float]


@dataclass(frozen=True)
class Plain:
    """One temperature with grain; cooler towards the limb where `limb_k` is set.

    Args:
        temperature_c: mean temperature.
        emissivity: 0 to 1.
        grain_k: deviation of the grain.
        texels_per_m: scale of the grain.
        kind: which noise.
        limb_k: how much cooler the surface looks where it turns away.
        stripe_m: period of stripes along x and height, 0 for none.
        stripe_k: temperature step of the stripes.
    """

    temperature_c: float
    emissivity: float = 0.95
    grain_k: float = 0.3
    texels_per_m: float = 20.0
    kind: int = 0
    limb_k: float = 0.0
    stripe_m: float = 0.0
    stripe_k: float = 0.0

    def __call__(self, point: SurfacePoint) -> Sample:
        """Temperature with grain, limb and stripes."""
        u = point.x + point.z
        grain = noise(self.kind, u, point.height, self.texels_per_m, point.footprint_m)
        temperature = self.temperature_c + self.grain_k * grain
        if self.limb_k:
            temperature = temperature - self.limb_k * (1.0 - point.facing)
        if self.stripe_m:
            temperature = temperature + self.stripe_k * (u % self.stripe_m < self.stripe_m / 2)
        return Sample(temperature, self.emissivity)


@dataclass(frozen=True)
class Facade:
    """A wall with rows of windows, some of them lit, or a blind wall.

    Args:
        wall_c: mean temperature of the wall.
        window_c: temperature of a dark window.
        lit_k: how much warmer a lit window is.
        grain_k: deviation of the wall's pattern.
        spacing_m: (along, up) distance of windows; 0 along for a blind wall.
        share: (along, up) share of a cell that its window fills.
        lit: bool [64, 64], which windows are lit.
        offset_m: where the pattern starts.
        course_m: height of courses or panels that differ slightly, 0 for none.
        kind: which noise.
    """

    wall_c: float
    window_c: float
    lit_k: float
    grain_k: float
    spacing_m: tuple[float, float]
    share: tuple[float, float]
    lit: Array
    offset_m: float
    course_m: float
    kind: int

    def __call__(self, point: SurfacePoint) -> Sample:
        """Wall, courses and windows."""
        along = point.x + point.z + np.float32(self.offset_m)
        up = point.height
        grain = noise(self.kind, along, up, 24.0, point.footprint_m)
        grain += 0.7 * noise(self.kind + 1, along, up, 5.0, point.footprint_m)
        temperature = self.wall_c + self.grain_k * grain
        if self.course_m:
            temperature += self.grain_k * np.cos(np.floor(up / self.course_m) * 12.9898)
        emissivity = np.full(along.shape, 0.93, np.float32)
        if self.spacing_m[0]:
            window, lit = self._windows(along, up)
            warm = self.window_c + self.lit_k * lit + 0.3 * grain
            temperature = np.where(window, warm, temperature)
            emissivity[window] = 0.82
        return Sample(temperature, emissivity)

    def _windows(self, along: Array, up: Array) -> tuple[Array, Array]:
        u, v = along / self.spacing_m[0], up / self.spacing_m[1]
        column, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
        inside = np.abs(u - column - 0.5) < self.share[0] / 2
        inside &= np.abs(v - row - 0.5) < self.share[1] / 2
        return inside, self.lit[row & 63, column & 63]


@dataclass(frozen=True)
class Leaves:
    """A crown: ragged at its limb, with holes, warm and cool clumps inside."""

    temperature_c: float
    clump_k: float
    ragged: float
    kind: int

    def __call__(self, point: SurfacePoint) -> Sample:
        """Clumps of leaves; transparent beyond the ragged edge."""
        u = point.x + 0.7 * point.z
        v = point.height + 0.5 * point.x - 0.4 * point.z
        coarse = noise(self.kind, u, v, 6.0, point.footprint_m)
        fine = noise(self.kind + 1, u, v, 26.0, point.footprint_m)
        leaf = noise(self.kind + 2, u, v, 70.0, point.footprint_m)
        temperature = self.temperature_c + self.clump_k * (0.6 * coarse + fine + 0.8 * leaf)
        opaque = point.facing > 0.2 + self.ragged * (0.5 * coarse + fine)
        return Sample(temperature, 0.96, opaque)


@dataclass(frozen=True)
class Strokes:
    """Lines on a sheet: twigs, frames, fences. Everything else is transparent.

    Args:
        temperature_c: of the lines.
        emissivity: of the lines.
        segments: (x0, height0, x1, height1) in meters.
        radii_m: half the width of each line.
        grain_k: deviation of the grain along the lines.
    """

    temperature_c: float
    emissivity: float
    segments: tuple[Segment, ...]
    radii_m: tuple[float, ...]
    grain_k: float = 0.3

    def __call__(self, point: SurfacePoint) -> Sample:
        """Opaque within the radius of a line."""
        grain = noise(2, point.x, point.height, 12.0, point.footprint_m)
        opaque = np.zeros(point.x.shape, bool)
        for segment, radius in zip(self.segments, self.radii_m, strict=True):
            opaque |= squared_distance(point.x, point.height, segment) < radius * radius
        return Sample(self.temperature_c + self.grain_k * grain, self.emissivity, opaque)


def squared_distance(x: Array, height: Array, segment: Segment) -> Array:
    """Squared distance of points on a sheet to a segment [m²]."""
    x0, y0, x1, y1 = segment
    dx, dy = x1 - x0, y1 - y0
    share = ((x - x0) * dx + (height - y0) * dy) / max(dx * dx + dy * dy, 1e-9)
    share = np.clip(share, 0.0, 1.0)
    squared: Array = (x - x0 - share * dx) ** 2 + (height - y0 - share * dy) ** 2
    return squared
