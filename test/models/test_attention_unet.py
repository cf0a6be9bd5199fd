# SPDX-License-Identifier: Apache-2.0
"""Sizes that follow from a few numbers, the wiring of the decoder and refused sizes."""

from __future__ import annotations

import pytest
import torch

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models.attention_unet import (
    AttentionEncoder,
    AttentionUNetConfig,
    Decoder,
    check_image,
    preset_sizes,
)

TINY = AttentionUNetConfig((64, 96), 5, encoder_depth=18, base_width=4, attention_blocks=1)


def test_channels_of_the_paper():
    config = AttentionUNetConfig()
    assert config.encoder_channels == (64, 256, 512, 1024, 2048)
    assert config.decoder_channels == (9, 128, 256, 512, 1024)


def test_channels_with_basic_blocks():
    config = AttentionUNetConfig(encoder_depth=34, out_channels=5)
    assert config.encoder_channels == (64, 64, 128, 256, 512)
    assert config.decoder_channels == (5, 32, 64, 128, 256)


@pytest.mark.parametrize('depth', [18, 34, 50])
def test_stages_of_encoder_and_decoder_meet(depth):
    config = AttentionUNetConfig((64, 96), 5, encoder_depth=depth, base_width=4)
    features = AttentionEncoder(config, in_channels=1).eval()(torch.rand(2, 1, 64, 96))
    for stage, (feature, channels) in enumerate(
        zip(features, config.encoder_channels, strict=True), 1
    ):
        assert feature.shape == (2, channels, 64 >> stage, 96 >> stage)
    decoder, y = Decoder(config).eval(), features[-1]
    for stage in (5, 4, 3, 2, 1):
        y = decoder.run_stage(stage, y, features)
        channels = config.decoder_channels[stage - 1]
        assert y.shape == (2, channels, 128 >> stage, 192 >> stage)


@pytest.mark.parametrize('stage', [5, 4, 3, 2])
def test_skip_of_a_decoder_stage_is_the_encoder_feature_of_its_resolution(stage):
    torch.manual_seed(0)
    features = AttentionEncoder(TINY, in_channels=1).eval()(torch.rand(1, 1, 64, 96))
    decoder = Decoder(TINY).eval()
    x = torch.rand(1, TINY.encoder_channels[4] >> (5 - stage), 64 >> stage, 96 >> stage)
    without = decoder.stages[f'stage{stage}'](x)
    skip = decoder.widen(features[0]) if stage == 2 else features[stage - 2]
    assert torch.equal(decoder.run_stage(stage, x, features), without + skip)


@pytest.mark.parametrize(
    'sizes',
    [
        {'image_size': (480, 650)},
        {'image_size': (0, 640)},
        {'image_size': (480, 640, 3)},
        {'base_width': 7},
        {'base_width': 0},
        {'out_channels': 0},
        {'encoder_depth': 20},
        {'attention_heads': 3},
        {'attention_blocks': 0},
        {'attention_contraction': 0},
    ],
)
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ConfigError):
        AttentionUNetConfig(**sizes)


def test_presets_are_known_by_name():
    assert AttentionUNetConfig(**preset_sizes('paper')) == AttentionUNetConfig()
    with pytest.raises(ConfigError, match="'paper', 'small', 'tiny'"):
        preset_sizes('large')


def test_lists_from_a_description_become_tuples():
    assert AttentionUNetConfig(**AttentionUNetConfig().plain()) == AttentionUNetConfig()


@pytest.mark.parametrize('shape', [(1, 3, 64, 64), (1, 1, 96, 64), (1, 1, 64, 96), (1, 64, 64)])
def test_check_of_the_image_names_what_it_got(shape):
    check_image(torch.zeros(5, 1, 64, 64), 1, (64, 64))
    with pytest.raises(ShapeError, match=r'must be \[batch, 1, 64, 64\], got \[1, '):
        check_image(torch.zeros(shape), 1, (64, 64))
