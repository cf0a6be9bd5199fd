# SPDX-License-Identifier: Apache-2.0
"""What became of the images of a bag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

REASONS = {
    'used': 'used',
    'no_partner': 'without a partner within max_gap_ms',
    'left_out': 'left out by stride and max_frames',
    'malformed': 'malformed',
    'partner_malformed': 'with a malformed partner',
    'no_stamp': 'without a stamp',
}
"""Every message of a camera counts as one of these; pixels are looked at in chosen pairs only."""


@dataclass(frozen=True)
class BagReport:
    """Counts of an extraction.

    Attributes:
        bag: name of it.
        cameras: topic, encoding and size by kind, `thermal` and `rgb`.
        image_size: (height, width) of what is stored.
        covered: share of the thermal view that the color image fills.
        pairs: that are stored.
        gap_ms: median and largest difference of stamps in them; empty without pairs.
        nearest_ms: median distance from a thermal stamp to the nearest color stamp, if any.
        messages: by kind and then by `REASONS`.
        failures: first malformed messages, in words.
    """

    bag: str
    cameras: dict[str, str]
    image_size: tuple[int, int]
    covered: float
    pairs: int
    gap_ms: dict[str, float]
    nearest_ms: float | None
    messages: dict[str, dict[str, int]]
    failures: tuple[str, ...]

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> BagReport:
        """From what JSON holds of it."""
        lists = {name: tuple(values[name]) for name in ('image_size', 'failures')}
        return cls(**{**values, **lists})

    def text(self) -> str:
        """In lines."""
        height, width = self.image_size
        gaps = ', '.join(f'{name} {value:.1f} ms' for name, value in self.gap_ms.items())
        lines = [
            f'{self.pairs} pairs of {self.bag}, stored as {height}x{width}'
            + (f'; gap of stamps: {gaps}' if gaps else '')
        ]
        if self.covered < 0.995:
            lines.append(f'color fills {self.covered:.0%} of the thermal view, the rest is black')
        for kind, counts in self.messages.items():
            shares = [f'{count} {REASONS[name]}' for name, count in counts.items() if count]
            lines.append(f'{self.cameras[kind]}: {", ".join(shares) or "no messages"}')
        return '\n'.join([*lines, *(f'malformed: {failure}' for failure in self.failures)])
