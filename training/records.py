# SPDX-License-Identifier: Apache-2.0
"""Records of runs: one JSON per run, and a summary over the seeds of a configuration."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from kd_perception.files import write_atomically

SCHEMA = 1


class RunPaths:
    """Where a run of a name and a seed keeps its checkpoints and its record.

    Attributes:
        name: of the configuration.
        seed: of the run.
        output: folder of checkpoints.
        results: folder of records.
    """

    name: str
    seed: int
    output: Path
    results: Path

    @property
    def folder(self) -> Path:
        """Where the checkpoints of this run are."""
        return self.output / self.name / f'seed{self.seed}'

    @property
    def record_name(self) -> str:
        """Of the record of this run."""
        return self.name

    @property
    def record_path(self) -> Path:
        """Where the record of this run is."""
        return self.results / f'{self.record_name}_seed{self.seed}.json'


def versions() -> dict[str, str]:
    """What the numbers of a run may depend on."""
    return {
        'python': platform.python_version(),
        'torch': str(torch.__version__),
        'numpy': np.__version__,
        'opencv': cv2.__version__,
    }


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record atomically, keys in the given order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {'schema': SCHEMA, **record}
    text = json.dumps(document, indent=2, ensure_ascii=False) + '\n'
    write_atomically(path, lambda file: file.write(text.encode()))


def read_record(path: Path) -> dict[str, Any]:
    """Read a record."""
    record: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    return record


def mean_and_spread(values: Sequence[Any]) -> Any:
    """Mean and sample standard deviation, number by number, over equally built records.

    Numbers become `{'mean', 'std', 'values'}` (std None for one value); a number that is missing
    in some records is left out of them; anything but numbers and dicts is dropped.
    """
    if all(isinstance(value, dict) for value in values):
        keys = dict.fromkeys(key for value in values for key in value)
        parts = {key: mean_and_spread([v[key] for v in values if key in v]) for key in keys}
        return {key: part for key, part in parts.items() if part is not None}
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if not numbers:
        return None
    deviation = round(float(np.std(numbers, ddof=1)), 5) if len(numbers) > 1 else None
    return {'mean': round(float(np.mean(numbers)), 5), 'std': deviation, 'values': numbers}
