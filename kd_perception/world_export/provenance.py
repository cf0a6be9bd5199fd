# SPDX-License-Identifier: Apache-2.0
"""What an export says of itself: that it is synthetic, and how to make it again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kd_perception.evaluation.environment import environment_versions
from kd_perception.world_export.layout import Layout
from kd_perception.world_export.plan import ExportPlan
from kd_perception.world_export.staging import MARK

_DECIDING = ('Python', 'kd_perception', 'NumPy', 'OpenCV', 'Numba', 'rosbags')

_README = """\
# Synthetic street in the layout of {title}

**Not real data.** Every pixel is rendered by the procedural world of kd_perception; no real image
took part. It is meant for tests of loaders, tools and training code. Figures reached on it say
nothing about real images and must not stand beside published ones.

    {command}

Seed, settings and versions are in `{mark}`. The same command with the same versions on the same
kind of processor gives the same images.

{notes}"""


def describe(plan: ExportPlan, layout: Layout) -> dict[str, Any]:
    """Return what `world.json` holds."""
    versions = environment_versions()
    return {
        'synthetic': True,
        'layout': plan.layout,
        'command': plan.command(),
        'seed': plan.seed,
        'preset': plan.preset,
        'splits': dict(plan.splits),
        'rate_hz': plan.rate_hz,
        'world': {split: asdict(plan.world_config(split)) for split in plan.splits},
        'versions': {name: versions[name] for name in _DECIDING if name in versions},
    }


def write_provenance(folder: Path, plan: ExportPlan, layout: Layout) -> None:
    """Write `README.md` and `world.json`."""
    content = json.dumps(describe(plan, layout), indent=2)
    (folder / MARK).write_text(content + '\n', encoding='utf-8')
    text = _README.format(
        title=layout.title, command=plan.command(), mark=MARK, notes=layout.notes
    )
    (folder / 'README.md').write_text(text, encoding='utf-8')
