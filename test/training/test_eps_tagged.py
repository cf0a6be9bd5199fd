# SPDX-License-Identifier: Apache-2.0
"""EPS on a folder of tagged frames: all stages, and which frames measure."""

from __future__ import annotations

from eps_runs import tiny_run
from tagged_folders import CLASSES, name_of, tagged_folder

from training.distributed import launch
from training.recipes import eps
from training.recipes.eps_data import RunFrames


def test_a_folder_of_tags(tmp_path):
    folder = tagged_folder(tmp_path)
    config = tiny_run(tmp_path, tmp_path, tagged=str(folder))
    assert (config.classes, config.modality) == (CLASSES, 'thermal')
    assert config.segmentation.modality == 'thermal' and not config.rendered
    frames = RunFrames(config)
    assert (len(frames['train']), len(frames['test'])) == (11, 1)
    metrics = eps.run_stages(config, launch(config.launch))
    assert metrics['masks'] == {}
    for part in ('classifier', 'segmentation'):
        assert {'accuracy', 'majority_accuracy', 'place_accuracy'} <= set(metrics[part])
    assert set(metrics['segmentation']['class_accuracy']) == set(CLASSES)
    assert eps.saliency_source(config) == 'heat_and_motion'


def test_tiles_of_one_image_are_learnt_from_or_measured_together(tmp_path):
    folder = tagged_folder(tmp_path, count=21, tiles=(2, 2))
    frames = RunFrames(tiny_run(tmp_path, tmp_path, tagged=str(folder)))
    names = {part: [frame.name for frame in frames[part]] for part in ('train', 'test')}
    measured = {name_of(9), name_of(19)}
    assert names['test'] == [
        f'{stamp}_{y}_{x}' for stamp in sorted(measured) for y in range(2) for x in range(2)
    ]
    assert len(names['train']) == 4 * 19
    assert not any(name.partition('_')[0] in measured for name in names['train'])
