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
    HRNet,
    HRNetConfig,
    LogDepthAndSigma,
    LogitsOnly,
    MonodepthUNet,
    MonodepthUNetConfig,
    PoseNetwork,
    PoseNetworkConfig,
    PSPNet,
    PSPNetConfig,
    RepUNet,
    RepUNetConfig,
    build_network,
    build_trainable_network,
)

TINY = {'image_size': (64, 96), 'encoder_depth': 18, 'base_width': 4, 'attention_blocks': 1}
SEGMENTING = [
    CENetConfig(**TINY, edge_stage=None),
    CENetConfig(**TINY, modality='rgb', edge_stage=2),
    EKNetConfig(**TINY, enhancement='none'),
    EKNetConfig(**TINY, enhancement='two_sided', enhancement_offset=1.0),
    HRNetConfig.preset('tiny', in_channels=1, out_channels=9),
    PSPNetConfig(18, 1, 9, base_width=4, ceil_pooling=False),
]
DEPTH = MonodepthUNetConfig(base_width=4, encoder_depth=34, min_depth_m=0.5, max_depth_m=80.0)
STUDENT = RepUNetConfig(3, 2, (4, 8, 8, 16, 16), (1, 2, 1, 2, 1), 8)
CONFIGS = [
    RepUNetConfig(1, 9, (4, 8, 8, 16, 16), (1, 2, 1, 2, 1), 8),
    STUDENT,
    *SEGMENTING,
    DEPTH,
    PoseNetworkConfig(base_width=4, poses=2),
]
CLASSES = {
    RepUNetConfig: RepUNet,
    CENetConfig: CENet,
    EKNetConfig: EKNet,
    HRNetConfig: HRNet,
    PSPNetConfig: PSPNet,
    MonodepthUNetConfig: MonodepthUNet,
    PoseNetworkConfig: PoseNetwork,
}


@pytest.mark.parametrize('config', CONFIGS, ids=lambda c: type(c).__name__)
def test_description_survives_yaml_and_json(config):
    for text in (yaml.safe_dump(config.architecture()), json.dumps(config.architecture())):
        network = build_trainable_network(yaml.safe_load(text))
        assert type(network) is CLASSES[type(config)]
        assert network.config == config


@pytest.mark.parametrize('config', SEGMENTING, ids=lambda c: type(c).__name__)
def test_inference_network_gives_the_logits_of_the_trained_one(config):
    torch.manual_seed(0)
    trained = build_trainable_network(config.architecture())
    rebuilt = build_network(config.architecture())
    rebuilt.load_state_dict(LogitsOnly(trained).state_dict())
    assert not rebuilt.training and rebuilt.config == config
    image = torch.rand(2, config.in_channels, 64, 96)
    with torch.no_grad():
        assert torch.equal(rebuilt(image), trained.eval()(image).logits)


def test_depth_network_gives_log_depth_and_log_sigma_of_its_finest_scale():
    disparity = pytest.importorskip('training.disparity')
    torch.manual_seed(0)
    trained = build_trainable_network(DEPTH.architecture())
    rebuilt = build_network(DEPTH.architecture())
    rebuilt.load_state_dict(LogDepthAndSigma(trained).state_dict())
    assert not rebuilt.training and rebuilt.config == DEPTH
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        maps, output = rebuilt(image), trained.eval()(image)
    depth_m = disparity.depth_from_sigmoid(
        output.disparities[0], min_depth_m=0.5, max_depth_m=80.0
    )
    assert maps.shape == (2, 2, 64, 96)
    torch.testing.assert_close(maps[:, :1].exp(), depth_m)
    assert torch.equal(maps[:, 1:], output.log_sigmas[0])


@pytest.mark.parametrize(('bias', 'depth_m'), [(-100.0, 80.0), (100.0, 0.5)])
def test_depth_network_stays_within_its_range(bias, depth_m):
    network = build_network(DEPTH.architecture())
    with torch.no_grad():
        network.network.disparity_decoder.heads[0].bias.fill_(bias)
        maps = network(torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(maps[:, 0].exp(), torch.full((1, 64, 64), depth_m))


def test_a_pose_network_is_no_student():
    with pytest.raises(ConfigError, match='architecture of a student must map one image'):
        build_network(PoseNetworkConfig(base_width=4).architecture())


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
        {'name': 'hrnet', 'config': {'depth': 3}},
        {'name': ['eknet']},
        {'name': 'monodepth_unet', 'config': {'width': 64}},
        {'name': 'monodepth_unet', 'config': {'base_width': '64'}},
        {'name': 'pose_network', 'config': {'frames': None}},
    ],
)
def test_unknown_architectures_are_refused(architecture):
    for build in (build_network, build_trainable_network):
        with pytest.raises(ConfigError, match=r'architecture|image_size'):
            build(architecture)


@pytest.mark.slow
@pytest.mark.parametrize('config', [EKNetConfig(**TINY), DEPTH], ids=lambda c: type(c).__name__)
def test_graph_of_the_student_computes_what_the_network_does(config):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    np = pytest.importorskip('numpy')
    from training.student_files import logit_difference, onnx_from_network

    torch.manual_seed(0)
    network = build_network(config.architecture())
    graph = onnx_from_network(network, (64, 96), channels=config.in_channels)
    image = np.random.default_rng(0).random((1, config.in_channels, 64, 96), dtype=np.float32)
    with torch.no_grad():
        assert network(torch.from_numpy(image)).std() > 0.05
    assert logit_difference(network, graph, image) < 1e-4
