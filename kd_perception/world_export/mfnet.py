# SPDX-License-Identifier: Apache-2.0
"""The layout of the MFNet set.

    images/NNNNN{D|N}.png     RGBA: color, and the thermal image of 8 bits as fourth channel
    labels/NNNNN{D|N}.png     class ids 0 to 8
    thermal16/NNNNN{D|N}.png  the same thermal image in centikelvin, 16 bits (not in the real set)
    train.txt, val.txt, test.txt, test_day.txt, test_night.txt

Reference:
    Q. Ha et al., "MFNet: Towards Real-Time Semantic Segmentation for Autonomous Vehicles with
    Multi-Spectral Scenes", IROS 2017; lists by day and night as in the files of RTFNet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from kd_perception.frames import ByteImage
from kd_perception.preprocessing import Agc, AgcConfig, radiometry_from_preset
from kd_perception.world import WorldFrame
from kd_perception.world_export.layout import Layout, Written, write_lines
from kd_perception.world_export.pictures import Array, write_picture
from kd_perception.world_export.plan import ExportPlan, Job
from kd_perception.world_export.rendering import is_night, single_frames

_DAY, _NIGHT = 'D', 'N'


def thermal_8bit(thermal: Array) -> ByteImage:
    """Scale a thermal image with the gain control of the robot, as a camera with 8 bits does.

    Args:
        thermal: HxW uint16 in centikelvin.
    """
    agc = Agc(AgcConfig(), radiometry_from_preset('lepton_10mk'))
    gray: ByteImage = np.rint(agc(thermal, 0).gray * 255.0).astype(np.uint8)
    return gray


def write_frame(folder: Path, job: Job, frame: WorldFrame) -> str:
    """Write the files of a frame; the job's group is D or N. Returns the name of the frame."""
    assert frame.rgb is not None and frame.thermal is not None
    stem = f'{job.number:05d}{job.group}'
    image = np.dstack([frame.rgb, thermal_8bit(frame.thermal)])
    write_picture(folder / 'images' / f'{stem}.png', image)
    write_picture(folder / 'labels' / f'{stem}.png', frame.label)
    write_picture(folder / 'thermal16' / f'{stem}.png', frame.thermal)
    return stem


def finish(folder: Path, plan: ExportPlan, results: Iterator[Written]) -> None:
    """Write the split lists."""
    names: dict[str, list[str]] = {split: [] for split in plan.splits}
    for job, stem in results:
        names[job.split].append(stem)
    names['test_day'] = [stem for stem in names.get('test', []) if stem.endswith(_DAY)]
    names['test_night'] = [stem for stem in names.get('test', []) if stem.endswith(_NIGHT)]
    for split, stems in names.items():
        if stems:
            write_lines(folder / f'{split}.txt', stems)


def _jobs(plan: ExportPlan) -> list[Job]:
    jobs = single_frames(plan, ('thermal', 'rgb'))
    configs = {split: plan.world_config(split) for split in plan.splits}
    return [
        replace(job, group=_NIGHT if is_night(configs[job.split], job) else _DAY) for job in jobs
    ]


LAYOUT = Layout(
    title='MFNet',
    splits=('train', 'val', 'test', 'shifted'),
    jobs=_jobs,
    write=write_frame,
    finish=finish,
    notes="""\
* The fourth channel is the raw image after the robot's own gain control, frame by frame.
  `thermal16/` holds the raw images: degrees Celsius = 0.01 * raw - 273.15.
* D and N are those of the world: by day there is a sun, behind clouds or fog at times.
* The class ids are those of MFNet; `curve` is its word for the curb.
""",
)
