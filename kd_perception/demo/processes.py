# SPDX-License-Identifier: Apache-2.0
"""Processes of the demo, gone at the end in any case."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from kd_perception.errors import KdPerceptionError

_STOP_S = 10.0
_LOG_LINES = 15


class ProcessError(KdPerceptionError):
    """A process of the demo failed or did not do its work in time."""


class Process:
    """One Python module in its own process, with its output in a file.

    Attributes:
        name: For messages.
        log: File with its output.
    """

    def __init__(self, name: str, arguments: list[str], log: Path, *, bar: bool = False) -> None:
        """Start it.

        Args:
            name: For messages.
            arguments: `-m module ...` for the interpreter in use.
            log: File for its output.
            bar: Leave standard error to the terminal, for a progress bar.
        """
        self.name = name
        self.log = log
        with log.open('wb') as file:
            # A session of its own: Ctrl-C reaches us, and we end the others in order.
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=None if bar else subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> None:
        """Wait for its end.

        Raises:
            ProcessError: If it fails or takes longer.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise self.failure(f'did not end within {timeout_s:.0f} s') from None
        if code != 0:
            raise self.failure(f'failed with exit code {code}')

    def failure(self, what: str) -> ProcessError:
        """Return an error with the last lines of its output."""
        lines = self.log.read_text(errors='replace').splitlines()[-_LOG_LINES:]
        tail = '\n'.join(f'  | {line}' for line in lines)
        return ProcessError(f'The {self.name} {what}. The end of {self.log}:\n{tail}')

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C would."""
        if self.is_running:
            self._process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """End it in any case, with everything that it started."""
        self.interrupt()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_STOP_S)


class Processes:
    """All processes of one demo; those that still run are ended when the context is left."""

    def __init__(self) -> None:
        """Begin without processes."""
        self._started: list[Process] = []

    def __enter__(self) -> Processes:
        """Do nothing."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End what still runs; a second Ctrl-C does not stop that."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for process in self._started:
                process.interrupt()
            for process in reversed(self._started):
                process.end()
        finally:
            signal.signal(signal.SIGINT, before)

    def start(self, name: str, arguments: list[str], log: Path, *, bar: bool = False) -> Process:
        """Start a process; see `Process`."""
        process = Process(name, arguments, log, bar=bar)
        self._started.append(process)
        return process
