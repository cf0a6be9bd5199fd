# SPDX-License-Identifier: Apache-2.0
"""What the pipelines of all tasks share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import numpy as np

from kd_perception.backends import Backend
from kd_perception.bundle import Student
from kd_perception.errors import BackendError, ConfigError
from kd_perception.frames import Float32Image
from kd_perception.pipeline.camera_side import CameraSide, Seen
from kd_perception.pipeline.config import CameraConfig
from kd_perception.row_workers import RowWorkers

SomeConfig = TypeVar('SomeConfig', bound=CameraConfig)


class FramePipeline(ABC, Generic[SomeConfig]):
    """A student with its backend, the camera's side and the settings.

    The state (gain window, frozen-frame detection) depends on the order of the frames and their
    header stamps only. Not thread-safe: one frame at a time.

    Args:
        student: A verified bundle.
        backend: Its network.
        config: Camera and user settings.

    Raises:
        ConfigError: The student is of another task.
    """

    task = ''

    def __init__(self, student: Student, backend: Backend, config: SomeConfig) -> None:
        if student.spec.task != self.task:
            raise ConfigError(
                f'the student must be of task {self.task}; {student.spec.name} is of task '
                f'{student.spec.task}: set model.path to another, or start the node of that task'
            )
        self.student = student
        self.backend = backend
        self.config = config
        self._camera = CameraSide(student.spec.input, config)
        self._workers = RowWorkers(backend.threads)

    def check(self, config: SomeConfig) -> None:
        """Check that the student can work with these settings.

        Raises:
            ConfigError: It cannot.
        """

    def configure(self, config: SomeConfig) -> None:
        """Use new settings from the next frame on; the gain restarts when its own change.

        Raises:
            ConfigError: As :meth:`check`; the settings stay as they were.
        """
        self.check(config)
        self._camera.configure(config)
        self.config = config

    def reset(self) -> None:
        """Forget all earlier frames."""
        self._camera.reset()

    def warm_up(self, iterations: int) -> None:
        """Run blank frames, so that the first real one is as quick as the others.

        Raises:
            BackendError: The network cannot run.
        """
        for _ in range(iterations):
            self._run_blank(self._camera.blank())

    def output_size(self, camera_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the results for a camera image.

        Raises:
            ShapeError: The image is so thin that nothing of it would be left.
        """
        return self._camera.output_size(camera_size)

    @abstractmethod
    def _run_blank(self, blank: Seen) -> None:
        """Run a frame whose results nobody wants."""

    def _infer(self, image: Float32Image) -> Float32Image:
        """Run the network.

        Raises:
            BackendError: It failed, or its outputs are not finite.
        """
        return self._finite(self.backend.infer(image))

    def _finite(self, maps: Float32Image) -> Float32Image:
        if not np.isfinite(maps).all():
            raise BackendError(
                f'the network must return finite outputs; {self.backend.name} in '
                f'{self.backend.precision} did not: set precision to fp32'
            )
        return maps
