# SPDX-License-Identifier: Apache-2.0
"""The drive of the demo: a synthetic thermal recording with ground truth, made once.

It has legs of equal length, each in a street and a weather of its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from inspect import getfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from kd_perception import encodings, world
from kd_perception.bags import BagWriter, types, writer
from kd_perception.errors import ConfigError
from kd_perception.world import WorldConfig, drive_frame
from kd_perception.world_export.render_pool import default_workers, in_order
from kd_perception.world_export.rendering import opened_drive

IMAGE_TOPIC = '/thermal/image_raw'
CAMERA_INFO_TOPIC = '/thermal/camera_info'
LABEL_TOPIC = '/thermal/label'
RADIOMETRY_PRESET = 'lepton_10mk'  # the world renders centikelvin
FRAME_ID = 'thermal_optical_frame'

_START_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class DrivePlan:
    """What is to be rendered.

    Attributes:
        seed: Which drive.
        frame_count: Frames.
        rate_hz: Frames per second.
        legs: Camera, street and weather of each part.
    """

    seed: int
    frame_count: int
    rate_hz: float
    legs: tuple[WorldConfig, ...]

    def __post_init__(self) -> None:
        """Check the values."""
        if self.seed < 0 or not 2 <= self.frame_count <= 3600 or not 1 <= self.rate_hz <= 30:
            raise ConfigError(
                'A drive has a seed of at least 0, 2 to 3600 frames and 1 to 30 frames per '
                f'second; got {self.seed}, {self.frame_count} and {self.rate_hz}.'
            )
        if not 1 <= len(self.legs) <= self.frame_count:
            raise ConfigError(
                f'A drive has 1 to {self.frame_count} legs, a frame each at least; '
                f'got {len(self.legs)}.'
            )

    @property
    def leg_frames(self) -> int:
        """Frames of a leg; the last one may be shorter."""
        return -(-self.frame_count // len(self.legs))

    def key(self) -> str:
        """Return a hash of the plan, and of what the code of the recording consists of.

        That is the world, this module, the bag writer with what it encodes by, and the versions
        of the libraries that compile, draw and write; not the interpreter or the processor.
        """
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode())
        sources = [*Path(world.__file__).parent.rglob('*.py'), Path(__file__)]
        sources += [Path(getfile(module)) for module in (writer, types, encodings)]
        for source in sorted(sources):
            digest.update(source.read_bytes())
        libraries = [np.__version__, cv2.__version__, version('numba'), version('rosbags')]
        digest.update(repr(libraries).encode())
        return digest.hexdigest()


def make_drive(plan: DrivePlan, path: Path, *, fresh: bool = False, progress: bool = True) -> bool:
    """Write the recording, unless the very same is already there.

    Args:
        plan: What to render.
        path: Bag to make.
        fresh: Render in any case.
        progress: Show a progress bar on standard error.

    Returns:
        Whether it was rendered; False if it was already there.

    Raises:
        BagError: If the bag cannot be written, or another kind of folder is at its path.
    """
    key_file = path.with_name(f'{path.name}.sha256')
    key = plan.key()
    if not fresh and path.is_dir() and key_file.is_file() and key_file.read_text() == key:
        return False
    key_file.unlink(missing_ok=True)
    indices = range(plan.frame_count)
    rendered = in_order(partial(_render, plan), indices, workers=default_workers(len(indices)))
    with BagWriter(path, overwrite=True) as bag, rendered as frames:
        for index, frame in enumerate(
            tqdm(frames, 'drive', plan.frame_count, unit='frame', disable=not progress)
        ):
            _write_frame(bag, frame, _START_NS + round(index * 1e9 / plan.rate_hz))
    key_file.write_text(key)
    return True


def _write_frame(bag: BagWriter, frame: tuple[Any, Any, Any], stamp_ns: int) -> None:
    thermal, label, camera_matrix = frame
    bag.write_image(IMAGE_TOPIC, thermal, stamp_ns=stamp_ns, frame_id=FRAME_ID)
    bag.write_camera_info(
        CAMERA_INFO_TOPIC,
        stamp_ns=stamp_ns,
        image_size=thermal.shape,
        camera_matrix=camera_matrix.ravel(),
        frame_id=FRAME_ID,
    )
    bag.write_image(LABEL_TOPIC, label, stamp_ns=stamp_ns, frame_id=FRAME_ID)


def _render(plan: DrivePlan, index: int) -> tuple[Any, Any, Any]:
    """Render one frame; each follows from the plan and the index alone."""
    leg, frame = divmod(index, plan.leg_frames)
    drive = opened_drive(plan.legs[leg], plan.seed + leg)
    rendered = drive_frame(drive, frame / plan.rate_hz, ('thermal',))
    return rendered.thermal, rendered.label, rendered.camera_matrix
