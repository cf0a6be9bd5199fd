# SPDX-License-Identifier: Apache-2.0
"""How fast the world is rendered on one core, and what each view costs beside the plain geometry.

    python -m benchmarks.world_rendering

Times are CPU seconds of this process, medians over frames after the first, so that a busy machine
changes them less; ratios are against geometry and labels alone at the same size, in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np

from kd_perception.machine import describe
from kd_perception.world import VIEWS, WorldConfig, render_frame

CASES = (
    ('geometry and labels', ()),
    ('thermal', ('thermal',)),
    ('thermal, rgb', ('thermal', 'rgb')),
    (f'all {len(VIEWS)}', VIEWS),
)
SIZES = ((240, 320, 1), (480, 640, 1), (480, 640, 2))


def seconds_per_frame(config: WorldConfig, views: tuple[str, ...], frames: int) -> float:
    """Median CPU time of a frame; every frame shows another street."""
    render_frame(config, 1, 0, views)
    times = []
    for index in range(1, frames + 1):
        start = time.process_time()
        render_frame(config, 1, index, views)
        times.append(time.process_time() - start)
    return float(np.median(times))


def main() -> None:
    """Measure, print and keep the rows."""
    parser = argparse.ArgumentParser(description='Measure how fast the world is rendered.')
    parser.add_argument('--frames', type=int, default=30)
    parser.add_argument('--out', type=Path, help='write one JSON line per row')
    own = parser.parse_args()
    cv2.setNumThreads(1)
    rows = []
    print(f'{"size":>11} {"views":<22} {"ms":>7} {"frames/s":>9} {"ratio":>6}')
    for height, width, supersampling in SIZES:
        config = WorldConfig(height=height, width=width, supersampling=supersampling)
        plain = None
        for name, views in CASES:
            seconds = seconds_per_frame(config, views, own.frames)
            plain = plain or seconds
            size = f'{height}x{width}' + (' x2' if supersampling == 2 else '')
            row = {
                'size': size,
                'views': name,
                'ms': round(1e3 * seconds, 1),
                'frames_per_s': round(1.0 / seconds, 1),
                'ratio': round(seconds / plain, 2),
            }
            rows.append(row)
            print(
                f'{size:>11} {name:<22} {row["ms"]:>7} {row["frames_per_s"]:>9} {row["ratio"]:>6}'
            )
    if own.out:
        lines = [json.dumps({'machine': describe(), 'frames': own.frames}), *map(json.dumps, rows)]
        own.out.write_text('\n'.join(lines) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
