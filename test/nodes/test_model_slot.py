# SPDX-License-Identifier: Apache-2.0
"""Settings that a student cannot work with never reach it, whichever of both comes first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs rclpy')

from kd_perception.errors import ConfigError
from kd_perception.nodes.model_slot import Engine, ModelSlot
from kd_perception.pipeline import DepthPipelineConfig

MUTUAL = DepthPipelineConfig(uncertainty_method='mutual')
PLAIN = DepthPipelineConfig()


class Model:
    """A pipeline and its backend; with or without a second student."""

    def __init__(self, *, is_pair: bool) -> None:
        self.is_pair, self.closed = is_pair, 0
        self.config = PLAIN

    def check(self, config: DepthPipelineConfig) -> None:
        if config.uncertainty_method == 'mutual' and not self.is_pair:
            raise ConfigError('no second student')

    def configure(self, config: DepthPipelineConfig) -> None:
        self.config = config

    def close(self) -> None:
        self.closed += 1


def engine_of(model: Model) -> Engine:
    student: Any = None
    return Engine(student, model, model, np.zeros((256, 3), np.uint8))


def test_settings_that_the_student_cannot_bear_are_refused() -> None:
    slot, alone = ModelSlot(), Model(is_pair=False)
    slot.install(engine_of(alone))
    with pytest.raises(ConfigError, match='no second student'):
        slot.configure(MUTUAL)
    with slot.lease():
        assert alone.config == PLAIN


def test_a_student_that_cannot_bear_the_settings_is_not_exchanged_for_one_that_can() -> None:
    """The settings changed while the new one was loading."""
    slot, pair, alone = ModelSlot(), Model(is_pair=True), Model(is_pair=False)
    before = engine_of(pair)
    slot.install(before)
    slot.configure(MUTUAL)
    with pytest.raises(ConfigError, match='no second student'):
        slot.replace(before, engine_of(alone))
    assert (alone.closed, pair.closed) == (1, 0)
    with slot.lease() as engine:
        assert engine is before and pair.config == MUTUAL
    slot.configure(PLAIN)
    other = Model(is_pair=False)
    assert slot.replace(before, engine_of(other))
    assert (other.closed, pair.closed) == (0, 1)
    assert not slot.replace(before, engine_of(alone))
    assert alone.closed == 2
