# SPDX-License-Identifier: Apache-2.0
"""The card of a student says what was seen of that very run, and of no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kd_perception.bundle import load_student
from training import model_card as card_module
from training import observations as observations_module
from training.data.real_tiles import NO_TEST
from training.export import DEPTH_RECIPE, RECIPES, RunConfig
from training.model_card import model_card, train_digest
from training.observations import OBSERVATIONS, observations_path
from training.recipes.compress_depth_config import CompressDepthConfig
from training.recipes.supervised import SupervisedConfig
from training.records import read_record
from training.settings import load_config

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / 'training' / 'configs'
SEEN = 'Seen on real frames'
NOT_SEEN = 'Not looked at yet'


KINDS = {**RECIPES, DEPTH_RECIPE: CompressDepthConfig}
STUDENTS = ('thermal_seg', 'thermal_seg_s', 'rgb_seg_s', 'mono_depth_s')


def committed(recipe: str, name: str, seed: int) -> RunConfig | CompressDepthConfig:
    arguments = ['--config_path', str(SETTINGS / recipe / f'{name}.yaml'), '--seed', str(seed)]
    return load_config(KINDS[recipe], arguments)


@pytest.fixture(scope='module', params=['thermal_seg_s', 'thermal_seg', 'rgb_seg_s'])
def shipped(request) -> RunConfig:
    provenance = load_student(ROOT / 'students' / request.param).spec.provenance
    return committed(provenance['recipe'], request.param, provenance['seed'])


@pytest.fixture
def observed(tmp_path, monkeypatch, metrics):
    """A run that somebody has looked at."""
    monkeypatch.setattr(observations_module, 'OBSERVATIONS', tmp_path)
    config = SupervisedConfig(seed=2)
    path = observations_path(config, train_digest(metrics))
    path.write_text(f'{SEEN}:\n\n* Hedges are taken for cars.\n')
    return config


def scores(person: float = 0.5) -> dict:
    iou = dict.fromkeys(card_module.CLASS_NAMES, 0.25) | {'person': person, 'bump': None}
    return {'miou_nanmean': 0.28, 'iou': iou, 'boundary_f_3px': 0.333}


@pytest.fixture
def metrics() -> dict:
    return {
        'data_digest': {'train': 'abc'},
        'synthetic_test': scores(),
        'real_tiles': scores(0.125),
        'presets': {'fog': scores(0.375), 'shifted': {**scores(), 'boundary_f_3px': None}},
        'calibration': {
            'temperature': 0.8,
            'test_before': {'ece': 0.03},
            'test_after': {'ece': 0.01},
        },
    }


def test_the_shipped_card_follows_from_the_record(shipped):
    card = (ROOT / 'students' / shipped.name / 'MODEL_CARD.md').read_text()
    provenance = load_student(ROOT / 'students' / shipped.name).spec.provenance
    metrics = read_record(ROOT / shipped.record_path)['metrics']
    chosen = {'tiles_chose': provenance.get('tiles_chose', False)}
    assert model_card(shipped, metrics, shipped.steps, **chosen) == card
    assert (NOT_SEEN in card) != observations_path(shipped, train_digest(metrics)).is_file()


def test_every_observation_is_of_a_recorded_run_of_a_committed_configuration():
    known = set()
    for recipe in KINDS:
        for path in (ROOT / 'results' / recipe).glob('*_seed*.json'):
            record = read_record(path)
            if record['name'] in STUDENTS:
                run = committed(recipe, record['name'], record['seed'])
                known.add(observations_path(run, frames_of(record)))
    assert known
    orphans = [path.name for path in OBSERVATIONS.glob('*') if path not in known]
    assert not orphans, 'written of runs that are no longer here: remove them'


def frames_of(record) -> str:
    """What the export of a run knows its training frames by."""
    if record['recipe'] == DEPTH_RECIPE:
        return record['frame_keys']['train']
    return train_digest(record['metrics'])


def test_a_card_says_what_was_seen(observed, metrics):
    card = model_card(observed, metrics, observed.steps)
    assert 'Hedges are taken for cars.' in card
    assert NOT_SEEN not in card


def test_only_a_seed_among_several_was_chosen(observed, metrics, tmp_path):
    config = replace(observed, results=tmp_path)
    for seed, said in enumerate(('nothing: no other seed', 'the synthetic validation split')):
        (tmp_path / f'{config.name}_seed{seed}.json').touch()
        assert f'| Chosen by | {said}' in model_card(config, metrics, config.steps)


@pytest.mark.parametrize('changes', [{'seed': 1}, {'steps': 20}, {'batch_size': 4}])
def test_another_run_claims_no_observations(observed, metrics, changes):
    other = replace(observed, **changes)
    card = model_card(other, metrics, other.steps)
    assert SEEN not in card
    assert NOT_SEEN in card
    assert 'By construction' in card


def test_the_same_run_in_another_world_claims_no_observations(observed, metrics):
    metrics['data_digest']['train'] = 'def'
    assert NOT_SEEN in model_card(observed, metrics, observed.steps)


def test_an_unfinished_run_claims_no_observations(observed, metrics):
    card = model_card(observed, metrics, observed.steps - 200)
    assert SEEN not in card
    assert 'unfinished' in card


def test_the_card_shows_every_score(metrics):
    lines = model_card(SupervisedConfig(), metrics, 2400).splitlines()
    assert '| person | 50.0 | 12.5 |' in lines
    assert '| bump | - | - |' in lines
    assert '| fog | 28.0 | 25.0 | 37.5 | 25.0 | 33.3 |' in lines
    assert '| shifted | 28.0 | 25.0 | 50.0 | 25.0 | - |' in lines
    assert max(len(line) for line in lines) <= 99


def test_the_card_says_what_the_real_tiles_are_worth(metrics):
    assert NO_TEST in ' '.join(model_card(SupervisedConfig(), metrics, 2400).split())
    del metrics['real_tiles'], metrics['presets']
    card = model_card(SupervisedConfig(), metrics, 2400)
    assert 'not at hand' in card and NO_TEST not in ' '.join(card.split())
    assert 'weather' not in card


def test_the_card_says_where_the_real_tiles_chose_the_seed(metrics):
    config = SupervisedConfig()
    card = ' '.join(model_card(config, metrics, config.steps, tiles_chose=True).split())
    assert '| Chosen by | the real tiles, among the seeds that' in card
    assert 'They chose this seed among those' in card and NO_TEST in card
    assert 'neither weights nor settings' not in card


def test_the_card_names_the_cameras_that_were_rendered(metrics):
    world = {'camera_height_m': (0.25, 3.0), 'focal_share': (0.5, 1.0)}
    config = SupervisedConfig()
    config = replace(config, train=replace(config.train, world=world))
    card = ' '.join(model_card(config, metrics, 2400).split())
    assert '0.2 to 3.0 m above the ground, with lenses of 53 to 90 degrees' in card
