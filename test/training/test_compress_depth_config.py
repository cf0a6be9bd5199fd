# SPDX-License-Identifier: Apache-2.0
"""Settings of the fast depth student: what makes another run, bad ones, committed ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from compress_depth_runs import tiny_run

from kd_perception.errors import ConfigError
from training.recipes import compress_depth
from training.recipes.compress_depth_config import CompressDepthConfig, DepthTeacherConfig
from training.recipes.compress_depth_teacher import focal_factor
from training.recipes.supervised_config import SupervisedConfig
from training.settings import load_config

FOLDER = Path(compress_depth.__file__).parents[1] / 'configs'
CONFIGS = sorted((FOLDER / 'compress_depth').glob('*.yaml'))


@pytest.fixture
def config(depth_teacher, world_cache, tmp_path):
    return tiny_run(tmp_path, world_cache, depth_teacher)


@pytest.mark.parametrize(
    ('values', 'told'),
    [
        ({'network': 'rep_unet'}, 'two outputs'),
        ({'label_weight': 0.0}, 'some term must be left'),
        ({'distillation_weight': 1.0}, 'must come together'),
        ({'teacher': DepthTeacherConfig('some.yaml')}, 'must come together'),
        ({'labels': 'radar'}, "got 'radar'"),
        ({'min_depth_m': 90.0}, 'min_depth_m < max_depth_m'),
        ({'focal_px': 0.0}, 'focal_px above 0'),
        ({'sky_depth_m': 50.0}, 'beyond max_depth_m'),
        ({'uncertainty_weight': 0.0}, 'uncertainty_weight'),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, told):
    with pytest.raises(ConfigError, match=told):
        CompressDepthConfig(**values)


def test_fingerprint_follows_what_changes_weights(config):
    blind = replace(config, teacher=DepthTeacherConfig(), distillation_weight=0.0)
    for changed in (
        replace(config, seed=1),
        replace(config, focal_px=200.0),
        replace(config, teacher=replace(config.teacher, seed=1)),
        replace(config, teacher=replace(config.teacher, branch='unsupervised')),
        blind,
    ):
        assert changed.fingerprint() != config.fingerprint()
    assert (
        replace(config, presets=(), frame_shapes=(), min_depth_m=2.0).fingerprint()
        == config.fingerprint()
    )


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('mono_depth_s', '1c6a1e09405e7f14c92d09cd'),
        ('small_taught', 'a780111062674b75a9acf0ef'),
        ('bag', '98cc3e787aab8cd260f927c6'),
    ],
)
def test_settings_that_came_later_leave_fingerprints_of_older_runs_alone(name, expected):
    path = next(path for path in CONFIGS if path.stem == name)
    config = load_config(CompressDepthConfig, ['--config_path', str(path)])
    assert config.fingerprint().startswith(expected)
    recorded = replace(config, bag=replace(config.bag, camera_frame='recorded'))
    assert recorded.fingerprint() != config.fingerprint()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_complete(path):
    config = load_config(CompressDepthConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    if config.teacher.config:
        source = config.teacher.run()
        if not source.bag.bag:
            assert focal_factor(source, config) > 0.0
        assert not config.teacher.branch or config.teacher.branch in source.branch_names


def test_committed_runs_start_from_the_same_network_of_the_same_camera():
    runs = {
        path.stem: load_config(CompressDepthConfig, ['--config_path', str(path)])
        for path in CONFIGS
    }
    started = {name: run for name, run in runs.items() if run.start_folder}
    assert {'mono_depth_s', 'mono_depth_s_480x640'} <= set(started)
    for run in started.values():
        source = runs.get(Path(run.start_folder).parent.name)
        if source is None:  # it begins with the weights of one that segments
            path = FOLDER / 'supervised' / f'{Path(run.start_folder).parent.name}.yaml'
            first = load_config(SupervisedConfig, ['--config_path', str(path)])
            assert first.modality == 'rgb'
            assert run.network == first.network.replace('rep_unet', 'rep_unet_depth')
            continue
        assert run.network == source.network
        shares = [each.focal_px / each.image_size[1] for each in (run, source)]
        assert shares[0] == shares[1]
