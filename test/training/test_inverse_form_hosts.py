# SPDX-License-Identifier: Apache-2.0
"""InverseForm beside CEKD and beside compression: terms of both, boundaries of the teacher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_runs import tiny_run as compress_run
from compress_runs import write_teacher
from config_files import write_config
from inverse_form_runs import STUDENT, batch_of, module_of, tiny_run

from kd_perception.errors import ConfigError
from training.boundary_student import BoundaryStudent
from training.data.augmentation import AugmentationConfig, JointConfig
from training.distributed import launch
from training.losses import boundary_target
from training.recipes import cekd, compress, inverse_form
from training.recipes.cekd_losses import student_losses
from training.recipes.compress_data import Drawing as CompressDrawing
from training.recipes.compress_teacher import Teacher, load_teacher
from training.recipes.inverse_form_data import Drawing
from training.recipes.inverse_form_host_settings import HostConfig
from training.recipes.inverse_form_hosts import host_terms
from training.recipes.inverse_form_losses import student_terms
from training.recipes.inverse_form_students import new_student

EKNET = replace(STUDENT, architecture='eknet', network='tiny')
VIEW = AugmentationConfig(JointConfig(64, 64, scale_low=0.9, scale_high=1.1))


@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    """A folder with the world's frames and a trained CEKD run: (folder, cache, config file)."""
    folder = tmp_path_factory.mktemp('hosts')
    return folder, folder / 'world', write_teacher(folder, folder / 'world')


def cekd_hosted(shared, folder, **student):
    student = replace(EKNET, **{'outlines': 'teacher', **student})
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
    host = HostConfig('cekd', str(shared[2]))
    host = tiny_run(tmp_path, shared[1], seed=3, host=host, labeled=5, student=EKNET).host
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
        student.student, load_teacher(run, fabric), (images, labels), run, weight
    )
    assert list(terms)[:3] == list(expected) == ['label', 'soft_cross_entropy', 'channel_wise']
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    sum(terms.values()).backward()
    assert isinstance(student, BoundaryStudent)
    assert all(parameter.grad is not None for parameter in student.head.parameters())


def test_the_mask_of_a_bundle_is_as_large_as_the_images(shared, tmp_path, fabric, monkeypatch):
    """Its scores are at a quarter of them, where those of CEKD are not."""
    path = write_compression(shared, tmp_path)
    config = tiny_run(tmp_path, shared[1], host=HostConfig('compress', str(path)))
    batch = batch_of(config)
    coarse = torch.zeros(2, 9, 16, 16)
    coarse[:, 3, :, :8], coarse[:, 5, :, 8:] = 1.0, 1.0
    monkeypatch.setattr(
        'training.recipes.inverse_form_hosts.load_teacher', lambda *_: Teacher(lambda _: coarse)
    )
    host = host_terms(config, fabric)
    _, mask = host(new_student(config).eval()(batch[0][:, :1]), batch, torch.ones(9))
    assert mask.shape == (2, 64, 64)
    assert (mask[:, :, :32] == 3).all() and (mask[:, :, 32:] == 5).all()


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


def trained_compression(folder, cache, **changes):
    """A compression without a teacher, after two steps."""
    loop = replace(compress_run(folder, cache).loop, steps=2)
    run = compress_run(folder, cache, augmentation=VIEW, loop=loop, **changes)
    compress.train(run, launch(run.launch))
    return run


def test_a_run_goes_on_where_that_of_its_host_does(shared, tmp_path):
    before = trained_compression(tmp_path, shared[1], name='before')
    start = str(before.folder)
    run = compress_run(tmp_path, shared[1], augmentation=VIEW, start_folder=start)
    path = write_config(run, tmp_path, 'goes_on')
    path.write_text(path.read_text().replace(before.folder.name, 'seed{seed}'))
    hosted = {'host': HostConfig('compress', str(path)), 'view_size': (64, 64)}
    config = tiny_run(tmp_path, shared[1], image_size=(64, 96), random_cameras=True, **hosted)
    config = replace(config, augmentation=run.augmentation)
    first, compressed = new_student(config).student.state_dict(), compress.build(run).network
    assert config.host.run().start_folder == start
    for key, value in compressed.state_dict().items():
        assert torch.equal(first[key], value), key
    alone = tiny_run(tmp_path, shared[1])
    assert not torch.equal(new_student(alone).student.state_dict()[key], value)
    for sample, expected in zip(Drawing(config)(3, 1), CompressDrawing(run)(3, 1), strict=True):
        np.testing.assert_array_equal(sample, expected)
    with pytest.raises(ConfigError, match='seed4'):
        new_student(replace(config, seed=4, host=replace(config.host, seed=4)))


def test_hosts_that_do_not_fit_are_refused(shared, tmp_path, fabric):
    host = HostConfig('cekd', str(shared[2]))
    for values, message in (
        ({'student': STUDENT}, 'network of its host, eknet tiny'),
        ({'student': replace(EKNET, network='small')}, 'got eknet small'),
        ({'image_size': (64, 96)}, 'as large as those of the host, 64x64, got 64x96'),
        ({'labeled': 4}, 'labeled must be that of the host, 5, got 4'),
        ({'labeled': None}, 'labeled must be that of the host, 5, got None'),
    ):
        changes = {'labeled': 5, 'student': EKNET, **values}
        with pytest.raises(ConfigError, match=message):
            tiny_run(tmp_path, shared[1], host=host, **changes)
    alone = compress_run(tmp_path, shared[1], augmentation=VIEW)
    path = write_config(alone, tmp_path, 'alone')
    for values, message in (
        ({'student': replace(STUDENT, outlines='teacher')}, 'need a host that has one'),
        ({'class_weights': 'batch'}, "must be shares with this host, got 'batch'"),
        ({'class_weights': 'none'}, "must be shares with this host, got 'none'"),
        ({'labeled': 5}, 'labeled must be that of the host, None, got 5'),
        ({'student': replace(STUDENT, network='rep_unet')}, 'rep_unet rep_unet_s, and see'),
        ({'modality': 'rgb'}, "thermal images, got rep_unet rep_unet_s and 'rgb'"),
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
