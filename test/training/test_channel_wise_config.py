# SPDX-License-Identifier: Apache-2.0
"""Settings of channel-wise distillation: what makes another run, bad ones, committed ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from channel_wise_runs import TERMS, tiny_run

from kd_perception.errors import ConfigError
from training.channel_wise_rows import SAME, SAME_ROWS
from training.recipes import channel_wise
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_learner import OpponentConfig
from training.recipes.channel_wise_terms import TermConfig
from training.settings import load_config

FOLDER = Path(channel_wise.__file__).parents[1] / 'configs' / 'channel_wise'
CONFIGS = sorted(FOLDER.rglob('*.yaml'))
STEPS = FOLDER.parents[2] / 'results' / 'latency' / 'distillation_steps.jsonl'


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache, 'channel_wise_logits')


def test_rows_share_a_teacher_and_only_its_settings_make_another(config):
    other = replace(config, name='other', terms=(TermConfig('attention_transfer'),))
    assert other.folder_of('teacher') == config.folder_of('teacher')
    assert other.fingerprint('student') != config.fingerprint('student')
    assert replace(config, teacher_seed=0).folder_of('teacher') == config.folder_of('teacher')
    teacher = replace(config.teacher, modality='thermal')
    for changed in (
        replace(config, seed=1),
        replace(config, teacher=teacher),
        replace(config, class_weighted=False),
        replace(config, train=replace(config.train, count=11)),
    ):
        assert changed.folder_of('teacher') != config.folder_of('teacher')
        assert changed.fingerprint('student') != config.fingerprint('student')
    assert replace(config, seed=1, teacher_seed=0).folder_of('teacher') == config.folder_of(
        'teacher'
    )


def test_fingerprints_hold_what_teaches_and_nothing_else(config):
    alone = replace(config, terms=())
    teacher = replace(config.teacher, modality='thermal')
    assert replace(alone, teacher=teacher).fingerprint('student') == alone.fingerprint('student')
    scored = replace(config, image_size=(96, 128), results=Path('elsewhere'))
    assert scored.fingerprint('student') == config.fingerprint('student')
    wider = replace(config.opponent, base_width=16)
    assert replace(config, opponent=wider).fingerprint('student') == config.fingerprint('student')
    holistic = replace(config, terms=(TERMS['holistic_logits'],))
    assert replace(holistic, opponent=wider).fingerprint('student') != holistic.fingerprint(
        'student'
    )
    heavier = replace(config, terms=(replace(config.terms[0], weight=2.0),))
    assert heavier.fingerprint('student') != config.fingerprint('student')


BAD = [
    ({'stage': 'both'}, 'stage must be one of'),
    (
        {'terms': (TERMS['holistic_logits'],), 'opponent': OpponentConfig(levels=5)},
        'of 5 levels sees must be at least 128x128, got 64x80',
    ),
    ({'terms': (TERMS['hint_features'],) * 2}, 'once on logits and once on features'),
    ({'cityscapes': 'folder'}, "color images alone, got modalities .*'thermal'"),
    ({'mfnet': 'a', 'pst900': 'b'}, r"one data set.*got \{'mfnet': 'a', 'pst900': 'b'\}"),
    ({'pst900': 'a', 'held_out_share': 1.0}, 'must be 0 to below 1, got 1.0'),
    ({'held_out_share': 0.2}, 'must be 0 but for PST900 and Cityscapes'),
    ({'mfnet': 'a', 'held_out_share': 0.2}, 'the others have a validation split; got 0.2'),
    ({'stage': 'teacher', 'seed': 1, 'teacher_seed': 0}, 'got seed 1 and teacher_seed 0'),
    (
        {'terms': (TermConfig('channel_wise', at='features', options={'temperature': 4.0}),)},
        'must have an alignment: features of the student have 32 channels.* 64',
    ),
]


@pytest.mark.parametrize(('values', 'message'), BAD)
def test_bad_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ChannelWiseConfig(**values)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_complete(path):
    config = load_config(ChannelWiseConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    assert (path.parent.name == 'cityscapes') == bool(config.cityscapes)


def row(name, folder=FOLDER):
    return load_config(ChannelWiseConfig, ['--config_path', f'{folder}/{name}.yaml'])


METHODS = {
    'at': 'attention_transfer', 'pi': 'pixel_wise', 'local': 'local_similarity',
    'pa': 'pairwise_affinity', 'ifvd': 'intra_class_variation', 'ho': 'holistic',
    'cwd': 'channel_wise',
}  # fmt: skip


@pytest.mark.parametrize('prefix', ['', 'cityscapes_'])
def test_rows_of_the_table_differ_in_their_terms_alone(prefix):
    folder = FOLDER / prefix.rstrip('_')
    alone = row(f'{prefix}alone', folder)
    for short, loss in METHODS.items():
        for place in ('logits', 'features'):
            if (prefix, short, place) == ('', 'ho', 'features'):
                continue
            found = row(f'{prefix}{short}_{place}', folder)
            assert [(term.loss, term.at) for term in found.terms] == [(loss, place)]
            assert replace(found, name=alone.name, terms=()) == alone


def test_the_terms_of_cekd_have_the_compute_of_one_term():
    """Within a tenth of what `benchmarks.distillation_steps` measured for a step of either."""
    lines = [json.loads(line) for line in STEPS.read_text().splitlines()]
    taken = {line['run']: line['ms'] for line in lines if 'run' in line}
    cekd, alone = row('cekd'), row('alone')
    loop = replace(alone.student.loop, steps=cekd.student.loop.steps)
    assert cekd.student == replace(alone.student, loop=loop)
    budget = alone.student.loop.steps * taken['cwd_logits'] / taken['cekd']
    assert loop.steps == pytest.approx(budget, rel=0.1)


def unweighted(config):
    return replace(config, terms=tuple(replace(term, weight=1.0) for term in config.terms))


@pytest.mark.parametrize('own', ['alone', 'pi_logits', 'cwd_features', 'cwd_logits', 'cekd'])
def test_students_of_heat_learn_as_those_of_color_with_weights_of_their_own(own):
    thermal, color = row(f'thermal_{own}'), row(own)
    assert (thermal.student.modality, color.student.modality) == ('thermal', 'rgb')
    student = replace(thermal.student, modality='rgb')
    assert unweighted(replace(thermal, name=color.name, student=student)) == unweighted(color)
    assert thermal.folder_of('teacher') == row('teacher').folder_of('teacher')


@pytest.mark.parametrize(
    ('before', 'of'),
    [
        ('thermal_teacher_', 'thermal_cwd_logits'),
        *((SAME, name.removeprefix(SAME)) for name in SAME_ROWS[1:]),
    ],
)
def test_a_teacher_that_sees_what_its_student_sees_is_the_only_other_thing(before, of):
    found, own = row(f'{before}{of.removeprefix("thermal_")}'), row(of)
    assert found.teacher.modality == own.student.modality
    assert unweighted(replace(found, name=own.name, teacher=own.teacher)) == unweighted(own)
    assert found.folder_of('teacher') == row(before.rstrip('_')).folder_of('teacher')


def test_one_teacher_of_cityscapes_teaches_all_seeds():
    rows = [
        load_config(ChannelWiseConfig, ['--config_path', str(path), '--seed', seed])
        for path in (FOLDER / 'cityscapes').glob('*_logits.yaml')
        for seed in ('0', '1')
    ]
    teacher = row('cityscapes_teacher', FOLDER / 'cityscapes')
    assert {config.folder_of('teacher') for config in rows} == {teacher.folder_of('teacher')}
    assert teacher.trained_roles == ('teacher',) and rows[0].trained_roles[1] == 'student'
    assert row('cityscapes_alone', FOLDER / 'cityscapes').trained_roles == ('student',)


def test_cityscapes_has_the_recipe_of_the_paper():
    path = FOLDER / 'cityscapes' / 'cityscapes_cwd_features.yaml'
    config = load_config(ChannelWiseConfig, ['--config_path', str(path)])
    for network, depth, channels in ((config.teacher, 101, 512), (config.student, 18, 128)):
        assert (network.depth, network.feature_channels) == (depth, channels)
        assert network.sizes(19).ceil_pooling
        loop, optimizer = network.loop, network.optimizer
        assert (loop.steps, loop.batch_size, loop.average_decay) == (40000, 8, 0.0)
        values = (optimizer.kind, optimizer.learning_rate, optimizer.momentum)
        assert values == ('sgd', 0.01, 0.9)
        values = (optimizer.weight_decay, optimizer.schedule, optimizer.power)
        assert values == (5e-4, 'polynomial', 0.9)
    view = config.augmentation.view
    assert (view.height, view.width, view.scale_low, view.scale_high) == (512, 512, 0.7, 2.1)
    (term,) = config.terms
    assert (term.weight, term.options, term.alignment) == (50.0, {'temperature': 4.0}, 'norm_relu')
    assert config.label_set.num_classes == 19 and not config.class_weighted
