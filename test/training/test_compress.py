# SPDX-License-Identifier: Apache-2.0
"""Compression: runs resume, start from others, are recorded, exported, need no labels."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from compress_runs import LOOP, tiny_run
from pair_bags import write_pairs

from kd_perception.bundle import load_student
from kd_perception.errors import ConfigError
from kd_perception.evaluation.report_page import is_synthetic_trained
from training import export, prior_correction
from training.recipes import compress
from training.recipes.cekd_data import class_weight
from training.recipes.compress_config import CompressConfig
from training.recipes.compress_data import Drawing
from training.records import read_record
from training.settings import load_config, plain


@pytest.fixture
def config(tmp_path, world_cache, cekd_teacher):
    return tiny_run(tmp_path, world_cache, cekd_teacher)


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


def test_a_run_starts_from_the_weights_of_another(world_cache, config, fabric, tmp_path):
    first = compress.train(tiny_run(tmp_path / 'first', world_cache), fabric)
    later = replace(config, start_folder=str(tmp_path / 'first' / 'runs' / 'tiny' / 'seed0'))
    assert later.fingerprint() != config.fingerprint()
    run = compress.build(later)
    for name, value in first.average.state_dict().items():
        torch.testing.assert_close(run.network.state_dict()[name], value, rtol=0, atol=0)
    with pytest.raises(ConfigError, match='train it first'):
        compress.build(replace(config, start_folder=str(tmp_path / 'nothing')))


def test_a_run_is_recorded_and_exported(tmp_path, config):
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
    weight = compress.frame_weights(run, config)
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
def recorded(world_cache, cekd_teacher, tmp_path):
    drive = write_pairs(tmp_path / 'drive', count=5)
    return tiny_run(tmp_path, world_cache, cekd_teacher, bag=str(drive), label_weight=0.0)


def test_a_reweighed_recording_is_corrected_by_the_weights_of_its_teacher(
    recorded, fabric, tmp_path
):
    config = replace(recorded, reweigh=True)
    compress.train(config, fabric)
    run = compress.build(config)
    weight = compress.frame_weights(run, config)
    torch.testing.assert_close(weight, class_weight(config.teacher.run()))
    torch.testing.assert_close(export.trained_run(config).class_weight, weight)
    export.export_student(config, tmp_path / 'student')
    assert load_student(tmp_path / 'student').spec.provenance['prior_correction'] == 0.5
    card = (tmp_path / 'student' / 'MODEL_CARD.md').read_text()
    assert 'weighted by class. 50% of the logarithm' in card
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
    assert run.step == 6 and compress.frame_weights(run, config) is None
    network = compress.deployable_network(run, config)
    torch.testing.assert_close(network.head.bias, run.average.head.bias)
    noted = run.notes['recording']
    assert noted['key'] == config.recorded_pairs.key(config.cache)
    assert compress.train(config, fabric).notes == run.notes, 'it is found as it was'
    shutil.rmtree(config.bag)
    write_pairs(Path(config.bag), count=4)
    with pytest.raises(ConfigError, match=rf'began with, {noted["key"]}, got .* has changed'):
        compress.train(config, fabric)


def test_a_student_of_a_recording_is_recorded_and_exported(recorded, tmp_path):
    compress.main(['--config_path', str(write_config(recorded, tmp_path))])
    record = read_record(recorded.record_path)
    assert record['recording']['report']['pairs'] == 5
    assert record['frame_keys']['train'] == record['recording']['key']
    assert record['metrics']['data_digest']['train'] == record['recording']['digest']
    shutil.rmtree(recorded.bag)  # only training needs it
    export.export_student(recorded, tmp_path / 'student')
    provenance = load_student(tmp_path / 'student').spec.provenance
    assert provenance['trained_on'] == 'the images of the recording drive, without labels'
    assert not is_synthetic_trained(provenance)
    assert provenance['prior_correction'] == 0.0 < recorded.prior_correction
    card = (tmp_path / 'student' / 'MODEL_CARD.md').read_text()
    assert 'trained on a recording without labels' in card and 'Not looked at yet' in card
    assert 'weighted by class' not in card


@pytest.mark.parametrize('reweigh', [False, True])
def test_rendered_frames_without_labels_are_corrected_by_what_weighed(config, fabric, reweigh):
    config = replace(config, label_weight=0.0, reweigh=reweigh)
    run = compress.train(config, fabric)
    weight = compress.frame_weights(run, config)
    assert (weight is not None) == config.class_weighted == reweigh
    network = compress.deployable_network(run, config)
    expected = run.average.folded().head.bias
    if reweigh:
        torch.testing.assert_close(weight, class_weight(config.teacher.run()))
        expected = expected - 0.5 * (weight.log() - weight.log().min())
    torch.testing.assert_close(network.head.bias, expected)


def test_samples_are_drawn_alike_in_another_process(config):
    drawing = Drawing(config)
    drawing(0, 0)
    copy = pickle.loads(pickle.dumps(drawing))
    for ours, theirs in zip(drawing(3, 1), copy(3, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_labels_that_do_not_count_are_not_drawn_either(world_cache, cekd_teacher, tmp_path):
    config = tiny_run(tmp_path, world_cache, cekd_teacher)
    assert any((Drawing(config)(0, k)[1] != 255).any() for k in range(4))
    free = Drawing(replace(config, label_weight=0.0))
    assert all((free(0, k)[1] == 255).all() for k in range(8))
