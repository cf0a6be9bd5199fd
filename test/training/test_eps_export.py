# SPDX-License-Identifier: Apache-2.0
"""From tags of a recording to a bundle that the pipeline of the live node runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from eps_runs import changed, tiny_run
from tagged_folders import heat_of, tagged_folder

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import ConfigError
from kd_perception.frames import Frame
from kd_perception.pipeline import Output, Pipeline
from kd_perception.preprocessing import AgcConfig, agc_limits, network_input, normalize
from training.distributed import launch
from training.eps_export import export_student, tags_right
from training.recipes import eps


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tags')
    config = tiny_run(folder, folder / 'cache', tagged=str(tagged_folder(folder)))
    return changed(config, 'segmentation', image_size=(64, 96))


@pytest.fixture(scope='module')
def bundle(config):
    eps.run_stages(config, launch(config.launch))
    folder = config.output / 'bundle'
    return load_student(folder, sha256=export_student(config, folder))


def test_the_bundle_has_the_classes_of_the_tags(bundle, config):
    spec = bundle.spec
    assert [info.name for info in spec.classes] == ['background', 'car', 'person']
    assert spec.classes[1].color == (64, 0, 128)
    assert spec.image_size == (64, 96) and spec.calibration.fitted_on == ''
    assert spec.provenance['recipe'] == 'eps'
    assert spec.provenance['saliency'] == 'heat_and_motion'
    assert 'place_accuracy' in spec.provenance['metrics']['tags']
    card = (config.output / 'bundle' / 'MODEL_CARD.md').read_text()
    assert 'No pixel was labeled' in card and 'background, car, person' in card


def test_the_card_holds_tags_against_a_guess():
    assert tags_right({}) == 'not measured'
    assert tags_right({'accuracy': 0.85}) == '85.0 % right'
    both = tags_right({'accuracy': 0.85, 'place_accuracy': 0.866})
    assert both == '85.0 % right, 86.6 % by the place of a tile in its image alone'


def test_the_pipeline_says_what_the_trained_network_says(bundle, config):
    network = eps.tested(eps.build(config, 'segmentation'))
    backend = create_backend(bundle, backend='onnxruntime', threads=1)
    try:
        result = Pipeline(bundle, backend).step(Frame(heat_of(1), 'mono16', 1), Output.PREDICTION)
    finally:
        backend.close()
    gray = normalize(heat_of(1), *agc_limits(heat_of(1), AgcConfig()))
    image, _ = network_input(gray, (64, 96))
    logits = torch.nn.functional.interpolate(
        network(torch.from_numpy(image)), (64, 96), mode='bilinear', align_corners=False
    )
    expected = logits[0].argmax(dim=0).numpy()
    assert (result.mask == expected).mean() > 0.98
    assert set(np.unique(result.mask)) <= {0, 1, 2}


def test_what_is_not_trained_or_cannot_run_is_refused(config, tmp_path):
    with pytest.raises(ConfigError, match='at step 0 of 6: train this run first'):
        export_student(replace(config, output=tmp_path), tmp_path / 'bundle')
    color = tiny_run(tmp_path, tmp_path)
    with pytest.raises(ConfigError, match='the run has rep_unet_s of rgb'):
        export_student(color, tmp_path / 'bundle')


def test_a_student_of_the_world_is_calibrated(tmp_path):
    config = changed(
        tiny_run(tmp_path, tmp_path / 'cache'), 'segmentation', modality='thermal', target='label'
    )
    eps.run_stages(config, launch(config.launch))
    folder = tmp_path / 'bundle'
    spec = load_student(folder, sha256=export_student(config, folder)).spec
    assert spec.calibration.temperature > 0.0 and 'validation' in spec.calibration.fitted_on
    assert spec.provenance['metrics']['test']['miou_nanmean'] is not None
    assert 'saw the class of every pixel' in (folder / 'MODEL_CARD.md').read_text()
