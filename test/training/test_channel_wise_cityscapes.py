# SPDX-License-Identifier: Apache-2.0
"""Channel-wise distillation on Cityscapes: the paper's networks, 19 classes, whole images."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from channel_wise_runs import tiny_run
from labeled_folders import CITYSCAPES_SIZE as SIZE
from labeled_folders import write_cityscapes
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.label_sets import CITYSCAPES
from training.data.augmentation import AugmentationConfig, JointConfig
from training.engine import LoopConfig
from training.recipes import channel_wise
from training.recipes.channel_wise_data import class_shares, split_frames
from training.recipes.channel_wise_networks import NetworkConfig
from training.recipes.channel_wise_report import evaluate, score_split

COUNTS = {'train': {'aachen': 2, 'bremen': 1}, 'val': {'ulm': 2}}


@pytest.fixture
def config(tmp_path):
    root = tmp_path / 'cityscapes'
    write_cityscapes(root, COUNTS)
    loop = LoopConfig(steps=2, batch_size=2, checkpoint_steps=2, average_decay=0.0)
    paper = NetworkConfig('pspnet', 'tiny', 18, 'rgb', 'bgr_mean', loop=loop)
    view = JointConfig(64, 64, 0.7, 2.1, focus_share=0.0, stretch=0.0, angle_deg=0.0)
    names = ('channel_wise_logits', 'channel_wise_features', 'pixel_wise_logits')
    config = tiny_run(tmp_path, tmp_path, *names)
    return replace(
        config,
        cityscapes=str(root),
        image_size=SIZE,
        teacher=replace(paper, depth=50),
        student=paper,
        class_weighted=False,
        augmentation=AugmentationConfig(view),
    )


def test_it_is_learnt_from_and_scored(config, monkeypatch):
    monkeypatch.setattr(channel_wise, 'load_config', lambda kind, arguments: config)
    channel_wise.main([])
    record = json.loads(config.record_path.read_text())
    assert record['trained_on'] == 'real' and record['frame_keys'] == {}
    assert list(record['metrics']['student']) == ['test']
    test = record['metrics']['student']['test']
    assert list(test['iou']) == list(CITYSCAPES.names)
    assert test['miou_nanmean'] is not None and test['boundary_f_3px'] is not None
    assert test['miou_frequent'] is None and test['iou']['person'] is not None
    assert sum(group['by_class']['road']['things'] for group in test['by_size'].values()) == 2


def untrained(config):
    torch.manual_seed(0)
    return channel_wise.new_learner(config, 'student').segmenter.eval()


def test_scores_are_those_of_whole_images_upsampled_with_aligned_corners(config):
    network = untrained(config)
    found = score_split(network, config, 'test')
    right = known = 0
    frames = split_frames(config, 'test')
    assert len(frames) == 2
    for k in range(len(frames)):
        image = torch.from_numpy(frames[k].rgb).permute(2, 0, 1)[None].float() / 255.0
        with torch.no_grad():
            logits = network(image).logits
        assert logits.shape == (1, 19, 9, 17)
        full = functional.interpolate(logits, SIZE, mode='bilinear', align_corners=True)
        counts = frames[k].label != 255
        right += ((full[0].argmax(dim=0).numpy() == frames[k].label) & counts).sum()
        known += counts.sum()
    assert 0 < known < 2 * SIZE[0] * SIZE[1]
    assert found['pixel_accuracy'] == pytest.approx(right / known, abs=2e-3)


def test_cities_may_be_held_out_for_validation(config):
    assert config.split_names == ('train', 'test')
    parted = replace(config, held_out_share=0.3)
    assert parted.split_names == ('train', 'validation', 'test')
    names = {
        name: [frame.name for frame in map(split_frames(parted, name).__getitem__, range(count))]
        for name, count in {'train': 2, 'validation': 1, 'test': 2}.items()
    }
    assert names['train'] == ['aachen_000000_000019', 'aachen_000001_000019']
    assert names['validation'] == ['bremen_000000_000019']
    assert parted.fingerprint('teacher') != config.fingerprint('teacher')
    assert list(evaluate(untrained(parted), parted)) == ['validation', 'test']
    with pytest.raises(ConfigError, match=r"must leave cities .* of \['aachen', 'bremen'\]"):
        split_frames(replace(config, held_out_share=0.5), 'train')


def test_class_shares_are_those_of_what_counts(config):
    shares = class_shares(config)
    assert len(shares) == 19 and sum(shares) == pytest.approx(1.0)
    assert {k for k, share in enumerate(shares) if share} == {0, 10, 11, 13}
