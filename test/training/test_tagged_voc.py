# SPDX-License-Identifier: Apache-2.0
"""Tagged images out of VOC's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from kd_perception.label_sets import VOC21
from kd_perception.world_export.export import export_world
from kd_perception.world_export.plan import ExportPlan
from training.data.tagged_voc import TaggedVOC
from training.data.voc import VOC


def test_voc_with_saliency(tmp_path):
    plan = ExportPlan('voc', tmp_path / 'voc', {'train': 2}, image_size=(64, 96))
    export_world(plan, workers=1)
    root = tmp_path / 'voc' / 'VOCdevkit' / 'VOC2012'
    voc = VOC(
        root, 'train', views=('label', 'tags', 'saliency'), tags_file=root / 'tags.txt',
        saliency_folder=root / 'SALImages',
    )  # fmt: skip
    data = TaggedVOC(voc)
    assert len(data) == 2
    for frame, sample in zip(data, voc, strict=True):
        stored = np.array(Image.open(Path(root) / 'SALImages' / f'{frame.name}.png'))
        np.testing.assert_array_equal(frame.saliency, stored)
        np.testing.assert_array_equal(frame.label, sample.label)
        assert frame.tags.shape == (VOC21.num_classes - 1,)
        np.testing.assert_array_equal(frame.tags, sample.tags)
