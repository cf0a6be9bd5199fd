# SPDX-License-Identifier: Apache-2.0
"""What a run shows while it learns; the only module that knows TensorBoard.

tensorboard --logdir runs
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from kd_perception.errors import ShapeError

_MEMORY = 50
"""Steps that the means beside the bar look back."""


class Tracker:
    """Progress bar with running means, and TensorBoard files of scalars and pictures.

    Args:
        folder: of the TensorBoard files; what is there beyond `step` is hidden: it was written
            after the checkpoint that the run goes on from.
        step: finished steps, from which the run goes on.
        steps: of the whole run.
        title: of the progress bar.
        active: False in all processes but the first, which then say and write nothing.
    """

    def __init__(
        self, folder: Path, *, step: int, steps: int, title: str = '', active: bool = True
    ) -> None:
        self._bar = tqdm(
            total=steps, initial=step, desc=title or None, unit='step', disable=not active
        )
        self._writer = SummaryWriter(str(folder), purge_step=step + 1) if active else None
        self._step = step
        self._seen = 0
        self._means: dict[str, float] = {}
        self._unwritten: dict[str, list[float]] = {}

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._writer:
            self._writer.close()

    def advance(self, terms: Mapping[str, float]) -> None:
        """A step is finished.

        Args:
            terms: of its loss, by name.
        """
        self._step += 1
        self._seen += 1
        share = 1.0 / min(self._seen, _MEMORY)
        for name, value in terms.items():
            before = self._means.get(name, value)
            self._means[name] = before + share * (value - before)
            self._unwritten.setdefault(name, []).append(value)
        shown = {name: f'{mean:.3g}' for name, mean in self._means.items()}
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def write_scalars(self, **others: float) -> None:
        """Write each term's mean over the steps since the last call as `loss/<term>`.

        Args:
            others: scalars by name, written as they are.
        """
        means = {f'loss/{name}': fmean(values) for name, values in self._unwritten.items()}
        self._unwritten = {}
        if self._writer:
            for name, value in {**means, **others}.items():
                self._writer.add_scalar(name, value, self._step)

    def write_pictures(self, pictures: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write pictures by name.

        Raises:
            ShapeError: one is not uint8 [height, width, 3].
        """
        for name, picture in pictures.items():
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise ShapeError(
                    f'picture {name} must be uint8 [height, width, 3], received '
                    f'{picture.dtype} {list(picture.shape)}'
                )
            if self._writer:
                self._writer.add_image(name, picture, self._step, dataformats='HWC')
        if self._writer:
            self._writer.flush()
