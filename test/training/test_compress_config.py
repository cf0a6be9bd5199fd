# SPDX-License-Identifier: Apache-2.0
"""Settings of compression: contradictions, what makes another run, committed ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from channel_wise_runs import TERMS
from compress_runs import tiny_run

from kd_perception.errors import ConfigError
from training.recipes import compress
from training.recipes.compress_config import CompressConfig, CompressTeacherConfig
from training.settings import load_config

IFVD = TERMS['intra_class_variation_logits']
ALONE = {'soft_weight': 0.0, 'channel_wise_weight': 0.0}
CONFIGS = sorted((Path(compress.__file__).parents[1] / 'configs' / 'compress').glob('*.yaml'))


@pytest.fixture
def config(tmp_path, world_cache, cekd_teacher):
    return tiny_run(tmp_path, world_cache, cekd_teacher)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'teacher': CompressTeacherConfig()}, 'must come together'),
        ({'soft_weight': 0.0, 'channel_wise_weight': 0.0}, 'must come together'),
        ({'soft_weight': -1.0}, 'must be >= 0'),
        ({'bag': 'drive'}, 'label_weight must be 0'),
        ({'network': 'rep_unet_xxl'}, 'network must be one of'),
        ({'terms': (TERMS['hint_features'],)}, 'terms must be on logits'),
        ({'terms': (TERMS['holistic_logits'],)}, r"not holistic.*\['holistic_logits'\]"),
        ({'terms': (TERMS['pixel_wise_logits'],) * 2}, 'each loss once'),
        ({'terms': (TERMS['channel_wise_logits'],)}, 'channel_wise must be told once'),
        (
            {'terms': (TERMS['soft_cross_entropy_logits'],)},
            'soft_cross_entropy must be told once',
        ),
        (
            {'bag': 'drive', 'label_weight': 0.0, 'terms': (IFVD,)},
            'no labels, which intra_class_variation needs',
        ),
        ({'teacher': CompressTeacherConfig(), 'terms': (IFVD,), **ALONE}, 'must come together'),
        ({'label_weight': 0.0, 'soft_weight': 0.0}, 'which class a place has must be told'),
        ({'label_weight': 0.0, **ALONE, 'terms': (IFVD,)}, 'which class a place has must be told'),
    ],
)
def test_contradictions_are_refused(config, changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(config, **changes)
    with pytest.raises(ConfigError, match='role must be'):
        CompressTeacherConfig(role='nobody')


def test_what_is_only_scored_changes_no_fingerprint(config):
    same = replace(config, presets=(), preset_count=1, prior_correction=0.0, results=Path('x'))
    assert same.fingerprint() == config.fingerprint()
    other = replace(config.teacher, role='teacher')
    for changes in ({'seed': 1}, {'soft_temperature': 3.0}, {'teacher': other}):
        assert replace(config, **changes).fingerprint() != config.fingerprint()


def test_terms_make_another_run_and_none_leave_fingerprints_of_older_ones_alone(config):
    path = next(path for path in CONFIGS if path.stem == 'small_labels_and_teacher')
    recorded = load_config(CompressConfig, ['--config_path', str(path)])
    assert recorded.fingerprint().startswith('94b207c7582925772aa04b29')
    other = replace(config, terms=(IFVD,))
    assert other.fingerprint() != config.fingerprint()
    assert replace(config, terms=[]).fingerprint() == config.fingerprint()
    places = {'label_weight': 0.0, **ALONE, 'start_folder': 'runs/knows_classes'}
    weighted = replace(config, reweigh=True, **places, terms=(IFVD,))
    assert not weighted.reweighed and not weighted.class_weighted
    weighted = replace(weighted, terms=(TERMS['pixel_wise_logits'],))
    assert weighted.reweighed and weighted.class_weighted


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_configurations_load_and_name_their_file(path):
    config = load_config(CompressConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    assert config.folder == config.output / path.stem / 'seed0'


def test_a_run_starts_from_the_run_of_its_own_seed(tmp_path):
    config = tiny_run(tmp_path, tmp_path, start_folder='runs/mine/seed{seed}', seed=2)
    assert config.start_folder == 'runs/mine/seed2'
