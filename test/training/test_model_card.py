# SPDX-License-Identifier: Apache-2.0
"""The card of a student says what was seen of that very run, and of no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from training.model_card import model_card
from training.recipes.supervised import SupervisedConfig
from training.records import read_record
from training.settings import load_config

ROOT = Path(__file__).resolve().parents[2]
SEEN = 'Seen on real frames'


@pytest.fixture(scope='module')
def shipped() -> SupervisedConfig:
    settings = ROOT / 'training' / 'configs' / 'supervised' / 'thermal_seg_s.yaml'
    return load_config(SupervisedConfig, ['--config_path', str(settings), '--seed', '2'])


@pytest.fixture(scope='module')
def metrics(shipped: SupervisedConfig) -> dict:
    return read_record(ROOT / shipped.record_path)['metrics']


def test_the_shipped_card_follows_from_the_record(shipped, metrics):
    card = (ROOT / 'students' / 'thermal_seg_s' / 'MODEL_CARD.md').read_text()
    assert model_card(shipped, metrics, shipped.steps) == card
    assert SEEN in card


@pytest.mark.parametrize('changes', [{'seed': 1}, {'steps': 20}, {'batch_size': 4}])
def test_another_run_claims_no_observations(shipped, metrics, changes):
    other = replace(shipped, **changes)
    card = model_card(other, metrics, other.steps)
    assert SEEN not in card
    assert 'Nobody has looked' in card
    assert 'By construction' in card


def test_an_unfinished_run_claims_no_observations(shipped, metrics):
    assert SEEN not in model_card(shipped, metrics, shipped.steps - 200)
