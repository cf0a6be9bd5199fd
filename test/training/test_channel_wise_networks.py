# SPDX-License-Identifier: Apache-2.0
"""Networks of channel-wise distillation: by configuration, what they see, what labels teach."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models import PSPNet, RepUNet
from training.recipes.channel_wise_networks import (
    NetworkConfig,
    Segmenter,
    told_of_first_weights,
)


def test_labels_teach_pspnet_at_full_size_and_rep_unet_at_half_of_it():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 9, (2, 64, 64), generator=generator)
    labels[:, :10] = 255
    image, weight = torch.rand(2, 1, 64, 64, generator=generator), torch.linspace(1, 3, 9)

    def entropy(logits, target, align):
        upsampled = functional.interpolate(
            logits, target.shape[1:], mode='bilinear', align_corners=align
        )
        return functional.cross_entropy(upsampled, target, weight, ignore_index=255)

    for network, target, align in (
        (NetworkConfig(), labels[:, 1::2, 1::2], False),
        (NetworkConfig('pspnet', 'tiny'), labels, True),
    ):
        segmenter = Segmenter(network, 9).train()
        maps = segmenter(image)
        terms = segmenter.label_terms(maps, labels, weight)
        torch.testing.assert_close(terms['label'], entropy(maps.logits, target, align))
        if network.architecture == 'pspnet':
            expected = 0.4 * entropy(maps.auxiliary_logits, target, align)
            torch.testing.assert_close(terms['auxiliary'], expected)
        else:
            assert list(terms) == ['label']
        scores = segmenter.eval().scores(image)
        assert scores.shape[2:] == ((16, 16) if network.architecture == 'rep_unet' else (64, 64))


def test_pixels_of_the_authors_code_are_blue_first_and_less_a_mean():
    torch.manual_seed(0)
    config = NetworkConfig('pspnet', 'tiny', modality='rgb', pixels='bgr_mean')
    segmenter = Segmenter(config, 9).eval()
    image = torch.rand(1, 3, 32, 32)
    mean = torch.tensor([104.007, 116.669, 122.679]).view(1, 3, 1, 1)
    expected = segmenter.network((255.0 * image)[:, [2, 1, 0]] - mean).logits
    swapped = segmenter.network(255.0 * image - mean).logits
    rounding = 1e-3 * float(expected.detach().abs().max())
    torch.testing.assert_close(segmenter(image).logits, expected, rtol=0.0, atol=rounding)
    assert float((swapped - expected).detach().abs().max()) > 10.0 * rounding


def test_teacher_and_student_by_configuration(tmp_path):
    assert NetworkConfig('pspnet', 'paper', depth=101, modality='rgb').feature_channels == 512
    assert NetworkConfig('pspnet', 'paper', depth=18, modality='rgb').feature_channels == 128
    assert NetworkConfig(preset='rep_unet').feature_channels == 64
    assert isinstance(Segmenter(NetworkConfig('pspnet', 'tiny'), 19).network, PSPNet)
    network = Segmenter(NetworkConfig(preset='rep_unet', modality='rgbt'), 5).network
    assert isinstance(network, RepUNet) and network.config.in_channels == 4
    assert network.config.out_channels == 5
    weights = Segmenter(NetworkConfig('pspnet', 'tiny', modality='rgb'), 19).network.encoder
    torch.save(weights.state_dict(), tmp_path / 'resnet.pth')
    named = NetworkConfig('pspnet', 'tiny', modality='rgb', weights_file=f'{tmp_path}/resnet.pth')
    loaded = Segmenter(named, 19).network.encoder
    assert torch.equal(loaded.conv1.weight, weights.conv1.weight)


@pytest.mark.parametrize(
    'config',
    [
        NetworkConfig(),
        NetworkConfig('pspnet', 'tiny', depth=18),
        NetworkConfig('pspnet', 'tiny', depth=50),
    ],
    ids=['rep_unet', 'pspnet18', 'pspnet50'],
)
def test_sizes_of_maps_are_known_before(config):
    segmenter = Segmenter(config, 9).eval()
    for size in ((32, 32), (64, 96), (96, 128)):
        maps = segmenter(torch.rand(1, 1, *size))
        expected = config.map_size(*size)
        assert maps.logits.shape[2:] == maps.features.shape[2:] == expected


def test_the_papers_networks_say_when_they_start_from_random_weights(tmp_path):
    bare = NetworkConfig('pspnet', 'paper', modality='rgb')
    for other in (NetworkConfig(), NetworkConfig('pspnet', 'tiny')):
        assert told_of_first_weights({'student': other}) == ''
    told = told_of_first_weights({'teacher': bare, 'student': bare})
    assert 'teacher and student' in told and '--teacher.weights_file and --student' in told
    path = tmp_path / 'resnet.pth'
    named = replace(bare, weights_file=str(path))
    with pytest.raises(ConfigError, match=r'teacher.weights_file must be a file .*resnet\.pth'):
        told_of_first_weights({'teacher': named, 'student': bare})
    path.touch()
    told = told_of_first_weights({'teacher': named, 'student': bare})
    assert told.startswith('Starting from random weights: student.')


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'architecture': 'unet'}, "architecture must be one of .*got 'unet'"),
        ({'preset': 'tiny'}, 'network must be one of'),
        ({'modality': 'depth'}, 'modality must be one of'),
        ({'pixels': 'imagenet'}, 'pixels must be one of'),
        ({'pixels': 'bgr_mean'}, "must come with modality rgb, got 'thermal'"),
        ({'weights_file': 'resnet.pth'}, 'must be empty with rep_unet'),
        ({'architecture': 'pspnet', 'preset': 'tiny', 'depth': 19}, 'depth'),
    ],
)
def test_bad_networks_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        NetworkConfig(**values)
