# SPDX-License-Identifier: Apache-2.0
"""Masks out of class maps: what the threshold, the peaks, the tags, scales and flips do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import ClassMapConfig, ClassMapNet, ClassMapOutput
from training.dense_crf import DenseCrfConfig
from training.pseudo_masks import (
    MaskConfig,
    make_mask,
    map_shares,
    mask_from_shares,
    mask_where_salient,
    salient_tags,
    shares_of_peak,
    summed_maps,
)

ONCE = MaskConfig(scales=(1.0,), flip=False)
IMAGE = np.zeros((8, 10, 3), np.uint8)


def random_maps(seed, classes=3, size=(8, 10)):
    return np.random.default_rng(seed).uniform(size=(classes, *size)).astype(np.float32)


@given(st.integers(0, 2**20), st.integers(0, 2), st.floats(0.1, 50.0), st.floats(0.05, 0.9))
def test_properties_of_masks(seed, scaled, factor, threshold):
    maps = random_maps(seed)
    maps[(scaled + 1) % 3] = 0.0  # without a tag
    config = MaskConfig(background_threshold=threshold)
    mask = make_mask(shares_of_peak(maps), IMAGE, config)
    assert (scaled + 1) % 3 + 1 not in mask
    larger = maps.copy()
    larger[scaled] *= factor
    different = make_mask(shares_of_peak(larger), IMAGE, config) != mask
    shares = np.sort(shares_of_peak(maps), axis=0)
    close = (shares[-1] - shares[-2] < 1e-3) | (np.abs(shares[-1] - threshold) < 1e-3)
    assert not (different & ~close).any()
    shares = shares_of_peak(maps)
    np.testing.assert_array_equal(mask == 0, (shares <= np.float32(threshold)).all(axis=0))


def test_a_class_that_is_alone_keeps_its_peak():
    maps = np.zeros((3, 8, 10), np.float32)
    maps[1] = 0.001 * random_maps(4)[0]
    mask = make_mask(shares_of_peak(maps), IMAGE, MaskConfig(background_threshold=0.9))
    assert mask[np.unravel_index(maps[1].argmax(), (8, 10))] == 2 and set(np.unique(mask)) <= {
        0,
        2,
    }


def test_masks_by_hand():
    shares = np.array([[[0.1, 0.3, 1.0]], [[0.15, 0.5, 0.4]]], np.float32)
    assert mask_from_shares(shares, 0.2).tolist() == [[0, 2, 1]]
    assert mask_from_shares(shares, 0.05).tolist() == [[2, 2, 1]]
    np.testing.assert_allclose(
        shares_of_peak(4.0 * shares), [[[0.1, 0.3, 1.0]], [[0.3, 1.0, 0.8]]], atol=1e-4
    )


def test_what_is_not_salient_is_background():
    shares = np.array([[[0.01, 0.3, 1.0, 0.4]], [[0.0, 0.5, 0.4, 0.2]]], np.float32)
    saliency = np.array([[128, 255, 127, 200]], np.uint8)
    assert mask_where_salient(shares, saliency).tolist() == [[1, 2, 0, 1]]
    assert not mask_where_salient(0 * shares, saliency).any(), 'without a tag nothing is there'
    config = MaskConfig(background='saliency', background_threshold=0.9)
    made = make_mask(shares, IMAGE, config, saliency)
    np.testing.assert_array_equal(made, mask_where_salient(shares, saliency))
    with pytest.raises(ConfigError, match='needs images with saliency'):
        make_mask(shares, IMAGE, config)


def test_what_is_salient_gets_the_first_tag():
    saliency = np.array([[0, 127, 128, 255]], np.uint8)
    assert salient_tags(saliency, np.array([False, True, True])).tolist() == [[0, 0, 2, 2]]
    assert not salient_tags(saliency, np.zeros(3, bool)).any()


class Painter:
    """Maps that are the image's own channels, at a quarter of its size."""

    def __init__(self, channels):
        self.channels, self.sizes = channels, []

    def __call__(self, image):
        self.sizes.append(tuple(image.shape[2:]))
        maps = torch.nn.functional.avg_pool2d(image, 4)[:, : self.channels]
        return ClassMapOutput(maps.mean(dim=(2, 3)), maps)


