# SPDX-License-Identifier: Apache-2.0
"""CEKD: who sees what, which terms count, that both stages learn, share, resume and are scored."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cekd_runs import LOOP, shareable, tiny_run
from run_processes import run_recipe
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models import CENet, EKNet
from training.recipes import cekd
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_data import Drawing, edge_target, student_frames, teacher_frames
from training.recipes.cekd_losses import joint_losses, seen_by, student_losses, teacher_losses
from training.recipes.cekd_networks import StudentConfig, TeacherConfig
from training.recipes.cekd_report import by_temperature, table_row
from training.settings import load_config

CONFIGS = sorted((Path(cekd.__file__).parents[1] / 'configs' / 'cekd').glob('*.yaml'))


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


@pytest.fixture(scope='session')
def world_cache(tmp_path_factory):
    return tmp_path_factory.mktemp('world')


def batch_of(config, *, labeled_only=True, size=2):
    frames = teacher_frames(config)
    rng = np.random.default_rng(0)
    samples = [frames.draw(rng, config, labeled_only=labeled_only) for _ in range(size)]
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*samples, strict=True))


def test_labels_beyond_the_labeled_frames_are_hidden(config):
    frames = teacher_frames(config)
    assert (len(frames.frames), frames.labeled) == (12, 5)
    seen = [frames.draw(np.random.default_rng(k), config, labeled_only=True)[1] for k in range(20)]
    assert all((label != 255).mean() > 0.5 for label in seen)
    every = [
        frames.draw(np.random.default_rng(k), config, labeled_only=False)[1] for k in range(40)
    ]
    hidden = [(label == 255).all() for label in every]
    assert 10 < sum(hidden) < 35


def test_images_do_not_depend_on_hidden_labels(config):
    """What a hidden label says must not steer the view or the scene either."""
    frames = teacher_frames(config)._replace(labeled=0)
    changed = [frame._replace(label=np.roll(frame.label, 20)) for frame in _samples(frames)]
    drawn = [
        source.draw(np.random.default_rng(3), config, labeled_only=False)[0]
        for source in (frames, frames._replace(frames=changed))
    ]
    np.testing.assert_array_equal(*drawn)


def _samples(frames):
    from collections import namedtuple

    plain = namedtuple('plain', 'thermal rgb label')
    return [plain(f.thermal, f.rgb, f.label) for f in (frames.frames[k] for k in range(12))]


def test_class_shares_are_those_of_the_labels_that_may_be_seen(config):
    shares = teacher_frames(config).class_shares(9)
    assert sum(shares) == pytest.approx(1.0) and shares[0] > 0.3
    all_labels = teacher_frames(replace(config, labeled=12)).class_shares(9)
    assert shares != all_labels


def test_a_network_sees_the_channels_of_its_modality():
    images = torch.arange(4.0).view(1, 4, 1, 1)
    for modality, channels in (('thermal', [0]), ('rgb', [1, 2, 3]), ('rgbt', [0, 1, 2, 3])):
        assert seen_by(images, modality).flatten().tolist() == channels


@pytest.mark.parametrize('edges', ['label', 'image'])
@pytest.mark.parametrize('stage', [1, 2, 3, 4, 5])
def test_edges_come_at_the_resolution_of_the_module(config, stage, edges):
    teacher = replace(config.teacher, edge_stage=stage, edges=edges)
    images, labels = batch_of(config)
    target = edge_target(images, labels, teacher)
    assert tuple(target.shape[1:]) == replace(config, teacher=teacher).teacher_network().edge_size
    assert set(target.unique().tolist()) <= {0, 1, 255} and (target == 1).any()


def test_teacher_terms(config):
    network = CENet(config.teacher_network())
    terms = teacher_losses(network, batch_of(config), config, None)
    assert list(terms) == ['segmentation', 'edge']
    doubled = replace(config, teacher=replace(config.teacher, edge_weight=2.0))
    again = teacher_losses(network.eval(), batch_of(config), doubled, None)
    once = teacher_losses(network, batch_of(config), config, None)
    torch.testing.assert_close(again['edge'], 2.0 * once['edge'])
    plain = replace(config, teacher=replace(config.teacher, edges='none'))
    terms = teacher_losses(CENet(plain.teacher_network()), batch_of(config), plain, None)
    assert list(terms) == ['segmentation']


IMITATION = ['similarity', 'edge_hint', 'soft_cross_entropy']


@pytest.mark.parametrize(
    ('changes', 'names'),
    [
        ({}, ['segmentation', *IMITATION]),
        ({'target': 'both'}, ['label', 'segmentation', *IMITATION]),
        ({'target': 'label'}, ['label', *IMITATION]),
        ({'target': 'none', 'edge_hint_weight': 0.0}, ['similarity', 'soft_cross_entropy']),
        ({'similarity_weight': 0.0}, ['segmentation', 'edge_hint', 'soft_cross_entropy']),
    ],
)
def test_student_terms(config, changes, names):
    config = replace(config, student=replace(config.student, **changes))
    teacher = CENet(config.teacher_network()).eval()
    terms = student_losses(
        EKNet(config.student_network()), teacher, batch_of(config), config, None
    )
    assert list(terms) == names
    assert all(torch.isfinite(value) and value >= 0 for value in terms.values())


def test_student_learns_from_no_label_unless_told(config):
    """Terms of the label-free student are the same whatever the labels say."""
    images, labels = batch_of(config)
    teacher, student = CENet(config.teacher_network()), EKNet(config.student_network())
    both = [
        student_losses(student.eval(), teacher.eval(), (images, seen), config, None)
        for seen in (labels, torch.zeros_like(labels))
    ]
    assert both[0].keys() == both[1].keys()
    for name, value in both[0].items():
        assert torch.equal(value, both[1][name]), name


def test_nothing_flows_back_to_the_teacher(config):
    teacher = CENet(config.teacher_network())
    student = EKNet(config.student_network())
    terms = student_losses(student, teacher, batch_of(config), config, None)
    torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_joint_step_gives_the_teacher_its_own_terms_only(config):
    both = cekd.Both(CENet(config.teacher_network()), EKNet(config.student_network()))
    terms = joint_losses(both, batch_of(config), config, None)
    own = [name for name in terms if not name.startswith('student_')]
    assert own == ['segmentation', 'edge'] and len(terms) == 6
    student_only = sum(value for name, value in terms.items() if name.startswith('student_'))
    student_only.backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in both.teacher.parameters())


def test_a_frame_without_any_label_costs_nothing(config):
    config = replace(config, student=replace(config.student, target='both'))
    images, labels = batch_of(config)
    hidden = torch.full_like(labels, 255)
    teacher, student = CENet(config.teacher_network()), EKNet(config.student_network())
    terms = student_losses(student, teacher.eval(), (images, hidden), config, None)
    assert terms['label'] == 0.0


def test_classes_weigh_against_labels_alone(config):
    """The teacher has learnt with the weights: they are in its answers already."""
    network = EKNet(config.student_network()).eval()
    teacher = CENet(config.teacher_network()).eval()
    config = replace(config, student=replace(config.student, target='both'))
    weight = torch.tensor([1.0, *[9.0] * 8])
    batch = batch_of(config)
    plain, weighted = (student_losses(network, teacher, batch, config, w) for w in (None, weight))
    torch.testing.assert_close(plain['segmentation'], weighted['segmentation'])
    assert not torch.isclose(plain['label'], weighted['label'], rtol=1e-3)


def test_reweighed_answers_count_as_labels_do(config):
    network = EKNet(config.student_network()).eval()
    teacher = CENet(config.teacher_network()).eval()
    config = replace(config, student=replace(config.student, reweigh=True))
    weight = torch.tensor([1.0, *[9.0] * 8])
    images, labels = batch_of(config)
    terms = student_losses(network, teacher, (images, labels), config, weight)
    with torch.no_grad():
        said, own = teacher(images).logits, network(images[:, :1]).logits
    said[:, 1:] -= float(np.log(9.0))
    expected = functional.cross_entropy(own, said.argmax(dim=1), weight)
    torch.testing.assert_close(terms['segmentation'], expected)
    soft = (said / 6.0).softmax(dim=1) * weight[:, None, None]
    expected = -(soft * (own / 6.0).log_softmax(dim=1)).sum() / soft.sum()
    torch.testing.assert_close(terms['soft_cross_entropy'], expected)
    with pytest.raises(ConfigError, match='class_weighted'):
        replace(config, class_weighted=False)


def weights_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_resumed_stages_give_the_same_bits(config, fabric, monkeypatch, tmp_path):
    whole = replace(config, output=tmp_path / 'whole')
    expected = {k: weights_of(n) for k, n in cekd.networks(whole, fabric).items()}
    fit, ends = cekd.fit, []

    def dying(run, **arguments):
        draw = arguments['draw']

        def drawn(step, index):
            if step == 4 and len(ends) < 2 and arguments['folder'] not in ends:
                ends.append(arguments['folder'])
                raise KeyboardInterrupt
            return draw(step, index)

        fit(run, **{**arguments, 'draw': drawn})

    monkeypatch.setattr(cekd, 'fit', dying)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            cekd.networks(config, fabric)
    resumed = cekd.networks(config, fabric)
    assert ends == [config.teacher_folder, config.folder]
    for role, weights in expected.items():
        for name, value in resumed[role].state_dict().items():
            assert torch.equal(value, weights[name]), (role, name)


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_learn_what_one_learns(config, fabric, tmp_path):
    one = cekd.networks(shareable(config), fabric)  # renders the frames, too
    folder = tmp_path / 'two'
    run_recipe('cekd_runs', folder, config.cache)
    states = torch.load(folder / 'states.pt')
    for role, network in one.items():
        torch.testing.assert_close(dict(network.state_dict()), states[role], rtol=2e-3, atol=2e-4)


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
    older = CekdConfig()
    assert older.fingerprint().startswith('47116dff3be3b7d9baaafeffba5d1dedafea1d00')
    assert older.teacher_fingerprint().startswith('f389e26e032527f9c371d225d22625372b334242')
    other_set = replace(older, pst900='folder')
    assert other_set.fingerprint() != older.fingerprint()
    assert other_set.teacher_fingerprint() != older.teacher_fingerprint()


def test_a_run_writes_its_record_and_its_rows(tmp_path, world_cache, capsys, monkeypatch):
    config = tiny_run(tmp_path, world_cache, presets=('night',), preset_count=2)
    monkeypatch.setattr(cekd, 'load_config', lambda kind, arguments: config)
    cekd.main([])
    record = json.loads(config.record_path.read_text())
    assert set(record['metrics']) == {'teacher', 'student'}
    student = record['metrics']['student']
    assert {'validation', 'test', 'night', 'enhancement'} <= set(student)
    assert {f'boundary_f_{k}px' for k in (1, 2, 3, 5)} <= set(student['test'])
    assert student['enhancement']['exponent']['least'] > 1.0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('|')]
    assert [row.split('|')[1].strip() for row in rows] == ['tiny teacher', 'tiny student']


@pytest.mark.parametrize(
    'changes',
    [
        {'stage': 'joint'},
        {'stage': 'teacher', 'teacher': TeacherConfig(modality='rgb', edges='image', loop=LOOP)},
        {
            'student': StudentConfig(
                target='label', similarity_weight=0.0, edge_hint_weight=0.0, soft_weight=0.0,
                enhancement='none', loop=LOOP,
            )
        },
    ],
    ids=['joint', 'color teacher', 'student alone'],
)  # fmt: skip
def test_other_ways_to_train(config, fabric, changes):
    config = replace(config, **changes)
    roles = set(cekd.networks(config, fabric))
    expected = {'joint': {'teacher', 'student'}, 'teacher': {'teacher'}, 'student': {'student'}}
    assert roles == expected[config.stage]
    assert student_frames(config).labeled == 5


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


def test_hot_and_cold_classes():
    iou = dict.fromkeys(('bike', 'curve', 'car_stop', 'guardrail', 'color_cone'), 0.2)
    found = by_temperature({**iou, 'bump': None, 'car': 0.5, 'person': 0.7})
    assert found == {'miou_hot': 0.6, 'miou_cold': 0.2}
    metrics = {**found, 'miou': 0.3, 'macc': 0.4, 'boundary_f_3px': None}
    assert table_row('row', metrics) == '| row | 30.0 | 40.0 | 60.0 | 20.0 | - |'


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


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_complete(path):
    config = load_config(CekdConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    config.teacher_network(), config.student_network()


@pytest.mark.parametrize('stage', ['teacher', 'student'])
def test_drawing_goes_to_other_processes_by_its_settings(config, stage):
    own = Drawing(config, stage)
    expected = own(3, 1)
    sent = pickle.dumps(own)
    assert len(sent) < 10_000
    for part, other in zip(expected, pickle.loads(sent)(3, 1), strict=True):
        np.testing.assert_array_equal(part, other)
    assert not np.array_equal(expected[0], own(3, 2)[0])
