# SPDX-License-Identifier: Apache-2.0
"""Compression: which terms count, who teaches, that a run resumes, is recorded and exported."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from compress_runs import LOOP, tiny_run, write_teacher
from pair_bags import write_pairs
from torch.nn import functional

from kd_perception.bundle import load_student
from kd_perception.errors import ConfigError
from kd_perception.evaluation.report_page import is_synthetic_trained
from kd_perception.models import RepUNet, RepUNetConfig
from training import export, prior_correction
from training.losses import class_weights
from training.recipes import cekd, compress
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_data import class_weight
from training.recipes.cekd_trained import trained_network
from training.recipes.compress_config import CompressConfig, CompressTeacherConfig
from training.recipes.compress_data import Drawing
from training.records import read_record
from training.settings import load_config, plain

CONFIGS = sorted((Path(compress.__file__).parents[1] / 'configs' / 'compress').glob('*.yaml'))


@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    """A folder with the world's frames and a trained CEKD run: (folder, cache, config file)."""
    folder = tmp_path_factory.mktemp('compress')
    return folder, folder / 'world', write_teacher(folder, folder / 'world')


@pytest.fixture
def config(shared, tmp_path):
    return tiny_run(tmp_path, shared[1], shared[2])


def batch_of(config, size=2):
    drawing = Drawing(config)
    return tuple(
        torch.from_numpy(np.stack(part))
        for part in zip(*(drawing(0, k) for k in range(size)), strict=True)
    )


def test_terms_are_those_with_a_weight(config, fabric):
    network, teacher = (
        RepUNet(RepUNetConfig.preset('rep_unet_s')),
        compress.load_teacher(config, fabric),
    )
    weight = class_weights(np.full(9, 1 / 9))
    batch = batch_of(config)
    terms = compress.compression_losses(network, teacher, batch, config, weight)
    assert list(terms) == ['label', 'soft_cross_entropy', 'channel_wise']
    free = replace(config, label_weight=0.0, channel_wise_weight=0.0)
    unlabeled = (batch[0], torch.full_like(batch[1], 255))
    terms = compress.compression_losses(network, teacher, unlabeled, free, None)
    assert list(terms) == ['soft_cross_entropy']


