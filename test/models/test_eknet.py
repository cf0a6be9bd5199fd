# SPDX-License-Identifier: Apache-2.0
"""The student: the paper's sizes and shapes, where the enhanced image goes, what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import CENet, CENetConfig, EKNet, EKNetConfig
from kd_perception.models.resnet import ResNet, ResNetConfig

TINY = {'image_size': (64, 96), 'encoder_depth': 18, 'base_width': 4, 'attention_blocks': 2}


def tiny(**changes) -> EKNet:
    torch.manual_seed(0)
    return EKNet(EKNetConfig(**{**TINY, **changes})).eval()


def million(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def loss_of(output) -> torch.Tensor:
    return sum(part.square().mean() for part in output[:3])


def assert_every_gradient_is_finite(network: torch.nn.Module) -> None:
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_paper_preset_has_the_published_size():
    with torch.device('meta'):
        network = EKNet(EKNetConfig.preset('paper'))
        without = EKNet(EKNetConfig.preset('paper', enhancement='none'))
    assert million(network) == pytest.approx(190.46, abs=0.005)
    assert million(network.enhancement) == 1705e-6
    assert million(network) - million(without) == pytest.approx(1705e-6)


@pytest.mark.parametrize(('preset', 'size'), [('small', 3.55), ('tiny', 0.89)])
def test_small_presets_have_the_sizes_that_the_documentation_gives(preset, size):
    with torch.device('meta'):
        network = EKNet(EKNetConfig.preset(preset))
    assert million(network) == pytest.approx(size, abs=0.005)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_paper_preset_at_full_size_forward_and_backward():
    torch.manual_seed(0)
    network = EKNet(EKNetConfig.preset('paper')).eval()
    output = network(torch.rand(1, 1, 480, 640))
    assert output.features.shape == (1, 2048, 15, 20)
    assert output.logits.shape == (1, 9, 480, 640)
    assert output.hint.shape == (1, 256, 120, 160)
    assert output.logits.min() >= 0 and output.logits.isfinite().all()
    loss_of(output).backward()
    assert_every_gradient_is_finite(network)
    with pytest.raises(ShapeError, match='480, 640'):
        network(torch.zeros(1, 1, 640, 480))


@pytest.mark.parametrize('preset', ['small', 'tiny'])
def test_small_presets_train(preset):
    torch.manual_seed(0)
    network = EKNet(EKNetConfig.preset(preset)).train()
    output = network(torch.rand(2, 1, 192, 256))
    assert output.logits.shape == (2, 9, 192, 256)
    assert output.hint.shape[2:] == (48, 64)
    assert output.features.shape[2:] == (6, 8)
    loss_of(output).backward()
    assert_every_gradient_is_finite(network)
    assert network.enhancement.regressor.fc2.weight.grad.abs().sum() > 0


@pytest.mark.parametrize('preset', ['small', 'tiny'])
def test_student_and_teacher_of_a_preset_can_be_compared(preset):
    with torch.device('meta'):
        student = EKNet(EKNetConfig.preset(preset)).eval()
        teacher = CENet(CENetConfig.preset(preset)).eval()
        taught = student(torch.zeros(1, 1, 192, 256))
        teaching = teacher(torch.zeros(1, 4, 192, 256))
    for name in ('logits', 'features', 'hint'):
        assert getattr(taught, name).shape == getattr(teaching, name).shape


@pytest.mark.parametrize('depth', [18, 34, 50])
@pytest.mark.parametrize('enhancement', ['none', 'raw', 'softplus', 'two_sided'])
def test_every_enhancement_with_basic_blocks_and_bottlenecks(depth, enhancement):
    network = tiny(encoder_depth=depth, enhancement=enhancement).train()
    output = network(torch.rand(2, 1, 64, 96))
    assert output.logits.shape == (2, 9, 64, 96)
    assert (output.exponent is None) == (enhancement == 'none')
    loss_of(output).backward()
    assert_every_gradient_is_finite(network)


def test_enhanced_image_enters_every_decoder_stage_by_nearest_neighbors():
    network, entering = tiny(), {}
    for name, stage in network.decoder.stages.items():
        stage.register_forward_hook(
            lambda module, inputs, output, name=name: entering.update({name: (inputs[0], output)})
        )
    image = torch.rand(2, 1, 64, 96)
    with torch.no_grad():
        output, features = network(image), network.encoder(image)
        enhanced = network.enhancement(image).image
    left = output.features
    for stage in (5, 4, 3, 2, 1):
        entered, gave = entering[f'stage{stage}']
        small = functional.interpolate(enhanced, scale_factor=0.5**stage)
        assert small.shape == (2, 1, 64 >> stage, 96 >> stage)
        torch.testing.assert_close(entered, left + small)
        if stage == 2:
            torch.testing.assert_close(output.hint, left, msg='hint lacks the enhanced image')
        skip = 0 if stage == 1 else features[stage - 2]
        left = gave + (network.decoder.widen(skip) if stage == 2 else skip)
    torch.testing.assert_close(output.logits, left)


def test_kdnet_is_the_student_without_enhancement():
    student, kdnet = tiny(), tiny(enhancement='none')
    assert kdnet.enhancement is None
    weights = {k: v for k, v in student.state_dict().items() if not k.startswith('enhancement')}
    kdnet.load_state_dict(weights)
    black, image = torch.zeros(1, 1, 64, 96), torch.rand(1, 1, 64, 96)
    with torch.no_grad():
        assert torch.equal(student(black).logits, kdnet(black).logits), 'black stays black'
        assert not torch.equal(student(image).logits, kdnet(image).logits)
    assert kdnet.train()(torch.rand(2, 1, 64, 96)).exponent is None


def test_one_image_in_training_is_refused_with_enhancement_only():
    with pytest.raises(ShapeError, match='two images'):
        tiny().train()(torch.rand(1, 1, 64, 96))
    assert tiny(enhancement='none').train()(torch.rand(1, 1, 64, 96)).logits.isfinite().all()


def test_class_scores_are_not_negative_unless_asked():
    image = torch.rand(2, 1, 64, 96)
    with torch.no_grad():
        assert tiny().train()(image).logits.min() >= 0
        assert tiny(nonnegative_logits=False).train()(image).logits.min() < 0


@pytest.mark.parametrize('shape', [(1, 1, 96, 64), (1, 1, 64, 128), (1, 4, 64, 96), (1, 64, 96)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r'\[batch, 1, 64, 96\]'):
        tiny()(torch.zeros(shape))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'enhancement': 'cube'}, "one of .*'none', 'raw'"),
        ({'enhancement': 'softplus', 'enhancement_offset': 1.0}, '> 1.0'),
        ({'enhancement_offset': 0.0}, '> 0.0'),
        ({'image_size': (32, 64)}, '>= 64 with enhancement'),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        EKNetConfig(**changes)


def test_small_images_work_without_enhancement():
    network = tiny(image_size=(32, 32), enhancement='none')
    assert network(torch.rand(1, 1, 32, 32)).logits.shape == (1, 9, 32, 32)


def test_imagenet_weights_reach_the_encoder(tmp_path):
    source = ResNet(ResNetConfig(18, base_width=4))
    torch.save(source.state_dict(), tmp_path / 'resnet18.pth')
    network = tiny()
    network.load_imagenet_weights(tmp_path / 'resnet18.pth')
    stem = network.encoder.resnet.conv1.weight
    torch.testing.assert_close(stem, source.conv1.weight.mean(1, keepdim=True))
