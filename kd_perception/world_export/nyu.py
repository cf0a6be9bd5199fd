# SPDX-License-Identifier: Apache-2.0
"""The layout of NYU-Depth-v2 after conversion to image files, as ESANet and others use it.

    {train,test}/rgb/%04d.png         color
    {train,test}/depth/%04d.png       depth in millimeters, uint16, dense
    {train,test}/depth_raw/%04d.png   the same with holes
    {train,test}/labels_40/%04d.png   class ids 1 to 40, 0 = void
    train.txt, test.txt               numbers of the frames, one per line

Reference:
    N. Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012;
    D. Seichter et al., "Efficient RGB-D Semantic Segmentation for Indoor Scene Analysis", ICRA
    2021 (converted form).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kd_perception.frames import ByteImage
from kd_perception.label_sets import NYU40
from kd_perception.world import WorldFrame
from kd_perception.world.classes import CLASS_NAMES
from kd_perception.world_export.layout import Layout, Written, write_lines
from kd_perception.world_export.pictures import scaled_uint16, write_picture
from kd_perception.world_export.plan import ExportPlan, Job
from kd_perception.world_export.rendering import known_depth_m, single_frames

COUNTERPARTS = {
    'car': 'otherprop',
    'person': 'person',
    'bike': 'otherprop',
    'curve': 'otherstructure',
    'car_stop': 'otherstructure',
    'guardrail': 'otherstructure',
    'color_cone': 'otherprop',
    'bump': 'floor',
}
"""Class of the set that stands for a class of the world; the others are void."""

_MM_PER_M = 1000.0
_RAW_RANGE_M = 10.0  # what the depth camera of the real set reaches


def file_ids_from_world(label: ByteImage) -> ByteImage:
    """Translate class ids of the world to those of `labels_40` files, 0 = void."""
    table = np.zeros(256, np.uint8)
    for name, counterpart in COUNTERPARTS.items():
        table[CLASS_NAMES.index(name)] = NYU40.names.index(counterpart) + 1
    return table[label]


def write_frame(folder: Path, job: Job, frame: WorldFrame) -> str:
    """Write the files of a frame; returns its name."""
    assert frame.rgb is not None
    depth_mm = scaled_uint16(known_depth_m(frame), _MM_PER_M)
    seen = ~frame.glass & ~frame.sky & (frame.depth_m <= _RAW_RANGE_M)
    files = {
        'rgb': frame.rgb,
        'depth': depth_mm,
        'depth_raw': np.where(seen, depth_mm, np.uint16(0)),
        'labels_40': file_ids_from_world(frame.label),
    }
    name = f'{job.number:04d}'
    for kind, image in files.items():
        write_picture(folder / job.split / kind / f'{name}.png', image)
    return name


def finish(folder: Path, plan: ExportPlan, results: Iterator[Written]) -> None:
    """Write the split lists."""
    names: dict[str, list[str]] = {}
    for job, name in results:
        names.setdefault(job.split, []).append(name)
    for split, lines in names.items():
        write_lines(folder / f'{split}.txt', lines)


def _jobs(plan: ExportPlan) -> list[Job]:
    return single_frames(plan, ('rgb',))


_LINES = '\n'.join(f'  * {world} -> {ours}' for world, ours in COUNTERPARTS.items())

LAYOUT = Layout(
    title='NYU-Depth-v2',
    splits=('train', 'test'),
    jobs=_jobs,
    write=write_frame,
    finish=finish,
    notes=f"""\
* A street stands in for rooms: this checks loaders and training, it is no substitute for the set.
* `depth/` is exact; sky and what is farther than 65.5 m is 0. `depth_raw/` has holes on glass, and
  ends at {_RAW_RANGE_M:g} m as the real camera's does.
* Classes, everything else is void (0):
{_LINES}
""",
)
