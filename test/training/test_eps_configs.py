# SPDX-License-Identifier: Apache-2.0
"""The configurations of EPS: read, named as their files, the paper's with the paper's numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tagged_folders import CLASSES, tagged_folder

from kd_perception.errors import ConfigError
from kd_perception.models import ClassMapNet, DeepLab
from training.recipes import eps
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_networks import new_classifier, new_segmentation
from training.settings import load_config

ROOT = Path(eps.__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / 'training' / 'configs' / 'eps').glob('*.yaml'))
OF_THE_WORLD = [path for path in CONFIGS if path.stem not in ('voc', 'bag')]


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
        'seg_eps': 'eps', 'seg_full': 'eps', 'seg_cam': 'cam',
        'thermal_from_color': 'street_tiles', 'thermal_full': 'thermal_eps',
    }  # fmt: skip
    for name, other in shared.items():
        assert prints.pop(name) == prints[other]
    assert len(set(prints.values())) == len(prints)


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


def test_a_recording(tmp_path):
    path = ROOT / 'training' / 'configs' / 'eps' / 'bag.yaml'
    folder = tagged_folder(tmp_path)
    config = read(path, '--tagged', str(folder))
    assert (config.name, config.classes, config.modality) == ('bag', CLASSES, 'thermal')
    height, width = config.tagged_size
    assert config.segmentation.image_size == (3 * height, 4 * width), 'of 3x4 tiles'
    with pytest.raises(ConfigError, match='two multiples of 32'):
        read(path, '--tagged', str(folder), '--tagged_size', '[100, 128]')


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
