# SPDX-License-Identifier: Apache-2.0
"""The pose network: Monodepth2's size, the scale and order of its motions, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import PoseNetwork, PoseNetworkConfig
from kd_perception.models.resnet import ResNet, ResNetConfig


def tiny(**changes) -> PoseNetwork:
    torch.manual_seed(0)
    return PoseNetwork(PoseNetworkConfig(**{'base_width': 4, **changes}))


def parameter_count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize('poses', [1, 2])
def test_parts_have_the_sizes_of_monodepth2(poses):
    with torch.device('meta'):
        network = PoseNetwork(PoseNetworkConfig.preset('paper', poses=poses))
    three_more_channels = 3 * 64 * 7 * 7
    assert parameter_count(network.encoder) == 11_176_512 + three_more_channels
    two_by_3x3 = 2 * (9 * 256 * 256 + 256)
    written_out = (512 * 256 + 256) + two_by_3x3 + (256 * 6 * poses + 6 * poses)
    assert parameter_count(network.decoder) == written_out
    assert poses == 1 or parameter_count(network) == 12_500_492


@pytest.mark.parametrize(
    ('preset', 'million'), [('paper', 12.50), ('small', 3.13), ('tiny', 0.79)]
)
def test_presets_have_the_sizes_that_the_documentation_gives(preset, million):
    with torch.device('meta'):
        network = PoseNetwork(PoseNetworkConfig.preset(preset))
    assert parameter_count(network) / 1e6 == pytest.approx(million, abs=0.005)


@pytest.mark.parametrize(('frames', 'poses'), [(2, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize('frame_channels', [1, 3])
def test_every_number_of_frames_and_poses_trains(frames, poses, frame_channels):
    network = tiny(frames=frames, poses=poses, frame_channels=frame_channels).train()
    motion = network(torch.rand(2, frames * frame_channels, 64, 96))
    assert motion.axis_angle.shape == motion.translation.shape == (2, poses, 3)
    (motion.axis_angle.square().sum() + motion.translation.square().sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_motions_are_a_hundredth_of_the_last_layer_rotation_first_pose_after_pose():
    network = tiny(poses=2).eval()
    with torch.no_grad():
        network.decoder[-1].weight.zero_()
        network.decoder[-1].bias.copy_(torch.arange(1.0, 13.0))
        motion = network(torch.rand(1, 6, 64, 96))
    np.testing.assert_allclose(motion.axis_angle[0], [[0.01, 0.02, 0.03], [0.07, 0.08, 0.09]])
    np.testing.assert_allclose(motion.translation[0], [[0.04, 0.05, 0.06], [0.10, 0.11, 0.12]])


def test_motion_becomes_the_matrix_that_takes_points_to_the_second_frame():
    poses = pytest.importorskip('training.poses')
    network = tiny().eval()
    with torch.no_grad():
        network.decoder[-1].weight.zero_()
        network.decoder[-1].bias.copy_(100.0 * torch.tensor([0, 0, np.pi / 2, 1, 2, 3]))
        motion = network(torch.rand(2, 6, 64, 96))
    pose = poses.pose_from_motion(motion.axis_angle[:, 0], motion.translation[:, 0])
    quarter_turn = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(pose, [quarter_turn, quarter_turn], atol=1e-5)


def test_motion_is_the_mean_over_the_image_of_what_the_layers_compute():
    torch.manual_seed(2)
    network = tiny().eval()
    image = torch.rand(1, 6, 96, 64)
    with torch.no_grad():
        motion = network(image)
        y = network.encoder((image - 0.45) / 0.225)[-1][0].double().numpy()
    layers = [layer for layer in network.decoder if isinstance(layer, torch.nn.Conv2d)]
    for k, layer in enumerate(layers):
        y = zero_padded_convolution(y, layer)
        y = y if k == 3 else y.clip(min=0)
    expected = 0.01 * y.mean(axis=(1, 2))
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(motion.axis_angle[0, 0], expected[:3], atol=1e-7)
    np.testing.assert_allclose(motion.translation[0, 0], expected[3:], atol=1e-7)


def zero_padded_convolution(x: np.ndarray, conv: torch.nn.Conv2d) -> np.ndarray:
    weight = conv.weight.detach().double().numpy()
    size = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)))
    height, width = x.shape[1:]
    taps = (
        np.einsum('oi,ihw->ohw', weight[:, :, i, j], padded[:, i : i + height, j : j + width])
        for i in range(size)
        for j in range(size)
    )
    return sum(taps) + conv.bias.detach().double().numpy()[:, None, None]


def test_motions_of_an_untrained_network_are_small():
    with torch.no_grad():
        motion = tiny().eval()(torch.rand(4, 6, 64, 96))
    assert max(part.abs().max() for part in motion) < 0.05


@pytest.mark.parametrize('shape', [(1, 3, 64, 96), (1, 6, 60, 96), (1, 6, 64, 90), (6, 64, 96)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r'\[batch, 6, height, width\]'):
        tiny()(torch.zeros(shape))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'frames': 1}, 'frames >= 2'),
        ({'poses': 0}, 'poses >= 1'),
        ({'frame_channels': 0}, 'frame_channels must be >= 1'),
        ({'encoder_depth': 19}, 'depth must be one of'),
        ({'base_width': 0}, 'base_width'),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        PoseNetworkConfig(**changes)


@pytest.mark.parametrize('frames', [2, 3])
def test_imagenet_weights_answer_to_equal_frames_as_to_one(tmp_path, frames):
    source = ResNet(ResNetConfig(18, base_width=4)).eval()
    torch.save(source.state_dict(), tmp_path / 'resnet18.pth')
    network = tiny(frames=frames).eval()
    network.load_imagenet_weights(tmp_path / 'resnet18.pth')
    color = source.conv1.weight
    for k in range(frames):
        part = network.encoder.conv1.weight[:, 3 * k : 3 * k + 3]
        torch.testing.assert_close(part, color / frames)
    image = torch.rand(2, 3, 64, 64)
    several = network.encoder(image.repeat(1, frames, 1, 1))
    for found, expected in zip(several, source(image), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_color_weights_are_refused_for_frames_without_color(tmp_path):
    torch.save(ResNet(ResNetConfig(18, base_width=4)).state_dict(), tmp_path / 'resnet18.pth')
    with pytest.raises(ConfigError, match='frame_channels must be 3'):
        tiny(frames=3, frame_channels=1).load_imagenet_weights(tmp_path / 'resnet18.pth')
