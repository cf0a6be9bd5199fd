# SPDX-License-Identifier: Apache-2.0
"""Latency of a frame in process, beside the usual ways: `kd-perception bench` from a checkout.

python -m benchmarks.latency --rounds 50 --json results/latency/students.jsonl
"""

from __future__ import annotations

import sys

from kd_perception.cli import main

if __name__ == '__main__':
    sys.exit(main(['bench', *sys.argv[1:]]))
