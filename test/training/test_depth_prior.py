# SPDX-License-Identifier: Apache-2.0
"""The baseline that looks at no image."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kd_perception.errors import ConfigError
from kd_perception.metrics import DepthProtocol
from training import depth_prior
from training.depth_prior import main, place_prior, predictor
from training.recipes.mutual_distillation_frames import ScoredFrame


def frame(depth_m):
    target_m = np.asarray(depth_m, np.float32)
    return ScoredFrame(np.zeros((*target_m.shape, 3), np.uint8), target_m, {})


def test_every_pixel_has_the_median_of_what_is_known():
    frames = [frame([[2.0, 0.0, 0.0]]), frame([[4.0, 7.0, 90.0]]), frame([[9.0, 0.0, 0.0]])]
    depth_m = place_prior(frames, DepthProtocol())
    assert depth_m.dtype == np.float32
    assert depth_m.tolist() == [[4.0, 7.0, 80.0]]


def test_it_says_the_same_of_every_frame():
    predict = predictor(np.array([[2.0, 4.0]], np.float32))
    assert predict(frame([[1.0, 1.0]])).inverse_depth.tolist() == [[0.5, 0.25]]
    assert predict(frame([[9.0, 9.0]])).inverse_depth.tolist() == [[0.5, 0.25]]


@pytest.mark.parametrize('frames', [[], [frame([[1.0]]), frame([[1.0, 2.0]])]])
def test_frames_must_be_of_one_size(frames):
    with pytest.raises(ConfigError, match='of one size'):
        place_prior(frames, DepthProtocol())


def test_its_record_lies_beside_those_of_the_runs(tmp_path, world_cache):
    config = tmp_path / 'run.yaml'
    world = '{height: 64, width: 96, focal_share: [0.9, 0.9], camera_height_m: [1.5, 1.5]}'
    config.write_text(
        f'name: any\nimage_size: [64, 96]\ncache: {world_cache}\nresults: {tmp_path}\n'
        f'validation: {{split: val, seed: 2, count: 3, preset: day, world: &w {world}}}\n'
        'test: {split: test, seed: 2, count: 3, preset: day, world: *w}\n'
    )
    main(['--config_path', str(config), '--name', 'place'])
    record = json.loads((tmp_path / 'place_seed0.json').read_text())
    found = record['metrics']['place']
    assert 0.0 < found['validation']['all']['abs_rel'] < 2.0
    assert {'inside', 'outside', 'sky_far_share'} <= found['test'].keys()
    assert 'sparsification' not in found['test']


def test_frames_to_take_it_from_and_to_score_it_on_must_be_there(monkeypatch):
    for splits in ({}, {'validation': []}, {'test': []}):
        monkeypatch.setattr(depth_prior, 'scored_frames', lambda config, found=splits: found)
        with pytest.raises(ConfigError, match='must have a validation split'):
            main([])
