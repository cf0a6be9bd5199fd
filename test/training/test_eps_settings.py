# SPDX-License-Identifier: Apache-2.0
"""Settings of EPS: what runs share by them, and which ones are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eps_runs import changed, tiny_run

from kd_perception.errors import ConfigError
from training.engine import LoopConfig
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_parts import TARGETS, ClassifierConfig, RatesConfig, SegmentationConfig
from training.recipes.eps_sources import VocConfig


def test_stages_share_what_they_can(tmp_path):
    config = tiny_run(tmp_path, tmp_path)
    for change in ({'name': 'other'}, {'stage': 'masks'}):
        other = replace(config, **change)
        assert other.classifier_folder == config.classifier_folder
        assert other.masks_folder == config.masks_folder
    other = changed(config, 'masks', background_threshold=0.3)
    assert other.classifier_folder == config.classifier_folder
    assert other.masks_folder != config.masks_folder
    assert other.fingerprint() != config.fingerprint()
    assert other.shares_folder == config.shares_folder, 'class maps know no threshold'
    assert changed(config, 'masks', scales=(1.0,)).shares_folder != config.shares_folder
    for change in ({'background': 'saliency'}, {'crf': 'dense'}, {'background_power': 8.0}):
        other = changed(config, 'masks', **change)
        assert other.masks_folder != config.masks_folder
        assert other.shares_folder == config.shares_folder
    assert changed(config, 'masks', thresholds=(0.3,)).masks_folder == config.masks_folder
    other = changed(config, 'classifier', blend=0.9)
    assert other.classifier_folder != config.classifier_folder
    for change in ({'seed': 3}, {'views': replace(config.views, pairs=True)}):
        assert replace(config, **change).classifier_folder != config.classifier_folder
    deep = changed(config, 'segmentation', network='deeplab', depth=18)
    field = replace(deep.segmentation.random_field, iterations=3)
    for change in (
        {'crf': True, 'crf_images': 3},
        {'random_field': field},
        {'image_size': (65, 65)},
    ):
        assert changed(deep, 'segmentation', **change).folder == deep.folder, 'scored otherwise'
    assert changed(deep, 'segmentation', depth=34).folder != deep.folder
    targets = {changed(config, 'segmentation', target=t).folder for t in TARGETS}
    assert len(targets) == 3
    labels = changed(config, 'segmentation', target='label')
    assert changed(labels, 'classifier', blend=0.9).fingerprint() == labels.fingerprint()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'stage': 'crf'}, 'stage must be one of'),
        ({'modality': 'depth'}, 'modality must be one of'),
        ({'classes': ('tram',)}, 'classes must be distinct names'),
        ({'saliency': 'motion'}, 'saliency is that of tagged'),
        ({'voc': VocConfig('voc'), 'tagged': 'x'}, 'one source'),
        ({'voc': VocConfig('voc')}, 'needs voc.saliency'),
        ({'voc': VocConfig('voc', saliency='s'), 'modality': 'thermal'}, 'color alone'),
        (
            {'classifier': ClassifierConfig(selection='fixed', background_classes=('bump',))},
            'must be among',
        ),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        EpsConfig(**changes)


@pytest.mark.parametrize(
    ('kind', 'changes', 'message'),
    [
        (ClassifierConfig, {'method': 'grad_cam'}, 'method must be one of'),
        (ClassifierConfig, {'selection': 'best'}, 'selection must be one of'),
        (ClassifierConfig, {'blend': 1.5}, 'blend must be 0 to 1'),
        (ClassifierConfig, {'saliency_weight': 0.0}, 'saliency_weight'),
        (ClassifierConfig, {'tags_first_steps': -1}, 'tags_first_steps must be 0 to'),
        (
            ClassifierConfig,
            {'tags_first_steps': 5, 'loop': LoopConfig(steps=5)},
            'tags_first_steps must be 0 to 4',
        ),
        (ClassifierConfig, {'tags_first_steps': 2, 'method': 'cam'}, 'go with method eps'),
        (ClassifierConfig, {'background_classes': ('car',)}, 'go with selection fixed'),
        (SegmentationConfig, {'network': 'unet'}, 'network must be one of'),
        (SegmentationConfig, {'target': 'teacher'}, 'target must be one of'),
        (SegmentationConfig, {'crf': True}, 'go with network deeplab'),
        (SegmentationConfig, {'crf_images': -1}, 'crf_images must be >= 0'),
        (SegmentationConfig, {'image_size': (40, 64)}, 'multiples of 32'),
        (RatesConfig, {'head': 0.0}, 'rates must be above 0'),
    ],
)
def test_wrong_parts_are_refused(kind, changes, message):
    with pytest.raises(ConfigError, match=message):
        kind(**changes)


def test_where_saliency_comes_from(tmp_path):
    config = tiny_run(tmp_path, tmp_path)
    assert config.saliency_source() == {'source': 'world'} and config.trained_on == 'synthetic'
    cam = changed(config, 'classifier', method='cam')
    assert cam.saliency_source() == {'source': 'none'}
    assert changed(cam, 'masks', background='saliency').saliency_source() == {'source': 'world'}
    labels = changed(config, 'segmentation', target='label')
    assert labels.saliency_source() == {'source': 'none'}
    found = changed(config, 'views', saliency='heat_contrast').saliency_source()
    assert found == {'source': 'detector', 'name': 'heat_contrast'}


def test_controls_without_a_classifier_have_one_stage(tmp_path):
    config = tiny_run(tmp_path, tmp_path)
    assert config.stages == ('classifier', 'masks', 'segmentation')
    control = changed(config, 'segmentation', target='salient_tags')
    assert control.stages == ('segmentation',)
    assert replace(control, stage='masks').stages == ('classifier', 'masks')
