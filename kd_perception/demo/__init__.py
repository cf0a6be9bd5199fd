# SPDX-License-Identifier: Apache-2.0
"""The whole product once: a drive, the live node in its own process, a recording, a report."""

from kd_perception.demo.show import DemoConfig, show

__all__ = ['DemoConfig', 'show']
