# SPDX-License-Identifier: Apache-2.0
"""Networks rebuilt from what a bundle or a checkpoint says of them."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

from kd_perception.errors import ConfigError
from kd_perception.models import (
    CENet,
    CENetConfig,
    EKNet,
    EKNetConfig,
    LogitsOnly,
    RepUNet,
    RepUNetConfig,
    build_network,
    build_trainable_network,
)

TINY = {'image_size': (64, 96), 'encoder_depth': 18, 'base_width': 4, 'attention_blocks': 1}
CONFIGS = [
    RepUNetConfig(1, 9, (4, 8, 8, 16, 16), (1, 2, 1, 2, 1), 8),
    CENetConfig(**TINY, edge_stage=None),
    CENetConfig(**TINY, modality='rgb', edge_stage=2),
    EKNetConfig(**TINY, enhancement='none'),
    EKNetConfig(**TINY, enhancement='two_sided', enhancement_offset=1.0),
]
CLASSES = {RepUNetConfig: RepUNet, CENetConfig: CENet, EKNetConfig: EKNet}


@pytest.mark.parametrize('config', CONFIGS, ids=lambda c: type(c).__name__)
def test_description_survives_yaml_and_json(config):
    for text in (yaml.safe_dump(config.architecture()), json.dumps(config.architecture())):
        network = build_trainable_network(yaml.safe_load(text))
        assert type(network) is CLASSES[type(config)]
        assert network.config == config


@pytest.mark.parametrize('config', CONFIGS[1:], ids=lambda c: type(c).__name__)
def test_inference_network_gives_the_logits_of_the_trained_one(config):
    torch.manual_seed(0)
    trained = build_trainable_network(config.architecture())
    rebuilt = build_network(config.architecture())
    rebuilt.load_state_dict(LogitsOnly(trained).state_dict())
    assert not rebuilt.training and rebuilt.config == config
    image = torch.rand(2, config.in_channels, 64, 96)
    with torch.no_grad():
        assert torch.equal(rebuilt(image), trained.eval()(image).logits)


@pytest.mark.parametrize(
    'architecture',
    [
        {},
        {'name': 'other'},
        {'name': 'rep_unet', 'config': {'depth': 3}},
        {'name': 'cenet', 'config': {'depth': 3}},
        {'name': 'cenet', 'config': {'image_size': 'large'}},
        {'name': 'cenet', 'config': {'image_size': 480}},
        {'name': 'eknet', 'config': {'base_width': '64'}},
        {'name': 'eknet', 'config': ['base_width']},
        {'name': ['eknet']},
    ],
)
def test_unknown_architectures_are_refused(architecture):
    for build in (build_network, build_trainable_network):
        with pytest.raises(ConfigError, match=r'architecture|image_size'):
            build(architecture)


@pytest.mark.slow
def test_graph_of_the_student_computes_what_the_network_does():
    pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    np = pytest.importorskip('numpy')
    from training.student_files import logit_difference, onnx_from_network

    network = build_network(EKNetConfig(**TINY).architecture())
    graph = onnx_from_network(network, (64, 96))
    image = np.random.default_rng(0).random((1, 1, 64, 96), dtype=np.float32)
    assert logit_difference(network, graph, image) < 1e-4
