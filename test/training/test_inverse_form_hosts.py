# SPDX-License-Identifier: Apache-2.0
"""InverseForm beside CEKD and beside compression: terms of both, boundaries of the teacher."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from compress_runs import tiny_run as compress_run
from compress_runs import write_teacher
from config_files import write_config
from inverse_form_runs import STUDENT, batch_of, module_of, tiny_run

from kd_perception.errors import ConfigError
from training.boundary_student import BoundaryStudent
from training.data.augmentation import AugmentationConfig, JointConfig
from training.losses import boundary_target
from training.recipes import cekd, compress, inverse_form
from training.recipes.cekd_losses import student_losses
from training.recipes.inverse_form_hosts import host_terms
from training.recipes.inverse_form_losses import student_terms
from training.recipes.inverse_form_settings import HostConfig
from training.recipes.inverse_form_students import new_student

VIEW = AugmentationConfig(JointConfig(64, 64, scale_low=0.9, scale_high=1.1))


@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    """A folder with the world's frames and a trained CEKD run: (folder, cache, config file)."""
    folder = tmp_path_factory.mktemp('hosts')
    return folder, folder / 'world', write_teacher(folder, folder / 'world')


def cekd_hosted(shared, folder, **student):
    student = replace(STUDENT, architecture='eknet', **{'outlines': 'teacher', **student})
    host = HostConfig('cekd', str(shared[2]))
    return tiny_run(folder, shared[1], host=host, labeled=5, student=student)


def test_cekd_keeps_its_terms(shared, tmp_path, fabric):
    config = cekd_hosted(shared, tmp_path)
    images, labels = batch_of(config)
    assert images.shape == (2, 4, 64, 64)
    student = new_student(config).eval()
    run = config.host.run()
    assert student.student.config == run.student_network()
    terms = student_terms(
        student, (images, labels), config,
        host=host_terms(config, fabric), inverse=module_of(config),
    )  # fmt: skip
    teacher = cekd.trained_teacher(run, fabric)
    expected = student_losses(student.student, teacher, (images, labels), run, None)
    own = ['boundary', 'edge_attention', 'inverse_form']
    assert list(terms) == [*expected, *own]
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)


def test_boundaries_are_the_teachers_where_labels_are_hidden(shared, tmp_path, fabric):
    config = cekd_hosted(shared, tmp_path)
    images, labels = batch_of(config)
    hidden = torch.full_like(labels, 255)
    student, module = new_student(config).eval(), module_of(config)
    host = host_terms(config, fabric)
    one, other = (
        student_terms(student, (images, seen), config, host=host, inverse=module)
        for seen in (labels, hidden)
    )
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    with torch.no_grad():
        mask = cekd.trained_teacher(config.host.run(), fabric)(images).logits.argmax(dim=1)
    assert (boundary_target(mask) == 1).any() and one['inverse_form'] > 0.0
    from_label = replace(config, student=replace(config.student, outlines='label'))
    blind = student_terms(student, (images, hidden), from_label, host=host, inverse=module)
    assert blind['boundary'] == 0.0 == blind['inverse_form']


def test_a_hosted_run_learns_and_differs_from_one_without_boundaries(shared, tmp_path, fabric):
    config = cekd_hosted(shared, tmp_path)
    metrics = inverse_form.run_stages(config, fabric)
    assert {'inverse', 'test'} <= set(metrics)
    plain_run = cekd_hosted(
        shared, tmp_path, boundary_weight=0.0, attention_weight=0.0, inverse_form_weight=0.0
    )
    assert plain_run.fingerprint() != config.fingerprint()


def test_a_host_without_seed_is_of_the_same_seed(shared, tmp_path):
    student = replace(STUDENT, architecture='eknet')
    host = HostConfig('cekd', str(shared[2]))
    host = tiny_run(tmp_path, shared[1], seed=3, host=host, student=student).host
    assert host.run().seed == 3
    assert host.run() is host.run(), 'read once, not in every step'


def write_compression(shared, folder, **changes):
    config = compress_run(folder, shared[1], shared[2], 'teacher', augmentation=VIEW, **changes)
    return write_config(config, folder, 'compress')


def test_compression_keeps_its_terms(shared, tmp_path, fabric):
    path = write_compression(shared, tmp_path)
    config = tiny_run(tmp_path, shared[1], host=HostConfig('compress', str(path)))
    images, labels = batch_of(config)
    assert images.shape[1] == 4, 'the teacher sees color'
    student = new_student(config).eval()
    weight = torch.linspace(1.0, 3.0, 9)
    terms = student_terms(
        student, (images, labels), config,
        host=host_terms(config, fabric), inverse=module_of(config), weight=weight,
    )  # fmt: skip
    run = config.host.run()
    expected = compress.compression_losses(
        student.student, compress.load_teacher(run, fabric), (images, labels), run, weight
    )
    assert list(terms)[:3] == list(expected) == ['label', 'soft_cross_entropy', 'channel_wise']
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    sum(terms.values()).backward()
    assert isinstance(student, BoundaryStudent)
    assert all(parameter.grad is not None for parameter in student.head.parameters())


def test_a_host_needs_no_teacher(shared, tmp_path, fabric):
    alone = compress_run(tmp_path, shared[1], augmentation=VIEW)
    path = write_config(alone, tmp_path, 'alone')
    config = tiny_run(tmp_path, shared[1], host=HostConfig('compress', str(path)))
    host = host_terms(config, fabric)
    weight = torch.ones(9)
    batch = batch_of(config)
    terms = student_terms(
        new_student(config).eval(), batch, config, host=host, inverse=module_of(config),
        weight=weight,
    )  # fmt: skip
    assert list(terms) == ['label', 'boundary', 'edge_attention', 'inverse_form']


def test_hosts_that_do_not_fit_are_refused(shared, tmp_path, fabric):
    host = HostConfig('cekd', str(shared[2]))
    with pytest.raises(ConfigError, match='must have the architecture eknet'):
        tiny_run(tmp_path, shared[1], host=host)
    with pytest.raises(ConfigError, match='image_size must be that of the views of the host'):
        tiny_run(
            tmp_path, shared[1], host=host, image_size=(64, 96),
            student=replace(STUDENT, architecture='eknet'),
        )  # fmt: skip
    alone = compress_run(tmp_path, shared[1], augmentation=VIEW)
    path = write_config(alone, tmp_path, 'alone')
    for values, message in (
        ({'student': replace(STUDENT, outlines='teacher')}, 'need a host that has one'),
        ({'class_weights': 'batch'}, "must be shares with this host, got 'batch'"),
        ({'class_weights': 'none'}, "must be shares with this host, got 'none'"),
    ):
        with pytest.raises(ConfigError, match=message):
            tiny_run(tmp_path, shared[1], host=HostConfig('compress', str(path)), **values)
    with pytest.raises(ConfigError, match="must be shares or none with this host, got 'batch'"):
        replace(cekd_hosted(shared, tmp_path), class_weights='batch')
    other = tmp_path / 'pst900.yaml'
    other.write_text(shared[2].read_text().replace("pst900: ''", 'pst900: folder'))
    config = replace(cekd_hosted(shared, tmp_path), host=HostConfig('cekd', str(other)))
    with pytest.raises(ConfigError, match='classes of MFNet, got PST900'):
        host_terms(config, fabric)
