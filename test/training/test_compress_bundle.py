# SPDX-License-Identifier: Apache-2.0
"""A bundle teaches: any student that the robot runs may teach a faster one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from compress_runs import batch_of, tiny_run
from torch.nn import functional

from kd_perception.bundle import load_student, save_student
from kd_perception.bundle_schema import ClassInfo, InputSpec
from kd_perception.errors import BundleError, ConfigError
from kd_perception.models import RepUNet, RepUNetConfig
from training.data.modality import CHANNELS
from training.engine import LoopConfig
from training.export import run_provenance
from training.model_card import _taught_by
from training.recipes import compress
from training.recipes.compress_config import CompressTeacherConfig
from training.recipes.compress_teacher import load_teacher
from training.student_files import onnx_from_network, weights_of

pytest.importorskip('onnxscript')


def write_bundle(folder, spec, *, modality='thermal', seed=0):
    """A network with random weights, of the classes of a description; returns the network."""
    torch.manual_seed(seed)
    channels = CHANNELS[modality]
    network = RepUNet(RepUNetConfig.preset('rep_unet_s', in_channels=channels)).eval().folded()
    spec = replace(
        spec,
        name='teaching',
        architecture=network.config.architecture(),
        input=InputSpec(64, 96, channels, modality),
    )
    save_student(
        folder,
        spec,
        onnx=onnx_from_network(network, (64, 96), channels=channels),
        weights=weights_of(network),
        model_card='# teaching\n',
    )
    return network


def taught_run(folder, cache, bundle, **changes):
    alone = tiny_run(folder, cache)
    taught = {'soft_weight': 0.0, 'channel_wise_weight': 3.0}
    return replace(alone, teacher=CompressTeacherConfig(bundle=str(bundle)), **(taught | changes))


@pytest.fixture(scope='module')
def bundle(tmp_path_factory, tiny_student_spec):
    folder = tmp_path_factory.mktemp('bundle') / 'teaching'
    return folder, write_bundle(folder, tiny_student_spec)


def test_its_scores_are_what_is_taught(bundle, tmp_path, world_cache, fabric):
    folder, network = bundle
    config = taught_run(tmp_path, world_cache, folder)
    images, labels = batch_of(config)
    assert images.shape[1] == 1
    teacher = load_teacher(config, fabric)
    assert teacher.weight is None
    torch.testing.assert_close(teacher.logits(images), network(images))
    own = RepUNet(RepUNetConfig.preset('rep_unet_s')).eval()
    terms = compress.compression_losses(own, teacher, (images, labels), config, torch.ones(9))
    places = [functional.log_softmax(f(images).flatten(2) / 4.0, dim=2) for f in (network, own)]
    divergence = (places[0].exp() * (places[0] - places[1])).sum() / (2 * 9)
    torch.testing.assert_close(terms['channel_wise'], 3.0 * 16.0 * divergence)


def test_one_that_sees_color_teaches_one_that_sees_heat(
    tmp_path, world_cache, tiny_student_spec, fabric
):
    network = write_bundle(tmp_path / 'color', tiny_student_spec, modality='rgb')
    config = taught_run(tmp_path, world_cache, tmp_path / 'color')
    images, _ = batch_of(config)
    assert images.shape[1] == 4
    torch.testing.assert_close(load_teacher(config, fabric).logits(images), network(images[:, 1:]))


def test_a_run_is_known_by_the_weights_that_taught_it(
    bundle, tmp_path, world_cache, tiny_student_spec
):
    folder, _ = bundle
    config = taught_run(tmp_path, world_cache, folder)
    moved = load_student(folder).folder.rename(tmp_path / 'moved')
    same = replace(config, teacher=CompressTeacherConfig(bundle=str(moved)))
    assert same.fingerprint() == config.fingerprint()
    moved.rename(folder)
    write_bundle(tmp_path / 'other', tiny_student_spec, seed=1)
    other = replace(config, teacher=CompressTeacherConfig(bundle=str(tmp_path / 'other')))
    assert other.fingerprint() != config.fingerprint()


def test_the_student_says_who_taught_it(bundle, tmp_path, world_cache, fabric):
    config = taught_run(tmp_path, world_cache, bundle[0])
    config = replace(config, loop=LoopConfig(steps=2, batch_size=2, checkpoint_steps=2))
    assert compress.train(config, fabric).step == 2
    known = run_provenance(config, {'data_digest': {}}, 2)
    assert known['teacher'] == {'bundle': 'teaching', 'sha256': load_student(bundle[0]).sha256}
    assert '| Taught by | the bundle `teaching`, and by labels |' in _taught_by(config)


def test_what_cannot_teach_is_refused(bundle, tmp_path, world_cache, tiny_student_spec, fabric):
    folder, _ = bundle
    with pytest.raises(ConfigError, match='one network teaches'):
        CompressTeacherConfig('cekd.yaml', bundle=str(folder))
    with pytest.raises(ConfigError, match='does not know the weights of the classes'):
        taught_run(tmp_path, world_cache, folder, soft_weight=1.0, reweigh=True)
    with pytest.raises(BundleError):
        taught_run(tmp_path, world_cache, tmp_path / 'none')
    fewer = tuple(ClassInfo(k, f'class {k}', (k, k, k)) for k in range(9))
    write_bundle(tmp_path / 'others', replace(tiny_student_spec, classes=fewer))
    with pytest.raises(ConfigError, match=r"must know \['unlabeled', .* got \['class 0'"):
        load_teacher(taught_run(tmp_path, world_cache, tmp_path / 'others'), fabric)
