# SPDX-License-Identifier: Apache-2.0
"""EPS in VOC's layout, all stages with a small DeepLab, on frames that the world exports."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from eps_runs import LOOP, changed, tiny_run

from kd_perception.errors import DatasetError
from kd_perception.label_sets import VOC21
from kd_perception.world_export.export import export_world
from kd_perception.world_export.plan import ExportPlan
from training.distributed import launch
from training.recipes import eps
from training.recipes.eps_data import RunFrames
from training.recipes.eps_mask_files import read_mask
from training.recipes.eps_sources import VocConfig


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('voc')
    plan = ExportPlan('voc', folder / 'voc', {'train': 3, 'val': 2}, image_size=(64, 96))
    export_world(plan, workers=1)
    root = folder / 'voc' / 'VOCdevkit' / 'VOC2012'
    voc = VocConfig(
        str(root), tags_file=str(root / 'tags.txt'), saliency=str(root / 'SALImages')
    )  # fmt: skip
    config = changed(
        tiny_run(folder, folder / 'cache', voc=voc), 'segmentation', network='deeplab', depth=18,
        base_width=4, frozen=False, image_size=(65, 97), loop=replace(LOOP, steps=3),
    )  # fmt: skip
    return changed(config, 'classifier', loop=replace(LOOP, steps=3, batch_size=2))


def test_all_stages(config):
    assert config.classes == VOC21.names[1:] and config.label_set is VOC21 and not config.rendered
    metrics = eps.run_stages(config, launch(config.launch))
    assert set(metrics['masks']['iou']) == set(VOC21.names)
    assert metrics['segmentation']['miou_nanmean'] is not None
    assert config.saliency_source() == {'source': 'folder of maps'} and config.trained_on == 'real'
    for frame in RunFrames(config)['train']:
        mask = read_mask(config, frame.name)
        assert mask.shape == (64, 96)
        assert set(np.unique(mask)) <= {0, *(np.flatnonzero(frame.tags) + 1)}


def test_tags_are_enough_for_training_images(config, tmp_path, monkeypatch, capsys):
    """Without masks of them nothing is scored but the network, on images that have masks."""
    root = tmp_path / 'VOC2012'
    shutil.copytree(config.voc.root, root)
    names = [frame.name for frame in RunFrames(config)['train']]
    (root / 'SegmentationClass' / f'{names[0]}.png').unlink()
    own = replace(
        config.voc, root=str(root), tags_file=str(root / 'tags.txt'),
        saliency=str(root / 'SALImages'),
    )  # fmt: skip
    config = replace(config, voc=own, output=tmp_path / 'runs', results=tmp_path / 'results')
    assert [frame.label for frame in RunFrames(config)['train']] == [None] * 3
    monkeypatch.setattr(eps, 'load_config', lambda kind, arguments: config)
    eps.main([])
    metrics = json.loads(config.record_path.read_text())['metrics']
    assert metrics['masks'] == {} and metrics['segmentation']['miou_nanmean'] is not None
    assert 'masks are not scored' in capsys.readouterr().err
    masks = replace(config, voc=replace(own, tags_file=''))
    with pytest.raises(DatasetError, match='1 of 6 files are missing'):
        RunFrames(masks)['train']


def test_a_set_without_saliency_maps_is_refused(config):
    absent = replace(config, voc=replace(config.voc, saliency=config.voc.root))
    with pytest.raises(DatasetError, match='saliency maps'):
        RunFrames(absent)['train']
