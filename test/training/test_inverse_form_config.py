# SPDX-License-Identifier: Apache-2.0
"""Settings of InverseForm: as files, what makes another run, bad ones, committed ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from config_files import write_config
from inverse_form_runs import INVERSE, STUDENT, tiny_run

from kd_perception.errors import ConfigError
from training.inverse_networks import InverseNetworkConfig
from training.recipes import inverse_form
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_settings import (
    BoundaryStudentConfig,
    HostConfig,
    InverseConfig,
    TransformerConfig,
)
from training.settings import load_config

CONFIGS = sorted((Path(inverse_form.__file__).parents[1] / 'configs/inverse_form').glob('*.yaml'))


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def test_settings_survive_yaml(config, tmp_path):
    changed = replace(
        config,
        labeled=5,
        inverse=replace(config.inverse, tiling_size=(64, 96), sampler='stn'),
        host=HostConfig('none', '', 3),
    )
    path = write_config(changed, tmp_path)
    assert load_config(InverseFormConfig, ['--config_path', str(path)]) == changed


def test_only_what_teaches_changes_fingerprints(config):
    same = replace(
        config, presets=('night',), results=Path('x'), prior_correction=0.5,
        inverse=replace(config.inverse, min_explained=0.3),
    )  # fmt: skip
    assert same.fingerprint() == config.fingerprint()
    assert same.inverse_fingerprint() == config.inverse_fingerprint()
    student = replace(config, student=replace(STUDENT, distance='geodesic'))
    assert student.fingerprint() != config.fingerprint()
    assert student.inverse_fingerprint() == config.inverse_fingerprint()
    random = replace(config, student=replace(STUDENT, inverse='random'))
    longer = replace(INVERSE, loop=replace(INVERSE.loop, steps=9))
    assert replace(random, inverse=longer).fingerprint() == random.fingerprint()
    for changes in (
        {'seed': 1},
        {'inverse': longer},
        {'inverse': replace(INVERSE, network=InverseNetworkConfig(tile=48, hidden=8))},
        {'labeled': 4},
        {'boundary_radius_px': 3.0},
    ):
        other = replace(config, **changes)
        assert other.inverse_fingerprint() != config.inverse_fingerprint()
        assert other.fingerprint() != config.fingerprint()


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'stage': 'both'}, 'stage must be one of'),
        ({'class_weights': 'all'}, 'class_weights must be one of'),
        ({'labeled': 0}, 'labeled must be >= 1'),
        ({'modality': 'heat'}, 'modality must be one of'),
        ({'mfnet': 'a', 'nyu': 'b'}, 'one data set'),
        ({'nyu': 'a'}, 'modality must be rgb with nyu'),
        ({'prior_correction': 1.5}, 'prior_correction must be'),
        ({'prior_correction': 0.5, 'class_weights': 'batch'}, 'prior_correction must be'),
        ({'student': replace(STUDENT, outlines='teacher')}, 'need a host'),
    ],
)
def test_contradictions_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        InverseFormConfig(**values)


@pytest.mark.parametrize(
    ('kind', 'values'),
    [
        (InverseConfig, {'sampler': 'even'}),
        (InverseConfig, {'tiling_size': (224, 300)}),
        (InverseConfig, {'tiles_per_frame': 0}),
        (InverseConfig, {'held_out': 1.0}),
        (InverseConfig, {'dropout': 1.0}),
        (InverseConfig, {'min_explained': 1.5}),
        (TransformerConfig, {'frames': 1}),
        (BoundaryStudentConfig, {'distance': 'taxicab'}),
        (BoundaryStudentConfig, {'inverse': 'none'}),
        (BoundaryStudentConfig, {'outlines': 'image'}),
        (BoundaryStudentConfig, {'inverse_form_weight': -1.0}),
        (BoundaryStudentConfig, {'attention_threshold': 1.0}),
        (HostConfig, {'recipe': 'supervised', 'config': 'x'}),
        (HostConfig, {'recipe': 'cekd'}),
        (HostConfig, {'config': 'x'}),
    ],
)
def test_bad_settings_are_refused(kind, values):
    with pytest.raises(ConfigError, match='must'):
        kind(**values)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_complete(path):
    config = load_config(InverseFormConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    assert config.folder == config.output / path.stem / 'seed0'
