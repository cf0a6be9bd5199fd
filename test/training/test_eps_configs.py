# SPDX-License-Identifier: Apache-2.0
"""The configurations of EPS: read, named as their files, the paper's with the paper's numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tagged_folders import CLASSES, HEAT, LABEL, tagged_folder

from kd_perception.bags import BagWriter
from kd_perception.errors import ConfigError
from kd_perception.models import ClassMapNet, DeepLab
from kd_perception.tagging.command import make_tag_set
from kd_perception.tagging.extraction import TagSetConfig
from training.recipes import eps
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_networks import new_classifier, new_segmentation
from training.settings import load_config

ROOT = Path(eps.__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / 'training' / 'configs' / 'eps').glob('*.yaml'))
OF_THE_WORLD = [path for path in CONFIGS if path.stem not in ('voc', 'voc_cam', 'bag')]


def read(path, *changes):
    return load_config(EpsConfig, ['--config_path', str(path), *changes])


@pytest.mark.parametrize('path', OF_THE_WORLD, ids=lambda path: path.stem)
def test_configurations_of_the_world(path):
    config = read(path)
    assert config.name == path.stem and config.rendered
    new_classifier(config)
    new_segmentation(config)


def test_rows_differ_in_what_they_say_they_do():
    prints = {path.stem: read(path).masks_fingerprint() for path in OF_THE_WORLD}
    shared = {
        'seg_eps': 'eps', 'seg_learned': 'eps_learned', 'seg_salient': 'eps_salient',
        'seg_naive_salient': 'naive_salient', 'seg_full': 'eps', 'seg_salient_tags': 'eps',
        'seg_cam': 'cam', 'thermal_full': 'thermal_eps',
    }  # fmt: skip
    for name, other in shared.items():
        assert prints.pop(name) == prints[other]
    assert len(set(prints.values())) == len(prints)
    networks = {path.stem: read(path).fingerprint() for path in OF_THE_WORLD}
    assert len(set(networks.values())) == len(networks)


def test_rows_without_training_take_the_maps_of_others():
    folder = ROOT / 'training' / 'configs' / 'eps'
    for name in ('cam', 'eps', 'naive', 'tags_first'):
        first, then = (read(folder / f'{each}.yaml') for each in (name, f'{name}_salient'))
        assert first.classifier_folder == then.classifier_folder
        assert first.shares_folder == then.shares_folder
        assert first.masks_folder != then.masks_folder


@pytest.mark.parametrize('name', ['eps', 'naive', 'street_tiles', 'thermal_eps'])
def test_rows_of_the_learnt_background_take_the_classifiers_of_others(name):
    folder = ROOT / 'training' / 'configs' / 'eps'
    first, then = (
        read(folder / f'{each}.yaml') for each in (name, f'{name.removesuffix("_eps")}_learned')
    )
    assert then.masks.background == 'learned' and first.classifier_folder == then.classifier_folder
    assert first.shares_folder != then.shares_folder


def test_cam_has_no_background_to_look_at():
    path = ROOT / 'training' / 'configs' / 'eps' / 'cam.yaml'
    with pytest.raises(ConfigError, match=r'classifier\.method must be eps, got cam'):
        read(path, '--masks.background', 'learned')


def test_all_rows_see_the_same_frames_but_those_of_heat():
    keys = {path.stem: read(path).splits()['train'].key() for path in OF_THE_WORLD}
    heat = {keys.pop(name) for name in list(keys) if name.startswith('thermal_')}
    del keys['smoke']
    assert len(heat) == len(set(keys.values())) == 1


def test_the_paper():
    config = read(ROOT / 'training' / 'configs' / 'eps' / 'voc.yaml')
    own, optimizer = config.classifier, config.classifier.optimizer
    assert (own.overlap_threshold, own.blend, own.selection) == (0.4, 0.5, 'adaptive')
    assert (own.view.crop_size, own.view.longest_low, own.view.longest_high) == (448, 256, 512)
    assert (own.loop.steps, own.loop.batch_size) == (20000, 8)
    assert (optimizer.kind, optimizer.learning_rate, optimizer.momentum) == ('sgd', 0.01, 0.0)
    assert (optimizer.weight_decay, optimizer.schedule, optimizer.power) == (
        5e-4,
        'polynomial',
        0.9,
    )
    assert (own.rates.head, own.rates.bias) == (10.0, 2.0)
    assert config.masks.scales == (0.5, 1.0, 1.5, 2.0) and config.masks.flip
    assert (config.masks.background_threshold, config.masks.crf) == (0.2, 'none')
    field = config.segmentation.random_field
    assert (field.iterations, field.appearance_weight, field.appearance_px) == (10, 4.0, 67.0)
    assert (field.appearance_levels, field.smoothness_weight, field.smoothness_px) == (
        3.0,
        3.0,
        1.0,
    )
    with torch.device('meta'):
        assert ClassMapNet(own.sizes(20, 'rgb')).head.weight.shape == (21, 4096, 1, 1)
        assert len(DeepLab(config.segmentation.sizes(21)).classifiers) == 4


def test_the_baseline_of_the_paper():
    folder = ROOT / 'training' / 'configs' / 'eps'
    cam, eps_run = (read(folder / f'{name}.yaml') for name in ('voc_cam', 'voc'))
    own, other = cam.classifier, eps_run.classifier
    assert (own.method, own.dropout, other.dropout) == ('cam', 0.5, 0.0)
    for part in ('network', 'weights_file', 'view', 'rates', 'loop', 'optimizer'):
        assert getattr(own, part) == getattr(other, part)
    assert cam.masks == eps_run.masks and cam.saliency_source() == {'source': 'none'}


def test_a_recording(tmp_path):
    path = ROOT / 'training' / 'configs' / 'eps' / 'bag.yaml'
    with BagWriter(tmp_path / 'square') as bag:
        bag.write_image(HEAT, np.zeros((96, 128), np.uint16), stamp_ns=1)
        bag.write_image(LABEL, np.zeros((96, 128), np.uint8), stamp_ns=1)
    folder = tmp_path / 'tiles'
    make_tag_set(folder, TagSetConfig(tmp_path / 'square', CLASSES, HEAT, 1, 1, (3, 4), LABEL))
    config = read(path, '--tagged', str(folder))
    assert (config.name, config.classes, config.modality) == ('bag', CLASSES, 'thermal')
    height, width = config.tagged_size
    assert config.segmentation.image_size == (3 * height, 4 * width), 'of 3x4 tiles'
    assert config.record_path == Path('runs/eps/records/bag_seed0.json'), 'not among the results'
    with pytest.raises(ConfigError, match='two multiples of 32'):
        read(path, '--tagged', str(folder), '--tagged_size', '[100, 128]')
    whole = tagged_folder(tmp_path, name='whole')
    with pytest.raises(ConfigError, match='frames are whole, 64x96'):
        read(path, '--tagged', str(whole))


@pytest.mark.slow
def test_smoke(tmp_path):
    """From nothing to the row of the table."""
    command = [
        sys.executable, '-m', 'training.recipes.eps', '--config_path',
        str(ROOT / 'training' / 'configs' / 'eps' / 'smoke.yaml'), '--cache', str(tmp_path / 'c'),
        '--output', str(tmp_path / 'o'), '--results', str(tmp_path / 'r'),
    ]  # fmt: skip
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=280,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    assert '| smoke | ' in result.stdout and (tmp_path / 'r' / 'smoke_seed0.json').is_file()


@pytest.mark.slow
def test_networks_of_the_paper_learn_on_this_machine():
    config = read(ROOT / 'training' / 'configs' / 'eps' / 'voc.yaml')
    network = ClassMapNet(config.classifier.sizes(20, 'rgb')).train()
    found = network(torch.randn(1, 3, 64, 64))
    assert found.maps.shape == (1, 21, 8, 8)
    (found.scores.sum() + found.maps.square().mean()).backward()
    assert network.head.weight.grad.abs().sum() > 0.0
    assert network.encoder.b3.conv_branch2a.weight.grad is not None
    assert network.encoder.b2.conv_branch2a.weight.grad is None
    del network
    deeplab = DeepLab(config.segmentation.sizes(21)).train()
    output = deeplab(torch.randn(1, 3, 64, 64))
    assert [tuple(part.shape[2:]) for part in output.pyramid] == [(8, 8), (4, 4), (6, 6)]
    output.logits.sum().backward()
    assert deeplab.encoder.conv1.weight.grad.abs().sum() > 0.0
