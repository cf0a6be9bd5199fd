# SPDX-License-Identifier: Apache-2.0
"""Differences of two runs seed by seed, which have the same data in the same order."""

from __future__ import annotations

from collections.abc import Sequence

from training.cekd_tables import Runs, metric, spread


def gains(
    runs: Runs, name: str, *path: str, against: str, role: str = 'student', split: str = 'test'
) -> list[float]:
    """What a run has more than another one, in points, one per common seed.

    Args:
        runs: records by name and seed.
        name: of the run.
        path: of the metric in the report of a split.
        against: name of the other run.
        role: whose report.
        split: of the report.
    """
    own, other = runs.get(name, {}), runs.get(against, {})
    return [
        metric(own[seed], role, split, *path) - metric(other[seed], role, split, *path)
        for seed in sorted(own.keys() & other.keys())
    ]


def signed(values: Sequence[float]) -> str:
    """Mean and spread with a sign in front; empty without values."""
    text = spread(values) if values else ''
    return f'+{text}' if text and text[0] not in '-+' else text
