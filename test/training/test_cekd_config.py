# SPDX-License-Identifier: Apache-2.0
"""Settings of CEKD: what makes another run or teacher, bad ones, committed ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cekd_runs import LOOP, batch_of, tiny_run

from kd_perception.errors import ConfigError
from kd_perception.models import CENet, EKNet
from training.distributed import LaunchConfig
from training.recipes import cekd
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_losses import seen_by
from training.recipes.cekd_networks import StudentConfig, TeacherConfig
from training.settings import load_config

CONFIGS = sorted((Path(cekd.__file__).parents[1] / 'configs' / 'cekd').glob('*.yaml'))


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def test_runs_that_need_the_same_teacher_share_it(config):
    other = replace(config, name='other', student=StudentConfig(enhancement='none', loop=LOOP))
    assert other.teacher_folder == config.teacher_folder
    assert other.fingerprint() != config.fingerprint()
    for changed in (
        replace(config, seed=1),
        replace(config, labeled=6),
        replace(config, teacher=replace(config.teacher, modality='thermal')),
    ):
        assert changed.teacher_folder != config.teacher_folder


def test_settings_that_came_later_leave_fingerprints_of_older_runs_alone():
    older = CekdConfig(launch=LaunchConfig(bfloat16=True))  # as it was when they ran
    assert older.fingerprint().startswith('47116dff3be3b7d9baaafeffba5d1dedafea1d00')
    assert older.teacher_fingerprint().startswith('f389e26e032527f9c371d225d22625372b334242')
    other_set = replace(older, pst900='folder')
    assert other_set.fingerprint() != older.fingerprint()
    assert other_set.teacher_fingerprint() != older.teacher_fingerprint()


def test_scores_may_fall_below_zero_where_that_is_wanted(config):
    images, _ = batch_of(config)
    for wanted in (True, False):
        own = replace(config, nonnegative_logits=wanted)
        networks = CENet(own.teacher_network()), EKNet(own.student_network())
        lowest = min(
            float(network(seen_by(images, modality)).logits.min())
            for network, modality in zip(networks, ('rgbt', 'thermal'), strict=True)
        )
        assert (lowest >= 0.0) == wanted


@pytest.mark.parametrize(
    'values',
    [
        {'stage': 'both'},
        {'labeled': 0},
        {'image_size': (60, 96)},
        {'mfnet': 'one', 'pst900': 'other'},
        {'teacher': {'edges': 'gt'}},
        {'teacher': {'edges': 'image', 'modality': 'thermal'}},
        {'student': {'target': 'labels'}},
        {'student': {'soft_weight': -1.0}},
        {
            'student': {
                'target': 'none', 'similarity_weight': 0.0, 'edge_hint_weight': 0.0,
                'soft_weight': 0.0,
            }
        },
    ],
)  # fmt: skip
def test_bad_settings_are_refused(values):
    kinds = {'teacher': TeacherConfig, 'student': StudentConfig}
    with pytest.raises(ConfigError):
        CekdConfig(**{k: kinds[k](**v) if k in kinds else v for k, v in values.items()})


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'student': StudentConfig(target='label')}, r'student\.target must be teacher or none'),
        ({'student': StudentConfig(target='both')}, r"got 'both' and 'drive'"),
        ({'stage': 'joint'}, 'set stage to student'),
    ],
)
def test_a_recording_is_not_asked_for_labels(config, changes, message):
    replace(config, **changes)
    replace(config, bag='drive')
    with pytest.raises(ConfigError, match=message):
        replace(config, bag='drive', **changes)


def test_a_record_says_what_kind_of_images_was_learnt_from(config):
    assert cekd.trained_on(config) == 'synthetic'
    assert cekd.trained_on(replace(config, bag='drive')) == 'real'
    assert cekd.trained_on(replace(config, bag='drive', stage='teacher')) == 'synthetic'
    assert cekd.trained_on(replace(config, mfnet='folder')) == 'real'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_complete(path):
    config = load_config(CekdConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    config.teacher_network(), config.student_network()
