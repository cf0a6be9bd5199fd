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
from training.recipes.inverse_form_host_settings import HostConfig
from training.recipes.inverse_form_settings import (
    BoundaryStudentConfig,
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
        view_size=(64, 96),
        inverse=replace(config.inverse, tiling_size=(64, 96), sampler='stn'),
        host=HostConfig('none', '', 3),
    )
    path = write_config(changed, tmp_path)
    assert load_config(InverseFormConfig, ['--config_path', str(path)]) == changed


def test_only_what_teaches_changes_fingerprints(config):
    same = replace(
        config, presets=('night',), results=Path('x'), prior_correction=0.5,
        image_size=(96, 128), view_size=config.image_size,
        inverse=replace(INVERSE, min_explained=0.3, transformer=TransformerConfig(frames=9)),
    )  # fmt: skip
    assert same.fingerprint() == config.fingerprint()
    assert same.inverse_fingerprint() == config.inverse_fingerprint()
    student = replace(config, student=replace(STUDENT, distance='geodesic'))
    assert student.fingerprint() != config.fingerprint()
    assert student.inverse_fingerprint() == config.inverse_fingerprint()
    longer = replace(INVERSE, loop=replace(INVERSE.loop, steps=9))
    without = replace(config, student=replace(STUDENT, inverse_form_weight=0.0))
    assert replace(without, inverse=longer).fingerprint() == without.fingerprint()
    random = replace(config, student=replace(STUDENT, inverse='random'))
    assert replace(random, inverse=longer).fingerprint() != random.fingerprint()
    chosen = replace(INVERSE, sampler='stn')
    lenient = replace(
        chosen, transformer=replace(chosen.transformer, min_spread=0.0, max_mean=1.0)
    )
    one, other = (replace(config, inverse=each) for each in (chosen, lenient))
    assert one.fingerprint() == other.fingerprint() != config.fingerprint()
    assert one.inverse_folder == other.inverse_folder != config.inverse_folder
    for changes in (
        {'seed': 1},
        {'inverse': longer},
        {'inverse': replace(INVERSE, network=InverseNetworkConfig(tile=16, hidden=8))},
        {'view_size': (64, 96)},
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
        (
            {'student': replace(STUDENT, architecture='eknet'), 'view_size': (224, 320)},
            'view_size must be image_size with eknet',
        ),
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
        (TransformerConfig, {'min_spread': -0.1}),
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


@pytest.mark.parametrize(
    ('tile', 'tiling_size', 'found'),
    [(64, None, '64x64'), (48, None, '48x48'), (32, (32, 96), '32x96')],
)
def test_tiles_that_leave_nothing_beyond_them_are_refused(config, tile, tiling_size, found):
    network = InverseNetworkConfig(tile=tile, hidden=8)
    inverse = replace(INVERSE, network=network, tiling_size=tiling_size)
    with pytest.raises(ConfigError, match=f'at least two tiles .* in maps of {found}'):
        replace(config, inverse=inverse)
    student = replace(STUDENT, inverse_form_weight=0.0)
    without = replace(config, inverse=inverse, student=student)
    with pytest.raises(ConfigError, match='at least two tiles'):
        replace(without, stage='inverse')


def test_views_may_be_smaller_than_what_is_deployed(config):
    assert config.drawn_size == (64, 64)
    other = replace(config, image_size=(96, 128), view_size=[64, 96])
    assert other.drawn_size == other.view_size == (64, 96) and other.image_size == (96, 128)


def test_the_shipped_student_differs_by_its_boundaries_alone():
    """What else is set beside the run of the same name in compress is as it is there."""
    path = CONFIGS[0].parent / 'thermal_seg_s.yaml'
    config = load_config(InverseFormConfig, ['--config_path', str(path), '--seed', '1'])
    run = config.host.run()
    assert (run.name, run.seed) == (config.name, 1)
    for name in ('train', 'validation', 'test', 'presets', 'preset_count', 'random_cameras',
                 'augmentation', 'image_size', 'prior_correction'):  # fmt: skip
        assert getattr(config, name) == getattr(run, name), name
    for name in ('loop', 'optimizer'):
        assert getattr(config.student, name) == getattr(run, name), name
    assert config.launch == run.launch


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_complete(path):
    config = load_config(InverseFormConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    assert config.folder == config.output / path.stem / 'seed0'
