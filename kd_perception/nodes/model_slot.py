# SPDX-License-Identifier: Apache-2.0
"""The model in use: loaded and warmed up before it serves, exchanged between two frames."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kd_perception.backends import Backend
from kd_perception.bundle import Student
from kd_perception.errors import ConfigError
from kd_perception.frames import ByteImage
from kd_perception.parameters.spec import ParameterValue
from kd_perception.pipeline import CameraConfig
from kd_perception.tasks import SEGMENTATION, Task, load_pipeline


@dataclass(frozen=True)
class Engine:
    """A student, the backend that runs it and the pipeline around both.

    Attributes:
        student: The loaded bundle.
        backend: Where it runs.
        pipeline: Of the task: preprocessing, inference and postprocessing, with their state.
        palette: Colors of the mask values, 256x3 uint8 RGB.
    """

    student: Student
    backend: Backend
    pipeline: Any
    palette: ByteImage


def load_engine(values: Mapping[str, ParameterValue], task: Task[Any] = SEGMENTATION) -> Engine:
    """Load, check and warm up the student that the parameters name.

    Args:
        values: Parameters of the task's node.
        task: What the student is for.

    Raises:
        KdPerceptionError: The parameters contradict one another, the bundle or the backend cannot
            be used, or the student is of another task.
    """
    pipeline = load_pipeline(task, values)
    return Engine(pipeline.student, pipeline.backend, pipeline, pipeline.student.palette)


class _Seat:
    """An engine in the slot, how many frames use it, and the configuration it has."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.users = 0
        self.retired = False
        self.config = engine.pipeline.config


class ModelSlot:
    """Holds the engine in use; nobody waits for anybody.

    A frame leases the engine for its whole length, so no frame mixes two models. An engine that
    was exchanged is closed when its last frame ends. New settings and resets take effect when the
    next frame starts, in the thread that works on frames.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seat: _Seat | None = None
        self._config: CameraConfig | None = None
        self._reset_requested = False

    @property
    def engine(self) -> Engine | None:
        """The engine that the next frame will use."""
        seat = self._seat
        return seat.engine if seat else None

    def install(self, engine: Engine) -> None:
        """Put an engine in use from the next frame on, and retire the one before."""
        with self._lock:
            before, self._seat = self._seat, _Seat(engine)
            if before is None:
                self._config = engine.pipeline.config
        self._retire(before)

    def replace(self, before: Engine, engine: Engine) -> bool:
        """Install an engine if the one in use is still ``before``; else close the new one.

        Returns:
            Whether it was installed.

        Raises:
            ConfigError: The settings in use changed meanwhile, and it cannot work with them.
        """
        replaced, retired = False, _Seat(engine)
        try:
            with self._lock:
                current = self._seat
                if current is not None and current.engine is before:
                    if self._config is not None:
                        engine.pipeline.check(self._config)
                    self._seat, retired, replaced = _Seat(engine), current, True
        finally:
            self._retire(retired)
        return replaced

    def clear(self) -> None:
        """Take the engine out of use and forget the settings."""
        with self._lock:
            before, self._seat = self._seat, None
            self._config, self._reset_requested = None, False
        self._retire(before)

    def configure(self, config: CameraConfig) -> None:
        """Use other settings from the next frame on.

        Raises:
            ConfigError: The student in use cannot work with them; they stay as they were.
        """
        with self._lock:
            if self._seat is not None:
                self._seat.engine.pipeline.check(config)
            self._config = config

    def request_reset(self) -> None:
        """Forget gain control and freeze detection before the next frame."""
        with self._lock:
            self._reset_requested = True

    @contextmanager
    def lease(self) -> Iterator[Engine]:
        """Use the engine for one frame, with the newest settings.

        Raises:
            ConfigError: There is no engine.
        """
        with self._lock:
            seat, config = self._seat, self._config
            if seat is None:
                raise ConfigError('A model must be loaded before frames are: configure the node.')
            seat.users += 1
            reset, self._reset_requested = self._reset_requested, False
        try:
            if config is not None and config != seat.config:
                seat.engine.pipeline.configure(config)
                seat.config = config
            if reset:
                seat.engine.pipeline.reset()
            yield seat.engine
        finally:
            self._leave(seat)

    def _leave(self, seat: _Seat) -> None:
        with self._lock:
            seat.users -= 1
            closes = seat.retired and seat.users == 0
        if closes:
            seat.engine.backend.close()

    def _retire(self, seat: _Seat | None) -> None:
        if seat is None:
            return
        with self._lock:
            seat.retired = True
            closes = seat.users == 0
        if closes:
            seat.engine.backend.close()
