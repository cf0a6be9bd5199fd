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
from pathlib import Path

import numpy as np

from kd_perception.frames import ByteImage
from kd_perception.preprocessing import Agc, AgcConfig, radiometry_from_preset
from kd_perception.world import WorldFrame
from kd_perception.world_export.layout import Layout, Written, write_lines
from kd_perception.world_export.pictures import Array, write_picture
from kd_perception.world_export.plan import ExportPlan, Job
from kd_perception.world_export.rendering import single_frames

DAY_LUMA = 60.0
"""A frame whose color image has this mean luma (0 to 255) counts as day."""

_LUMA = np.array((0.299, 0.587, 0.114))


def thermal_8bit(thermal: Array) -> ByteImage:
    """Scale a thermal image with the gain control of the robot, as a camera with 8 bits does.

    Args:
        thermal: HxW uint16 in centikelvin.
    """
    agc = Agc(AgcConfig(), radiometry_from_preset('lepton_10mk'))
    gray: ByteImage = np.rint(agc(thermal, 0).gray * 255.0).astype(np.uint8)
    return gray


def is_day(rgb: ByteImage) -> bool:
    """Tell day from night by the mean brightness of the color image."""
    return float(rgb.reshape(-1, 3).mean(axis=0) @ _LUMA) >= DAY_LUMA


def write_frame(folder: Path, job: Job, frame: WorldFrame) -> str:
    """Write the files of a frame; returns its name, which tells day from night."""
    assert frame.rgb is not None and frame.thermal is not None
    stem = f'{job.number:05d}{"D" if is_day(frame.rgb) else "N"}'
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
    names['test_day'] = [stem for stem in names.get('test', []) if stem.endswith('D')]
    names['test_night'] = [stem for stem in names.get('test', []) if stem.endswith('N')]
    for split, stems in names.items():
        if stems:
            write_lines(folder / f'{split}.txt', stems)


def _jobs(plan: ExportPlan) -> list[Job]:
    return single_frames(plan, ('thermal', 'rgb'))


LAYOUT = Layout(
    title='MFNet',
    splits=('train', 'val', 'test', 'shifted'),
    jobs=_jobs,
    write=write_frame,
    finish=finish,
    notes=f"""\
* The fourth channel is the raw image after the robot's own gain control, frame by frame.
  `thermal16/` holds the raw images: degrees Celsius = 0.01 * raw - 273.15.
* D and N follow from the mean luma of the color image: day from {DAY_LUMA:g} of 255. A dark day
  in the rain may come out as N.
* The class ids are those of MFNet; `curve` is its word for the curb.
""",
)
