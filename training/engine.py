# SPDX-License-Identifier: Apache-2.0
"""The training loop that the recipes share, on one process or several.

A recipe says what a sample is (`draw`), what is minimized (`losses`) and what it looks like
(`pictures`); the loop does the rest. It goes on from its latest checkpoint with the same bits:
everything that is random follows from the seed and the step.

    fabric = launch(config.launch)
    run = build(config)
    restore(run, config.folder, config.fingerprint())
    fit(run, fabric=fabric, loop=config.loop, optimizer_config=config.optimizer, draw=..., ...)
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from kd_perception.errors import ConfigError
from training.averaging import update_average
from training.batches import Draw, batches, moved
from training.distributed import copy_from_first, share_of, synchronized
from training.optimization import (
    OptimizerConfig,
    create_optimizer,
    learning_rate,
    set_learning_rate,
)
from training.runs import NotFiniteError, Run, check_weights, restore, save
from training.tensor_checks import check_shape
from training.tracking import Tracker

__all__ = ['LoopConfig', 'Losses', 'NotFiniteError', 'Run', 'fit', 'new_run', 'restore']

Losses = Callable[[nn.Module, tuple[Tensor, ...]], Mapping[str, Tensor]]
Pictures = Callable[[nn.Module], Mapping[str, npt.NDArray[np.uint8]]]


@dataclass(frozen=True)
class LoopConfig:
    """How long a run learns, and how often it writes.

    Args:
        steps: optimizer steps of the whole run, >= 1.
        batch_size: samples per step of all processes together, >= 1.
        checkpoint_steps: between checkpoints, >= 1.
        average_decay: of the moving average of the weights, 0 to below 1; 0 keeps none.
        log_steps: between scalars for TensorBoard, >= 1.
        picture_steps: between pictures for TensorBoard, >= 1.

    Raises:
        ConfigError: a value is out of range.
    """

    steps: int = 4800
    batch_size: int = 8
    checkpoint_steps: int = 200
    average_decay: float = 0.995
    log_steps: int = 20
    picture_steps: int = 400

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ('steps', 'batch_size', 'checkpoint_steps', 'log_steps', 'picture_steps'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} must be >= 1, got {getattr(self, name)}')
        if not 0.0 <= self.average_decay < 1.0:
            raise ConfigError(f'average_decay must be 0 to below 1, got {self.average_decay}')


def new_run(network: nn.Module, loop: LoopConfig, optimizer_config: OptimizerConfig) -> Run:
    """A run at its first step, with an average where the loop keeps one.

    Args:
        network: newly built.
        loop: of the run.
        optimizer_config: of all parameters of the network.
    """
    average = copy.deepcopy(network).eval() if loop.average_decay else None
    return Run(network.train(), average, create_optimizer(network.parameters(), optimizer_config))


def fit(
    run: Run,
    *,
    fabric: Fabric,
    loop: LoopConfig,
    optimizer_config: OptimizerConfig,
    draw: Draw,
    losses: Losses,
    folder: Path,
    fingerprint: str,
    pictures: Pictures | None = None,
    scalars: Callable[[], Mapping[str, float]] | None = None,
    seed: int = 0,
    workers: int = 0,
    title: str = '',
) -> None:
    """Train to the last step, with checkpoints.

    Args:
        run: changed in place; afterwards on the device of `fabric`, its batch normalization
            synchronized where there are several processes. The average is left as it is built.
        fabric: from `launch`.
        loop: how long and how often.
        optimizer_config: that made the optimizer of the run; its schedule is followed here.
        draw: `draw(step, index)` gives a sample, a tuple of arrays or tensors of one shape each,
            as a pure function of its arguments; index counts through the batch of all processes.
        losses: `losses(network, batch)` gives scalars by name, the same names in all processes;
            their sum is minimized. `batch` is what `draw` gives, stacked, on the device; `network`
            is that of the run, under autocast and gradient averaging: call it, not its parts.
        folder: of checkpoints, and of `tensorboard/`.
        fingerprint: of the configuration.
        pictures: `pictures(network)` gives uint8 [height, width, 3] by name, from the average
            where there is one, in evaluation mode and without gradients; first process only.
        scalars: `scalars()` gives numbers by name that are written beside the losses; first
            process only.
        seed: of what the network draws itself, such as dropout, >= 0.
        workers: processes that draw samples ahead, for each training process.
        title: of the progress bar.

    Raises:
        ConfigError: average and decay contradict each other, the batch cannot be shared equally,
            or the processes stand at different steps.
        NotFiniteError: the run has diverged; its last checkpoint is left alone.
    """
    share = share_of(loop.batch_size, fabric)
    network, optimizer = _set_up(run, fabric, loop)
    drawn = batches(draw, range(run.step, loop.steps), share, workers=workers)
    first = fabric.is_global_zero
    with Tracker(
        folder / 'tensorboard', step=run.step, steps=loop.steps, title=title, active=first
    ) as tracker:
        while run.step < loop.steps:
            start = time.monotonic()
            torch.manual_seed(_step_seed(seed, run.step, fabric.global_rank))
            rate = learning_rate(optimizer_config, run.step, loop.steps)
            set_learning_rate(run.optimizer, rate)
            batch = moved(next(drawn), fabric.device)
            values = _descend(optimizer, losses(network, batch), run.step, fabric, folder)
            _update_average(run, loop)
            run.step += 1
            run.seconds += time.monotonic() - start
            tracker.advance(values)
            if run.step % loop.log_steps == 0:
                others = scalars() if scalars and first else {}
                tracker.write_scalars(learning_rate=rate, **others)
            if pictures and first and run.step % loop.picture_steps == 0:
                tracker.write_pictures(_seen_by(pictures, run))
            if run.step % loop.checkpoint_steps == 0 or run.step == loop.steps:
                _save(run, folder, fingerprint, fabric)


def _set_up(run: Run, fabric: Fabric, loop: LoopConfig) -> tuple[nn.Module, Any]:
    """The network and the optimizer as Fabric wraps them; all processes start from the same."""
    if (run.average is None) != (loop.average_decay == 0.0):
        has = 'none' if run.average is None else 'one'
        raise ConfigError(
            'a run must have an average exactly where average_decay is above 0, got '
            f'{loop.average_decay} and {has}: set run.average to a copy of the network or to None'
        )
    step, run.seconds, run.notes = fabric.broadcast((run.step, run.seconds, run.notes))
    if step != run.step:
        raise ConfigError(
            f'all processes must go on from one checkpoint, the first is at step {step}, process '
            f'{fabric.global_rank} at {run.step}: let all of them see the folder of the run'
        )
    run.network = synchronized(run.network, fabric)
    network, optimizer = fabric.setup(run.network, run.optimizer)
    run.optimizer.load_state_dict(run.optimizer.state_dict())  # to the device of the weights
    if run.average is not None:
        run.average.to(fabric.device)
        copy_from_first(run.average, fabric)
    return network, optimizer


def _step_seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _mean_values(terms: Mapping[str, Tensor], fabric: Fabric) -> dict[str, float]:
    """Each term as a number, the mean over the processes."""
    for name, term in terms.items():
        check_shape(f'loss term {name}', term, ())
    values = torch.stack([term.detach().float() for term in terms.values()])
    means: Any = fabric.all_reduce(values, reduce_op='mean')
    return dict(zip(terms, means.tolist(), strict=True))


def _check_finite(values: Mapping[str, float], step: int, folder: Path) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise NotFiniteError(
                f'every loss term must be finite, {name} was {value} in step {step}: lower '
                f'learning_rate, or look at what is drawn in this step; the last checkpoint in '
                f'{folder} is kept'
            )


def _descend(
    optimizer: Any, terms: Mapping[str, Tensor], step: int, fabric: Fabric, folder: Path
) -> dict[str, float]:
    """One optimizer step; returns the loss terms as numbers."""
    values = _mean_values(terms, fabric)
    _check_finite(values, step, folder)
    optimizer.zero_grad()
    fabric.backward(reduce(torch.add, terms.values()))
    optimizer.step()
    return values


def _update_average(run: Run, loop: LoopConfig) -> None:
    if run.average is not None:
        update_average(run.average, run.network, step=run.step, decay=loop.average_decay)


def _save(run: Run, folder: Path, fingerprint: str, fabric: Fabric) -> None:
    """The first process writes; the others wait for it and take over its plain values."""
    check_weights(run)
    if fabric.is_global_zero:
        save(run, folder, fingerprint)
    run.seconds, run.notes = fabric.broadcast((run.seconds, run.notes))


def _seen_by(pictures: Pictures, run: Run) -> Mapping[str, npt.NDArray[np.uint8]]:
    """Pictures of the network in evaluation mode; afterwards each part is in its own again."""
    network = run.network if run.average is None else run.average
    modes = {module: module.training for module in network.modules()}
    try:
        with torch.no_grad():
            return pictures(network.eval())
    finally:
        for module, mode in modes.items():
            module.training = mode
