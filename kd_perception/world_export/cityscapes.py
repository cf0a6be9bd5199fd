# SPDX-License-Identifier: Apache-2.0
"""The layout of Cityscapes, with stereo, disparity and the video around each labeled frame.

    <kind>/<split>/<city>/<city>_<seq6>_<frame6>_<kind>.<ending>

    leftImg8bit, rightImg8bit            color
    leftImg8bit_sequence                 frames 17 to 21 of each snippet; 19 is the labeled one
    disparity                            uint16, d = (p - 1) / 256, 0 = none
    camera                               JSON with intrinsics and baseline
    gtFine                               labelIds, labelTrainIds, instanceIds, color

Reference:
    M. Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.frames import ByteImage
from kd_perception.label_sets import CITYSCAPES
from kd_perception.world import WorldFrame
from kd_perception.world.classes import CLASS_NAMES
from kd_perception.world_export.layout import Layout, Written
from kd_perception.world_export.pictures import Array, cityscapes_disparity, write_picture
from kd_perception.world_export.plan import MAX_DEPTH_M, ExportPlan, Job
from kd_perception.world_export.rendering import drive_seed, known_depth_m, numbered

LABELED_FRAME = 19
"""Number of the labeled frame in its snippet, as in the real set."""

REACH = 2
"""Frames of video before and after the labeled one."""

RATE_HZ = 17.0
"""Of the video, as in the real set."""

UNLABELED_ID, STATIC_ID, GUARD_RAIL_ID, SKY_ID = 0, 4, 14, 23

FILE_IDS = {
    'car': 26,
    'person': 24,
    'bike': 33,
    'curve': 8,
    'car_stop': STATIC_ID,
    'guardrail': GUARD_RAIL_ID,
    'color_cone': STATIC_ID,
    'bump': 7,
}
"""Id in `labelIds` files by class of the world."""

_THING_IDS = (24, 26, 33)
_INSTANCES_PER_CLASS = 1000
_VOID_COLORS = {GUARD_RAIL_ID: (180, 165, 180)}


def file_ids_from_world(frame: WorldFrame) -> ByteImage:
    """Give the ids of a `labelIds` image, uint8."""
    table = np.full(256, UNLABELED_ID, np.uint8)
    for name, file_id in FILE_IDS.items():
        table[CLASS_NAMES.index(name)] = file_id
    ids = table[frame.label]
    return np.where(frame.sky & (frame.label == 0), np.uint8(SKY_ID), ids)


def instance_ids(file_ids: ByteImage, instance: Array) -> npt.NDArray[np.uint16]:
    """Give the ids of an `instanceIds` image: 1000 id + number for things, else the id.

    Args:
        file_ids: HxW ids of the classes.
        instance: HxW objects of the world.
    """
    ids = file_ids.astype(np.uint16)
    for thing in _THING_IDS:
        here = file_ids == thing
        _, numbers = np.unique(instance[here], return_inverse=True)
        ids[here] = thing * _INSTANCES_PER_CLASS + np.minimum(numbers, _INSTANCES_PER_CLASS - 1)
    return ids


def camera_file(frame: WorldFrame) -> dict[str, Any]:
    """Give the content of a `camera` file."""
    k = frame.camera_matrix
    return {
        'extrinsic': {
            'baseline': frame.baseline_m, 'pitch': 0.0, 'roll': 0.0, 'yaw': 0.0,
            'x': 0.0, 'y': 0.0, 'z': 0.0,
        },
        'intrinsic': {'fx': k[0, 0], 'fy': k[1, 1], 'u0': k[0, 2], 'v0': k[1, 2]},
    }  # fmt: skip


def write_frame(folder: Path, job: Job, frame: WorldFrame) -> None:
    """Write the files of a frame; those around the labeled one have a color image only."""
    assert frame.rgb is not None
    base = f'{job.group}_{job.index:06d}'
    write_picture(_path(folder, 'leftImg8bit_sequence', job, f'{base}_leftImg8bit.png'), frame.rgb)
    if job.index != LABELED_FRAME:
        return
    ids = file_ids_from_world(frame)
    train_ids = CITYSCAPES.train_ids_from_file_ids(ids)
    color = CITYSCAPES.palette[train_ids]
    for file_id, shown in _VOID_COLORS.items():
        color[ids == file_id] = shown
    assert frame.right is not None
    images = {
        ('leftImg8bit', 'leftImg8bit'): frame.rgb,
        ('rightImg8bit', 'rightImg8bit'): frame.right,
        ('disparity', 'disparity'): cityscapes_disparity(_disparity_px(frame)),
        ('gtFine', 'gtFine_labelIds'): ids,
        ('gtFine', 'gtFine_labelTrainIds'): train_ids,
        ('gtFine', 'gtFine_instanceIds'): instance_ids(ids, frame.instance),
        ('gtFine', 'gtFine_color'): color,
    }
    for (kind, ending), image in images.items():
        write_picture(_path(folder, kind, job, f'{base}_{ending}.png'), image)
    camera = _path(folder, 'camera', job, f'{base}_camera.json')
    camera.parent.mkdir(parents=True, exist_ok=True)
    camera.write_text(json.dumps(camera_file(frame), indent=4) + '\n', encoding='utf-8')


def _path(folder: Path, kind: str, job: Job, name: str) -> Path:
    city = job.group.partition('_')[0]
    return folder / kind / job.split / city / name


def _disparity_px(frame: WorldFrame) -> Array:
    depth_m = known_depth_m(frame)
    with np.errstate(divide='ignore'):
        disparity_px = frame.baseline_m * frame.camera_matrix[0, 0] / depth_m
    return np.where(depth_m > 0, disparity_px, np.nan)


def finish(folder: Path, plan: ExportPlan, results: Iterator[Written]) -> None:
    """Wait for the last frame: the set has no lists, the folders are the splits."""
    for _ in results:
        pass


def _jobs(plan: ExportPlan) -> list[Job]:
    return [
        Job(
            split=split,
            seed=drive_seed(split, plan.seed, index),
            index=frame,
            group=f'world{split}_{index:06d}',
            number=number,
            views=('rgb', 'right') if frame == LABELED_FRAME else ('rgb',),
            time_s=frame / RATE_HZ,
        )
        for number, (split, index) in enumerate(numbered(plan), start=1)
        for frame in range(LABELED_FRAME - REACH, LABELED_FRAME + REACH + 1)
    ]


_LINES = '\n'.join(f'  * {name} -> {file_id}' for name, file_id in FILE_IDS.items())

LAYOUT = Layout(
    title='Cityscapes',
    splits=('train', 'val', 'test'),
    jobs=_jobs,
    write=write_frame,
    finish=finish,
    notes=f"""\
* Each labeled frame has the two frames before and after it, at {RATE_HZ:g} Hz. `--rate` has no
  effect.
* Disparity is exact, not from a stereo matcher; it ends at {MAX_DEPTH_M:g} m and the sky has
  none. Neither have near surfaces, whose 256 px and more do not fit into the files: in images of
  640 columns those within 1 to 2 m, in wider images farther ones. There are no polygons.
* The world has no classes for road, buildings and plants, so most of a frame is unlabeled (0) and
  does not count. Ids in `labelIds` files, and sky -> {SKY_ID}:
{_LINES}
""",
)
