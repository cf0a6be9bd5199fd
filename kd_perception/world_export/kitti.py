# SPDX-License-Identifier: Apache-2.0
"""The layout of KITTI raw drives, with the images of the depth benchmark.

    <date>/calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt
    <date>/<date>_drive_<NNNN>_sync/
        image_02/data/%010d.png, image_03/data/%010d.png       left and right color camera
        velodyne_points/data/%010d.bin                         float32 x, y, z, reflectance
        oxts/data/%010d.txt                                    true pose
        proj_depth/{groundtruth,velodyne_raw}/image_02/%010d.png    uint16, meters = value / 256
        .../timestamps.txt beside each data folder
    splits/{train,val,test}_files.txt      lines `<date>/<drive> <frame> l`, as monodepth2 has them

A calibration belongs to a date, and each drive has a lens of its own: so each has its own date.

Reference:
    A. Geiger et al., "Vision meets Robotics: The KITTI Dataset", IJRR 2013; J. Uhrig et al.,
    "Sparsity Invariant CNNs", 3DV 2017 (depth benchmark).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path

import numpy as np

from kd_perception.world import WorldFrame
from kd_perception.world_export.kitti_calibration import (
    CameraState,
    camera_state,
    velodyne_points,
    write_calibration,
    write_oxts,
)
from kd_perception.world_export.layout import Layout, Written, write_lines
from kd_perception.world_export.pictures import scaled_uint16, write_picture
from kd_perception.world_export.plan import MAX_DEPTH_M, ExportPlan, Job
from kd_perception.world_export.rendering import drive_seed, known_depth_m

DRIVE_FRAMES = 27
"""Frames of a drive at most. The first and the last one are in no list: they lack a neighbor."""

_FIRST_DATE = date(2000, 1, 1)  # far from the dates of the real drives
_COUNTS_PER_M = 256.0
_TIMED = ('image_02', 'image_03', 'velodyne_points', 'oxts')


def write_frame(folder: Path, job: Job, frame: WorldFrame) -> CameraState:
    """Write the images and the lidar scan of a frame; returns what the drive's files need."""
    assert frame.rgb is not None and frame.right is not None and frame.lidar_m is not None
    drive, name = folder / job.group, f'{job.index:010d}'
    write_picture(drive / 'image_02' / 'data' / f'{name}.png', frame.rgb)
    write_picture(drive / 'image_03' / 'data' / f'{name}.png', frame.right)
    for kind, depth_m in (('groundtruth', known_depth_m(frame)), ('velodyne_raw', frame.lidar_m)):
        path = drive / 'proj_depth' / kind / 'image_02' / f'{name}.png'
        write_picture(path, scaled_uint16(depth_m, _COUNTS_PER_M))
    scan = drive / 'velodyne_points' / 'data' / f'{name}.bin'
    scan.parent.mkdir(parents=True, exist_ok=True)
    scan.write_bytes(velodyne_points(frame.lidar_m, frame.camera_matrix).astype('<f4').tobytes())
    return camera_state(frame)


def finish(folder: Path, plan: ExportPlan, results: Iterator[Written]) -> None:
    """Write calibration, poses and times of each drive, and the split lists."""
    lists: dict[str, list[str]] = {split: [] for split in plan.splits}
    for (split, group), frames in groupby(results, lambda item: (item[0].split, item[0].group)):
        states = [state for _, state in frames]
        write_calibration((folder / group).parent, states[0])
        write_oxts(folder / group / 'oxts' / 'data', states, plan.rate_hz)
        _write_timestamps(folder / group, len(states), plan.rate_hz)
        lists[split] += [f'{group} {index} l' for index in range(1, len(states) - 1)]
    for split, lines in lists.items():
        write_lines(folder / 'splits' / f'{split}_files.txt', lines)


def _write_timestamps(drive: Path, count: int, rate_hz: float) -> None:
    start = datetime.strptime(drive.name[:10], '%Y_%m_%d') + timedelta(hours=12)
    times = [start + timedelta(seconds=index / rate_hz) for index in range(count)]
    lines = [f'{time:%Y-%m-%d %H:%M:%S.%f}000' for time in times]
    for sensor in _TIMED:
        write_lines(drive / sensor / 'timestamps.txt', lines)


def drive_lengths(listed: int) -> list[int]:
    """Return the frames of each drive, so that together they have that many with neighbors."""
    inner = DRIVE_FRAMES - 2
    drives = -(-listed // inner)
    return [len(part) + 2 for part in np.array_split(np.arange(listed), drives)]


def _jobs(plan: ExportPlan) -> list[Job]:
    drives = [
        (split, number, length)
        for split, listed in plan.splits.items()
        for number, length in enumerate(drive_lengths(listed))
    ]
    jobs: list[Job] = []
    for day, (split, number, length) in enumerate(drives):
        seed = drive_seed(split, plan.seed, number)
        group = _group(day)
        for index in range(length):
            time_s = index / plan.rate_hz
            jobs.append(
                Job(split, seed, index, group, len(jobs) + 1, ('rgb', 'right', 'lidar'), time_s)
            )
    return jobs


def _group(day: int) -> str:
    name = f'{_FIRST_DATE + timedelta(days=day):%Y_%m_%d}'
    return f'{name}/{name}_drive_{day + 1:04d}_sync'


LAYOUT = Layout(
    title='KITTI raw',
    splits=('train', 'val', 'test', 'shifted'),
    jobs=_jobs,
    write=write_frame,
    finish=finish,
    notes=f"""\
* A split is made of drives of at most {DRIVE_FRAMES} frames, each in another street, with
  another lens, and therefore on a date of its own. Counts are of frames with both neighbors:
  those that the lists in `splits/` name. The first and last frame of each drive come on top.
* The lidar has about 4 % of the pixels and sees what the left camera sees only; its reflectance
  is a constant. `proj_depth/groundtruth` is dense and exact, and ends at {MAX_DEPTH_M:g} m.
* The poses in `oxts/` are exact; there are no accelerations and turn rates. There are no grey
  cameras 0 and 1, and no depth images for the right camera.
* Cars and persons move, so the true pose does not explain them.
""",
)
