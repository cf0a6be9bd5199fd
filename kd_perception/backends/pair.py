# SPDX-License-Identifier: Apache-2.0
"""The networks of two students that see the same image."""

from __future__ import annotations

from kd_perception.backends.protocol import Backend
from kd_perception.frames import Float32Image


class StudentPair:
    """A backend for a student, and one for the second student in its bundle.

    To all who want one network it is the first; the second runs where it is asked for.

    Args:
        first: Of the student.
        second: Of its second student.
    """

    def __init__(self, first: Backend, second: Backend) -> None:
        self.name, self.device = first.name, first.device
        self.precision, self.threads = first.precision, first.threads
        self._first, self._second = first, second

    def infer(self, image: Float32Image) -> Float32Image:
        """Run the first network; see :meth:`kd_perception.backends.Backend.infer`."""
        return self._first.infer(image)

    def infer_second(self, image: Float32Image) -> Float32Image:
        """Run the second network on such an image.

        Raises:
            BackendError: The run failed.
        """
        return self._second.infer(image)

    def close(self) -> None:
        """Release both networks."""
        self._first.close()
        self._second.close()