def test_scales_and_flips_are_summed_and_turned_back():
    image = torch.randn(1, 3, 16, 24, generator=torch.manual_seed(0))
    tags = np.array([True, True])
    network = Painter(3)
    config = MaskConfig(scales=(0.5, 1.0, 2.0))
    found = summed_maps(network, image, tags, config)
    assert network.sizes == [(8, 12)] * 2 + [(16, 24)] * 2 + [(32, 48)] * 2
    expected = np.zeros((3, 16, 24))
    for scale in config.scales:
        size = [round(scale * side) for side in (16, 24)]
        scaled = torch.nn.functional.interpolate(image, size, mode='bilinear')
        for flip in (False, True):
            maps = Painter(3)(scaled.flip(3) if flip else scaled).maps[0].numpy()
            powers = np.exp(maps)
            probabilities = powers / powers.sum(axis=0)
            for k in range(3):
                plane = cv2.resize(probabilities[k], (24, 16), interpolation=cv2.INTER_LINEAR)
                expected[k] += plane[:, ::-1] if flip else plane
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_symmetric_network_gives_mirrored_maps_for_a_mirrored_image():
    image = torch.randn(1, 3, 16, 24, generator=torch.manual_seed(0))
    tags = np.array([True, True])
    found, mirrored = (
        summed_maps(Painter(3), each, tags, MaskConfig()) for each in (image, image.flip(3))
    )
    np.testing.assert_allclose(found, mirrored[..., ::-1], atol=1e-5)


def test_cam_has_no_background_and_goes_through_relu():
    image = torch.randn(1, 3, 16, 24, generator=torch.manual_seed(2))
    found = summed_maps(Painter(2), image, np.array([True, False]), ONCE)
    maps = torch.nn.functional.avg_pool2d(image, 4)[0, 0].clamp(min=0).numpy()
    np.testing.assert_allclose(found[0], cv2.resize(maps, (24, 16)), atol=1e-5)
    assert not found[1].any()


LEARNED = MaskConfig(background='learned', background_threshold=0.5)


def test_beside_the_learnt_background_a_class_needs_more_than_it():
    image = torch.randn(1, 3, 16, 24, generator=torch.manual_seed(3))
    tags = np.array([True, False])
    shares = map_shares(Painter(3), image, tags, LEARNED)
    first, _, background = summed_maps(Painter(3), image, np.ones(2, bool), LEARNED)
    expected, close = first > background, np.abs(first - background) < 1e-4
    mask = make_mask(shares, IMAGE, LEARNED)
    assert expected.any() and not expected.all()
    np.testing.assert_array_equal((mask == 1)[~close], expected[~close])
    assert set(np.unique(mask)) <= {0, 1} and not shares[1].any()


def test_a_class_that_is_hardly_there_has_no_pixels_beside_the_learnt_background():
    def faint(image):
        maps = torch.zeros(1, 2, 4, 6)
        maps[:, 1] = 3.0
        maps[0, 0, 2, 3] = 1.0
        return ClassMapOutput(maps.mean(dim=(2, 3)), maps)

    image, tags = torch.zeros(1, 3, 16, 24), np.array([True])
    assert not make_mask(map_shares(faint, image, tags, LEARNED), IMAGE, LEARNED).any()
    assert make_mask(map_shares(faint, image, tags, ONCE), IMAGE, ONCE).any()


def test_cam_has_no_background_that_was_learnt():
    with pytest.raises(ShapeError, match='a map of the background, which CAM has not'):
        map_shares(Painter(2), torch.zeros(1, 3, 16, 24), np.ones(2, bool), LEARNED)


def test_networks_of_both_heads_fit():
    for head in ('eps', 'cam'):
        network = ClassMapNet(ClassMapConfig(classes=3, head=head, base_width=2)).eval()
        found = summed_maps(network, torch.randn(1, 3, 30, 42), np.ones(3, bool), MaskConfig())
        assert found.shape == (3 + (head == 'eps'), 30, 42)
        assert found.dtype == np.float32 and found.min() >= 0.0
    with pytest.raises(ShapeError, match='maps of 5 classes, or one more, got 3'):
        summed_maps(network, torch.randn(1, 3, 32, 32), np.ones(5, bool), ONCE)


def test_a_random_field_lets_masks_follow_the_image():
    rows, columns = np.mgrid[:24, :28]
    disk = (rows - 11) ** 2 + (columns - 13) ** 2 < 50
    image = np.where(disk[..., None], (200, 60, 60), (60, 120, 60)).astype(np.uint8)
    blurred = cv2.GaussianBlur(disk.astype(np.float32), (0, 0), 4.0)
    maps = np.stack([np.zeros_like(blurred), blurred])
    config = MaskConfig(
        crf='dense', random_field=DenseCrfConfig(5, appearance_px=8.0, appearance_levels=10.0)
    )
    plain = make_mask(shares_of_peak(maps), image, MaskConfig())
    refined = make_mask(shares_of_peak(maps), image, config)
    assert set(np.unique(refined)) == {0, 2}
    assert ((refined == 2) == disk).mean() > 0.99 > ((plain == 2) == disk).mean()


@pytest.mark.parametrize(
    'change',
    [
        {'scales': ()},
        {'scales': (0.0,)},
        {'background_threshold': 1.5},
        {'thresholds': (0.5, -0.1)},
        {'crf': 'sparse'},
        {'background': 'learnt'},
        {'background': 'saliency', 'crf': 'dense'},
        {'background_power': 0.0},
    ],
)
def test_wrong_settings_are_refused(change):
    with pytest.raises(ConfigError):
        MaskConfig(**change)