def test_terms_compare_with_the_mean_of_the_teachers_logits(config, fabric):
    network = RepUNet(RepUNetConfig.preset('rep_unet_s')).eval()
    images, labels = batch_of(config)
    taught = torch.randn(2, 9, 64, 64, generator=torch.Generator().manual_seed(0))
    weight = class_weights(np.full(9, 1 / 9))
    terms = compress.compression_losses(
        network, compress.Teacher(lambda _: taught), (images, labels), config, weight
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
def test_the_teacher_is_the_network_of_its_run(shared, tmp_path, fabric, role):
    config = tiny_run(tmp_path, shared[1], shared[2], role)
    images, _ = batch_of(config)
    assert images.shape[1] == {'student': 1, 'teacher': 4}[role]
    network, step = trained_network(config.teacher.run(), role)
    assert step == LOOP.steps
    with torch.no_grad():
        logits = network(images).logits
    as_taught = compress.load_teacher(config, fabric)
    assert as_taught.weight is None
    torch.testing.assert_close(as_taught.logits(images), logits)
    config = replace(config, reweigh=True)
    taught = compress.load_teacher(config, fabric)
    expected = class_weight(config.teacher.run())
    torch.testing.assert_close(taught.weight, expected)
    found = taught.logits(images).softmax(dim=1) * expected[:, None, None]
    torch.testing.assert_close(found / found.sum(1, keepdim=True), logits.softmax(dim=1))


def test_only_teachers_with_weights_are_reweighed(shared, tmp_path, fabric):
    path = tmp_path / 'equal.yaml'
    source = load_config(CekdConfig, ['--config_path', str(shared[2])])
    source = replace(source, class_weighted=False, output=tmp_path / 'equal')
    cekd.networks(source, fabric)
    path.write_text(yaml.safe_dump(plain(source)), encoding='utf-8')
    config = tiny_run(tmp_path, shared[1], path, reweigh=True)
    with pytest.raises(ConfigError, match='reweigh to false'):
        compress.load_teacher(config, fabric)
    for changes in ({'reweigh': False}, {'soft_weight': 0.0}):
        assert compress.load_teacher(replace(config, **changes), fabric).weight is None


def test_a_teacher_without_seed_is_that_of_the_same_seed(config):
    teacher = replace(config.teacher, seed=None)
    assert replace(config, seed=3, teacher=teacher).teacher.run().seed == 3
    assert replace(config, seed=3).teacher.run().seed == 0


def test_an_unfinished_teacher_is_refused(shared, tmp_path, fabric):
    text = shared[2].read_text().replace('steps: 6', 'steps: 8')
    assert text != shared[2].read_text()
    path = tmp_path / 'longer.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match='another'):
        compress.load_teacher(tiny_run(tmp_path, shared[1], path), fabric)


def test_a_teacher_for_another_size_is_refused(config, fabric):
    view = replace(config.augmentation.view, height=96)
    config = replace(config, augmentation=replace(config.augmentation, view=view))
    with pytest.raises(ConfigError, match=r'\[64, 64\], got \[96, 64\]'):
        compress.load_teacher(config, fabric)


def test_a_teacher_of_other_classes_is_refused(shared, tmp_path, fabric):
    path = tmp_path / 'pst900.yaml'
    path.write_text(shared[2].read_text().replace("pst900: ''", 'pst900: folder'))
    with pytest.raises(ConfigError, match='classes of MFNet, got PST900'):
        compress.load_teacher(tiny_run(tmp_path, shared[1], path), fabric)


def test_six_and_six_steps_equal_twelve(config, fabric, tmp_path):
    twelve = replace(config, loop=replace(LOOP, steps=12, checkpoint_steps=6))
    whole = compress.train(twelve, fabric)
    halves = replace(twelve, output=tmp_path / 'halves')

    class Stop(Exception):
        pass

    def stopping(*arguments, **named):
        stopping.calls += 1
        if stopping.calls > 6:
            raise Stop
        return losses(*arguments, **named)

    stopping.calls, losses = 0, compress.compression_losses
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compress, 'compression_losses', stopping)
        with pytest.raises(Stop):
            compress.train(halves, fabric)
    resumed = compress.train(halves, fabric)
    assert resumed.step == whole.step == 12
    for name, value in whole.average.state_dict().items():
        torch.testing.assert_close(resumed.average.state_dict()[name], value, rtol=0, atol=0)


def test_a_run_starts_from_the_weights_of_another(shared, config, fabric, tmp_path):
    first = compress.train(tiny_run(tmp_path / 'first', shared[1]), fabric)
    later = replace(config, start_folder=str(tmp_path / 'first' / 'runs' / 'tiny' / 'seed0'))
    assert later.fingerprint() != config.fingerprint()
    run = compress.build(later)
    for name, value in first.average.state_dict().items():
        torch.testing.assert_close(run.network.state_dict()[name], value, rtol=0, atol=0)
    with pytest.raises(ConfigError, match='train it first'):
        compress.build(replace(config, start_folder=str(tmp_path / 'nothing')))


def test_a_run_is_recorded_and_exported(shared, tmp_path, config):
    arguments = ['--config_path', str(write_config(config, tmp_path))]
    compress.main(arguments)
    record = read_record(config.record_path)
    assert record['recipe'] == 'compress' and record['trained_on'] == 'synthetic'
    assert record['metrics'].keys() >= {'synthetic_test', 'presets', 'calibration'}
    assert record['metrics']['data_digest'].keys() == record['frame_keys'].keys()
    folder = tmp_path / 'student'
    export.main([*arguments, '--recipe', 'compress', '--folder', str(folder)])
    student = load_student(folder)
    provenance = student.spec.provenance
    assert provenance['recipe'] == 'compress' and provenance['teacher']['name'] == 'tiny'
    assert is_synthetic_trained(provenance)
    card = (folder / 'MODEL_CARD.md').read_text()
    assert '| Taught by | `EKNet`, preset `tiny`, 6 steps, and by labels |' in card
    assert '12 rendered frames of 64x96' in card
    assert student.spec.output_shape == (1, 9, 16, 24)
    run = compress.build(config)
    weight = compress.frame_weights(run)
    folded = run.average.folded()
    correction = 0.5 * (weight.log() - weight.log().min())
    found = export.trained_run(config).network
    torch.testing.assert_close(found.head.bias, folded.head.bias - correction)


