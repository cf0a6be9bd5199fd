# SPDX-License-Identifier: Apache-2.0
"""A node under test in its own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAMESPACE = '/thermal'
NODE = f'{NAMESPACE}/thermal_seg'
TIMEOUT_S = 30.0


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
    """Return the first true value of a condition; fail with a sentence when there is none."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f'{what} did not happen within {timeout_s:g} s')


class LiveNode:
    """The node's process."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        parameters: Mapping[str, Any],
        *,
        command: tuple[str, ...] = ('-m', 'kd_perception.nodes.thermal_seg_node'),
        remappings: Mapping[str, str] | None = None,
    ) -> None:
        arguments = ['--ros-args', '-r', f'__ns:={NAMESPACE}']
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else value
            arguments += ['-p', f'{name}:={text}' if text != '' else f"{name}:=''"]
        for old, new in (remappings or {}).items():
            arguments += ['-r', f'{old}:={new}']
        self.log = log
        self.ended = False
        with log.open('wb') as stream:
            self.process = subprocess.Popen(
                [sys.executable, *command, *arguments],
                env=dict(environment),
                cwd=Path(__file__).resolve().parents[2],
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors='replace')

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def says(self, text: str, timeout_s: float = TIMEOUT_S) -> None:
        wait_until(lambda: text in self.output, f'{text!r} in the log', timeout_s)

    def end(self, signum: int = signal.SIGINT) -> int:
        """Ask the process to end; return its exit code."""
        self.ended = True
        if self.alive:
            self.process.send_signal(signum)
        try:
            return self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def kill(self) -> None:
        if self.alive:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
