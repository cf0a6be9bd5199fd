# SPDX-License-Identifier: Apache-2.0
"""EPS in VOC's layout, all stages with a small DeepLab, on frames that the world exports."""

from __future__ import annotations

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
from training.recipes.eps_config import VocConfig
from training.recipes.eps_data import RunFrames, read_mask


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
    assert eps.saliency_source(config) == 'a folder of maps'
    for frame in RunFrames(config)['train']:
        mask = read_mask(config, frame.name)
        assert mask.shape == (64, 96)
        assert set(np.unique(mask)) <= {0, *(np.flatnonzero(frame.tags) + 1)}


def test_a_set_without_saliency_maps_is_refused(config):
    absent = replace(config, voc=replace(config.voc, saliency=config.voc.root))
    with pytest.raises(DatasetError, match='saliency maps'):
        RunFrames(absent)['train']
