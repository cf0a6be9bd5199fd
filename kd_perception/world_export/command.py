# SPDX-License-Identifier: Apache-2.0
"""The command `kd-perception world`."""

from __future__ import annotations

import argparse
import re
import sys
import time

from kd_perception.errors import ConfigError
from kd_perception.world.splits import SPLITS
from kd_perception.world_export.export import export_world
from kd_perception.world_export.layouts import LAYOUTS
from kd_perception.world_export.plan import SHIFTED, ExportPlan, shared_out


def run(arguments: argparse.Namespace) -> int:
    """Make a data set or a recording.

    Returns:
        Exit code 0.

    Raises:
        KdPerceptionError: As `export_world`.
    """
    start_s = time.monotonic()
    plan = plan_from_arguments(arguments)
    frames = export_world(
        plan,
        workers=arguments.workers,
        overwrite=arguments.overwrite,
        progress=not arguments.quiet and sys.stderr.isatty(),
    )
    wall_s = time.monotonic() - start_s
    height, width = plan.image_size
    print(
        f'{frames} frames of {height}x{width} in {wall_s:.1f} s, {frames / wall_s:.1f} frames/s\n'
        f'synthetic, in the layout of {LAYOUTS[plan.layout].title}: {plan.out}'
    )
    return 0


def plan_from_arguments(arguments: argparse.Namespace) -> ExportPlan:
    """Read the plan from the command line.

    Raises:
        ConfigError: A value cannot be read or is out of range.
    """
    return ExportPlan(
        layout=arguments.layout,
        out=arguments.out,
        splits=_splits(arguments),
        seed=arguments.seed,
        preset=arguments.preset,
        image_size=image_size(arguments.size),
        rate_hz=arguments.rate,
        paired=arguments.paired,
        encoding=arguments.encoding,
    )


def _splits(arguments: argparse.Namespace) -> dict[str, int]:
    if (arguments.count is None) == (not arguments.splits):
        raise ConfigError('Give either --count N or --splits NAME=N ....')
    if arguments.splits:
        return split_counts(arguments.splits)
    if arguments.count < 1:
        raise ConfigError(f'--count must be at least 1; received {arguments.count}')
    usual = [name for name in LAYOUTS[arguments.layout].splits if name != SHIFTED]
    return shared_out(arguments.count, usual)


def split_counts(words: list[str]) -> dict[str, int]:
    """Read words such as `train=100`.

    Raises:
        ConfigError: A word has another form, or a split comes twice.
    """
    counts: dict[str, int] = {}
    for word in words:
        name, _, number = word.partition('=')
        if name not in SPLITS or not re.fullmatch(r'[0-9]{1,9}', number) or name in counts:
            raise ConfigError(
                f'--splits takes each of {", ".join(SPLITS)} once, as train=100; received {word!r}'
            )
        counts[name] = int(number)
    return counts


def image_size(text: str) -> tuple[int, int]:
    """Read a size such as `480x640` (height x width).

    Raises:
        ConfigError: It has another form.
    """
    found = re.fullmatch(r'([0-9]{1,5})x([0-9]{1,5})', text)
    if found is None:
        raise ConfigError(f'--size takes HEIGHTxWIDTH such as 480x640; received {text!r}')
    return int(found[1]), int(found[2])
