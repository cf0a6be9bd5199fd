# SPDX-License-Identifier: Apache-2.0
"""The drive of the demo: a synthetic thermal recording with ground truth, made once."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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
from kd_perception.machine import usable_cores
from kd_perception.world import WorldConfig
from kd_perception.world.drive import Drive
from kd_perception.world.render import drive_frame

IMAGE_TOPIC = '/thermal/image_raw'
CAMERA_INFO_TOPIC = '/thermal/camera_info'
LABEL_TOPIC = '/thermal/label'
RADIOMETRY_PRESET = 'lepton_10mk'  # the world renders centikelvin
FRAME_ID = 'thermal_optical_frame'

_START_NS = 1_700_000_000_000_000_000
_MAX_WORKERS = 8


@dataclass(frozen=True)
class DrivePlan:
    """What is to be rendered.

    Attributes:
        seed: Which drive.
        frame_count: Frames.
        rate_hz: Frames per second.
        world: Camera and street.
    """

    seed: int
    frame_count: int
    rate_hz: float
    world: WorldConfig

    def __post_init__(self) -> None:
        """Check the values."""
        if self.seed < 0 or not 2 <= self.frame_count <= 3600 or not 1 <= self.rate_hz <= 30:
            raise ConfigError(
                'A drive has a seed of at least 0, 2 to 3600 frames and 1 to 30 frames per '
                f'second; got {self.seed}, {self.frame_count} and {self.rate_hz}.'
            )

    def key(self) -> str:
        """Return a hash of the plan, and of what the code of the recording consists of.

        That is the world, this module, the bag writer with what it encodes by, and the versions
        of the libraries that draw and write; not the interpreter or the processor.
        """
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode())
        sources = [*Path(world.__file__).parent.glob('*.py'), Path(__file__)]
        sources += [Path(getfile(module)) for module in (writer, types, encodings)]
        for source in sorted(sources):
            digest.update(source.read_bytes())
        digest.update(repr([np.__version__, cv2.__version__, version('rosbags')]).encode())
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
    with BagWriter(path, overwrite=True) as bag, _rendered(plan) as frames:
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


@contextmanager
def _rendered(plan: DrivePlan) -> Iterator[Iterator[tuple[Any, Any, Any]]]:
    """Render in several processes, in order; they are gone at the end, whatever happens."""
    workers = min(usable_cores(), _MAX_WORKERS, plan.frame_count)
    context = multiprocessing.get_context('spawn')  # a forked copy of threads may hang
    with context.Pool(workers, _start_worker, (plan,)) as pool:
        yield pool.imap(_render, range(plan.frame_count))


_worker: tuple[DrivePlan, Drive]


def _start_worker(plan: DrivePlan) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    cv2.setNumThreads(1)  # there are as many workers as cores
    _worker = (plan, Drive(plan.world, plan.seed))


def _render(index: int) -> tuple[Any, Any, Any]:
    """Render one frame; each follows from the drive and the time alone."""
    plan, drive = _worker
    frame = drive_frame(drive, index / plan.rate_hz)
    return frame.thermal, frame.label, frame.camera_matrix
