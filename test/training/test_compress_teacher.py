# SPDX-License-Identifier: Apache-2.0
"""Compression: which terms count, who teaches, and which teachers are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from channel_wise_runs import TERMS
from compress_runs import LOOP, batch_of, tiny_run
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models import RepUNet, RepUNetConfig
from training.engine import LoopConfig
from training.losses import class_weights
from training.recipes import cekd, compress
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_data import Drawing, class_weight
from training.recipes.cekd_networks import TeacherConfig
from training.recipes.cekd_trained import fingerprint_of, steps_of, trained_network
from training.recipes.channel_wise_terms import Given, loss_of
from training.recipes.compress_teacher import Teacher, load_teacher
from training.settings import load_config, plain


@pytest.fixture
def config(tmp_path, world_cache, cekd_teacher):
    return tiny_run(tmp_path, world_cache, cekd_teacher)


def test_terms_are_those_with_a_weight(config, fabric):
    network, teacher = (
        RepUNet(RepUNetConfig.preset('rep_unet_s')),
        load_teacher(config, fabric),
    )
    weight = class_weights(np.full(9, 1 / 9))
    batch = batch_of(config)
    terms = compress.compression_losses(network, teacher, batch, config, weight)
    assert list(terms) == ['label', 'soft_cross_entropy', 'channel_wise']
    free = replace(config, label_weight=0.0, channel_wise_weight=0.0)
    unlabeled = (batch[0], torch.full_like(batch[1], 255))
    terms = compress.compression_losses(network, teacher, unlabeled, free, None)
    assert list(terms) == ['soft_cross_entropy']


def test_any_loss_on_logits_may_be_learnt_beside(config, fabric):
    names = [name for name in TERMS if name.endswith('logits') and 'holistic' not in name]
    alone = {'soft_weight': 0.0, 'channel_wise_weight': 0.0}
    config = replace(config, terms=tuple(TERMS[name] for name in names), **alone)
    network = RepUNet(RepUNetConfig.preset('rep_unet_s')).eval()
    images, labels = batch_of(config)
    taught = torch.randn(2, 9, 64, 64, generator=torch.Generator().manual_seed(0))
    weight, teacher = torch.linspace(1.0, 4.0, 9), Teacher(lambda _: taught)
    terms = compress.compression_losses(network, teacher, (images, labels), config, weight)
    assert list(terms) == ['label', *names]
    coarse, logits = functional.avg_pool2d(taught, 4), network(images)
    given = Given(labels, 9, weight)
    for name in names:
        expected = TERMS[name].weight * loss_of(TERMS[name], logits, coarse, given)
        torch.testing.assert_close(terms[name], expected)


def test_terms_compare_with_the_mean_of_the_teachers_logits(config, fabric):
    network = RepUNet(RepUNetConfig.preset('rep_unet_s')).eval()
    images, labels = batch_of(config)
    taught = torch.randn(2, 9, 64, 64, generator=torch.Generator().manual_seed(0))
    weight = class_weights(np.full(9, 1 / 9))
    terms = compress.compression_losses(
        network, Teacher(lambda _: taught), (images, labels), config, weight
    )
    coarse = taught.reshape(2, 9, 16, 4, 16, 4).mean(dim=(3, 5))
    logits = network(images)
    soft = functional.softmax(coarse / 2.0, dim=1)
    expected = -(soft * functional.log_softmax(logits / 2.0, dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(terms['soft_cross_entropy'], expected)
    places = [functional.log_softmax(x.flatten(2) / 4.0, dim=2) for x in (coarse, logits)]
    divergence = (places[0].exp() * (places[0] - places[1])).sum() / (2 * 9)
    torch.testing.assert_close(terms['channel_wise'], 3.0 * 16.0 * divergence)


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_the_teacher_is_the_network_of_its_run(world_cache, cekd_teacher, tmp_path, fabric, role):
    config = tiny_run(tmp_path, world_cache, cekd_teacher, role)
    images, _ = batch_of(config)
    assert images.shape[1] == {'student': 1, 'teacher': 4}[role]
    network, step = trained_network(config.teacher.run(), role)
    assert step == LOOP.steps
    with torch.no_grad():
        logits = network(images).logits
    as_taught = load_teacher(config, fabric)
    assert as_taught.weight is None
    torch.testing.assert_close(as_taught.logits(images), logits)
    config = replace(config, reweigh=True)
    taught = load_teacher(config, fabric)
    expected = class_weight(config.teacher.run())
    torch.testing.assert_close(taught.weight, expected)
    found = taught.logits(images).softmax(dim=1) * expected[:, None, None]
    torch.testing.assert_close(found / found.sum(1, keepdim=True), logits.softmax(dim=1))


def test_only_teachers_with_weights_are_reweighed(world_cache, cekd_teacher, tmp_path, fabric):
    path = tmp_path / 'equal.yaml'
    source = load_config(CekdConfig, ['--config_path', str(cekd_teacher)])
    source = replace(source, class_weighted=False, output=tmp_path / 'equal')
    cekd.networks(source, fabric)
    path.write_text(yaml.safe_dump(plain(source)), encoding='utf-8')
    config = tiny_run(tmp_path, world_cache, path, reweigh=True)
    with pytest.raises(ConfigError, match='reweigh to false'):
        load_teacher(config, fabric)
    for changes in ({'reweigh': False}, {'soft_weight': 0.0}):
        assert load_teacher(replace(config, **changes), fabric).weight is None


def test_a_teacher_without_seed_is_that_of_the_same_seed(config):
    teacher = replace(config.teacher, seed=None)
    assert replace(config, seed=3, teacher=teacher).teacher.run().seed == 3
    assert replace(config, seed=3).teacher.run().seed == 0


def test_a_teacher_of_other_settings_is_refused(world_cache, cekd_teacher, tmp_path, fabric):
    text = cekd_teacher.read_text().replace('steps: 6', 'steps: 8')
    assert text != cekd_teacher.read_text()
    path = tmp_path / 'longer.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match='another'):
        load_teacher(tiny_run(tmp_path, world_cache, path), fabric)


def test_an_unfinished_teacher_is_refused(
    world_cache, cekd_teacher, tmp_path, fabric, monkeypatch
):
    source = load_config(CekdConfig, ['--config_path', str(cekd_teacher)])
    source = replace(source, output=tmp_path / 'unfinished')
    path = tmp_path / 'unfinished.yaml'
    path.write_text(yaml.safe_dump(plain(source)), encoding='utf-8')
    cekd.trained_teacher(source, fabric)
    draw = Drawing.__call__

    def dying(drawing, step, index):
        if step == 4:
            raise KeyboardInterrupt
        return draw(drawing, step, index)

    monkeypatch.setattr(Drawing, '__call__', dying)
    with pytest.raises(KeyboardInterrupt):
        cekd.networks(source, fabric)
    with pytest.raises(ConfigError, match='trained to its end, it is at step 3 of 6'):
        load_teacher(tiny_run(tmp_path, world_cache, path), fabric)


def test_both_networks_of_a_joint_run_are_of_its_one_checkpoint():
    apart = CekdConfig(stage='student', teacher=TeacherConfig(loop=LoopConfig(steps=2000)))
    joint = replace(apart, stage='joint')
    assert (steps_of(apart, 'teacher'), steps_of(joint, 'teacher')) == (2000, 4800)
    assert fingerprint_of(joint, 'teacher') == fingerprint_of(joint, 'student')
    assert fingerprint_of(apart, 'teacher') == apart.teacher_fingerprint()
    assert fingerprint_of(joint, 'teacher') != fingerprint_of(apart, 'teacher')


def test_a_teacher_for_another_size_is_refused(config, fabric):
    view = replace(config.augmentation.view, height=96)
    config = replace(config, augmentation=replace(config.augmentation, view=view))
    with pytest.raises(ConfigError, match=r'\[64, 64\], got \[96, 64\]'):
        load_teacher(config, fabric)


def test_a_teacher_of_other_classes_is_refused(world_cache, cekd_teacher, tmp_path, fabric):
    path = tmp_path / 'pst900.yaml'
    path.write_text(cekd_teacher.read_text().replace("pst900: ''", 'pst900: folder'))
    with pytest.raises(ConfigError, match='classes of MFNet, got PST900'):
        load_teacher(tiny_run(tmp_path, world_cache, path), fabric)