def test_prior_corrections_of_a_run_are_measured(config, fabric):
    compress.train(config, fabric)
    report = compress.evaluate(compress.build(config), config)
    record = prior_correction.measure(config, (0.0, config.prior_correction))
    own = record['shares']['0.5']['test']
    assert own['pixel_accuracy'] == pytest.approx(
        report['synthetic_test']['pixel_accuracy'], abs=2e-3
    )
    assert record['shares']['0']['test']['nll'] != own['nll']


def write_config(config, folder):
    path = folder / 'compress.yaml'
    path.write_text(yaml.safe_dump(plain(config)), encoding='utf-8')
    assert load_config(CompressConfig, ['--config_path', str(path)]) == config
    return path


@pytest.fixture
def recorded(shared, tmp_path):
    drive = write_pairs(tmp_path / 'drive', count=5)
    return tiny_run(tmp_path, shared[1], shared[2], bag=str(drive), label_weight=0.0)


def test_a_reweighed_recording_is_corrected_by_the_weights_of_its_teacher(recorded, fabric):
    config = replace(recorded, reweigh=True)
    compress.train(config, fabric)
    run = compress.build(config)
    weight = compress.frame_weights(run)
    torch.testing.assert_close(weight, class_weight(config.teacher.run()))
    torch.testing.assert_close(export.trained_run(config).class_weight, weight)
    network = compress.deployable_network(run, config)
    correction = 0.5 * (weight.log() - weight.log().min())
    torch.testing.assert_close(network.head.bias, run.average.folded().head.bias - correction)
    with pytest.raises(ConfigError, match='looked at no labels'):
        prior_correction.finished_run(config)


def test_a_recording_teaches_without_labels(recorded, fabric):
    config = recorded
    images, labels = Drawing(config)(0, 0)
    assert images.shape == (1, 64, 64) and (labels == 255).all()
    run = compress.train(config, fabric)
    assert run.step == 6 and compress.frame_weights(run) is None
    network = compress.deployable_network(run, config)
    torch.testing.assert_close(network.head.bias, run.average.head.bias)
    assert 'train' not in compress.evaluate(run, config)['data_digest']


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'teacher': CompressTeacherConfig()}, 'must come together'),
        ({'soft_weight': 0.0, 'channel_wise_weight': 0.0}, 'must come together'),
        ({'soft_weight': -1.0}, 'must be >= 0'),
        ({'bag': 'drive'}, 'label_weight must be 0'),
        ({'network': 'rep_unet_xxl'}, 'network must be one of'),
    ],
)
def test_contradictions_are_refused(config, changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(config, **changes)
    with pytest.raises(ConfigError, match='role must be'):
        CompressTeacherConfig(role='nobody')


def test_samples_are_drawn_alike_in_another_process(config):
    drawing = Drawing(config)
    drawing(0, 0)
    copy = pickle.loads(pickle.dumps(drawing))
    for ours, theirs in zip(drawing(3, 1), copy(3, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_only_scored_changes_no_fingerprint(config):
    same = replace(config, presets=(), preset_count=1, prior_correction=0.0, results=Path('x'))
    assert same.fingerprint() == config.fingerprint()
    other = replace(config.teacher, role='teacher')
    for changes in ({'seed': 1}, {'soft_temperature': 3.0}, {'teacher': other}):
        assert replace(config, **changes).fingerprint() != config.fingerprint()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_configurations_load_and_name_their_file(path):
    config = load_config(CompressConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    assert config.folder == config.output / path.stem / 'seed0'
