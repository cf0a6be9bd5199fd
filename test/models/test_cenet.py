# SPDX-License-Identifier: Apache-2.0
"""The teacher: the paper's sizes and shapes, its fusion, its edges, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import CENet, CENetConfig
from kd_perception.models.resnet import ResNet, ResNetConfig

TINY = {'image_size': (64, 96), 'encoder_depth': 18, 'base_width': 4, 'attention_blocks': 2}


def tiny(**changes) -> CENet:
    torch.manual_seed(0)
    return CENet(CENetConfig(**{**TINY, **changes})).eval()


def million(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def loss_of(output) -> torch.Tensor:
    parts = [part for part in output if part is not None]
    return sum(part.square().mean() for part in parts)


def assert_every_gradient_is_finite(network: torch.nn.Module) -> None:
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_paper_preset_has_the_published_size():
    with torch.device('meta'):
        network = CENet(CENetConfig.preset('paper'))
    assert million(network) == pytest.approx(245.11, abs=0.005)
    assert million(network.edge) == pytest.approx(2.493, abs=0.0005)
    assert million(network.rgb_encoder.attention) == pytest.approx(43.62, abs=0.005)
    assert million(network.decoder.stages['stage5']) == pytest.approx(103.83, abs=0.005)


@pytest.mark.parametrize(('preset', 'size'), [('small', 4.98), ('tiny', 1.25)])
def test_small_presets_have_the_sizes_that_the_documentation_gives(preset, size):
    with torch.device('meta'):
        network = CENet(CENetConfig.preset(preset))
    assert million(network) == pytest.approx(size, abs=0.005)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_paper_preset_at_full_size_forward_and_backward():
    torch.manual_seed(0)
    network = CENet(CENetConfig.preset('paper')).eval()
    output = network(torch.rand(1, 4, 480, 640))
    assert output.features.shape == (1, 2048, 15, 20)
    assert output.logits.shape == (1, 9, 480, 640)
    assert output.hint.shape == (1, 256, 120, 160)
    assert output.edge_logits.shape == (1, 1, 120, 160)
    assert output.logits.min() >= 0 and output.logits.isfinite().all()
    loss_of(output).backward()
    assert_every_gradient_is_finite(network)
    with pytest.raises(ShapeError, match='480, 640'):
        network(torch.zeros(1, 4, 640, 480))


@pytest.mark.parametrize('preset', ['small', 'tiny'])
def test_small_presets_train(preset):
    torch.manual_seed(0)
    network = CENet(CENetConfig.preset(preset)).train()
    output = network(torch.rand(2, 4, 192, 256))
    assert output.logits.shape == (2, 9, 192, 256)
    assert output.hint.shape[2:] == output.edge_logits.shape[2:] == (48, 64)
    assert output.features.shape[2:] == (6, 8)
    loss_of(output).backward()
    assert_every_gradient_is_finite(network)


@pytest.mark.parametrize('depth', [18, 34, 50])
@pytest.mark.parametrize(('modality', 'channels'), [('thermal', 1), ('rgb', 3), ('rgbt', 4)])
def test_every_modality_with_basic_blocks_and_bottlenecks(depth, modality, channels):
    network = tiny(modality=modality, encoder_depth=depth)
    assert network.config.in_channels == channels
    assert (network.rgb_encoder is None) == (modality == 'thermal')
    assert (network.thermal_encoder is None) == (modality == 'rgb')
    output = network(torch.rand(2, channels, 64, 96))
    assert output.logits.shape == (2, 9, 64, 96)
    loss_of(output).backward()
    assert_every_gradient_is_finite(network)


def test_one_stream_saves_one_encoder():
    with torch.device('meta'):
        both, thermal = (CENet(CENetConfig(modality=m)) for m in ('rgbt', 'thermal'))
    assert million(both) - million(thermal) == pytest.approx(million(both.rgb_encoder))


def test_heat_is_added_to_color_after_every_stage_and_goes_on_without_it():
    network, image = tiny(), torch.rand(1, 4, 64, 96)
    rgb, thermal = image[:, 1:], image[:, :1]
    for stage, feature in enumerate(network.encode(image), 1):
        rgb = network.rgb_encoder.run_stage(stage, rgb)
        thermal = network.thermal_encoder.run_stage(stage, thermal)
        rgb = rgb + thermal
        assert torch.equal(feature, rgb)


@pytest.mark.parametrize(
    ('stage', 'size', 'channels'),
    [
        (1, (64, 96), 9),
        (2, (32, 48), 2),
        (3, (16, 24), 4),
        (4, (8, 12), 8),
        (5, (4, 6), 16),
    ],
)
def test_edge_module_at_every_decoder_stage(stage, size, channels):
    network = tiny(edge_stage=stage)
    assert network.config.edge_size == size
    assert network.edge.conv.in_channels == channels
    output = network(torch.rand(2, 4, 64, 96))
    assert output.edge_logits.shape == (2, 1, *size)
    assert output.hint.shape == (2, 4, 16, 24)
    loss_of(output).backward()
    assert_every_gradient_is_finite(network)


def test_without_edge_module():
    network = tiny(edge_stage=None)
    assert network.edge is None and network.config.edge_size is None
    assert network(torch.rand(1, 4, 64, 96)).edge_logits is None


def test_edge_map_is_added_to_what_the_module_saw_and_the_sum_is_the_hint():
    network, seen = tiny(), {}
    network.edge.register_forward_hook(lambda m, inputs, output: seen.update(d3=inputs[0]))
    stage2 = network.decoder.stages['stage2']
    stage2.register_forward_hook(lambda m, inputs, output: seen.update(into_stage2=inputs[0]))
    output = network(torch.rand(1, 4, 64, 96))
    torch.testing.assert_close(output.hint, seen['d3'] + torch.sigmoid(output.edge_logits))
    assert torch.equal(output.hint, seen['into_stage2'])


def test_edges_at_stage_one_change_no_probability():
    network, image = tiny(edge_stage=1), torch.rand(1, 4, 64, 96)
    with torch.no_grad():
        with_edges = network(image).logits
        network.edge = None
        without = network(image).logits
    assert (with_edges - without).abs().min() > 0
    torch.testing.assert_close(
        functional.softmax(with_edges, 1), functional.softmax(without, 1), atol=1e-5, rtol=1e-4
    )


def test_class_scores_are_not_negative_unless_asked():
    image = torch.rand(2, 4, 64, 96)
    with torch.no_grad():
        assert tiny().train()(image).logits.min() >= 0
        assert tiny(nonnegative_logits=False).train()(image).logits.min() < 0


@pytest.mark.parametrize('shape', [(1, 4, 96, 64), (1, 4, 64, 128), (1, 3, 64, 96), (4, 64, 96)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r'\[batch, 4, 64, 96\]'):
        tiny()(torch.zeros(shape))


@pytest.mark.parametrize(
    'changes', [{'modality': 'both'}, {'edge_stage': 0}, {'edge_stage': 6}, {'edge_stage': '3'}]
)
def test_unknown_settings_are_refused(changes):
    with pytest.raises(ConfigError, match=f'{next(iter(changes))} must be'):
        CENetConfig(**changes)


def test_imagenet_weights_reach_both_encoders(tmp_path):
    source = ResNet(ResNetConfig(18, base_width=4))
    torch.save(source.state_dict(), tmp_path / 'resnet18.pth')
    network = tiny()
    network.load_imagenet_weights(tmp_path / 'resnet18.pth')
    rgb, thermal = network.rgb_encoder.resnet, network.thermal_encoder.resnet
    assert torch.equal(rgb.conv1.weight, source.conv1.weight)
    torch.testing.assert_close(thermal.conv1.weight, source.conv1.weight.mean(1, keepdim=True))
    for encoder in (rgb, thermal):
        assert torch.equal(encoder.layer3[1].conv2.weight, source.layer3[1].conv2.weight)
