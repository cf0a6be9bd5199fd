# SPDX-License-Identifier: Apache-2.0
"""From tags of a recording to a bundle that the pipeline of the live node runs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from eps_runs import changed, tagged_run, tiny_run
from PIL import Image
from tagged_folders import COLOR, SIZE, color_of, heat_of, name_of, tagged_folder

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import ConfigError
from kd_perception.frames import Frame
from kd_perception.pipeline import Output, Pipeline
from kd_perception.preprocessing import AgcConfig, agc_limits, network_input, normalize
from training.distributed import launch
from training.eps_export import export_student, model_card, tags_right
from training.recipes import eps


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tags')
    return tagged_run(folder, tagged_folder(folder))


def exported(config, folder):
    eps.run_stages(config, launch(config.launch))
    return load_student(folder, sha256=export_student(config, folder))


@pytest.fixture(scope='module')
def bundle(config):
    return exported(config, config.output / 'bundle')


def test_the_bundle_has_the_classes_of_the_tags(bundle, config):
    spec = bundle.spec
    assert [info.name for info in spec.classes] == ['background', 'car', 'person']
    assert spec.classes[1].color == (64, 0, 128)
    assert spec.image_size == (64, 96) and spec.calibration.fitted_on == ''
    assert (spec.input.channels, spec.input.modality) == (1, 'thermal')
    provenance = spec.provenance
    assert provenance['recipe'] == 'eps'
    assert provenance['saliency'] == {'source': 'detector', 'name': 'heat_contrast'}
    assert 'place_accuracy' in provenance['metrics']['tags']
    assert 'iou' in provenance['metrics']['test'], 'the recording has labels'
    assert provenance['trained_on'].endswith('(recording, origin not known)')


def test_the_card_says_what_was_seen(bundle, config):
    card = (config.output / 'bundle' / 'MODEL_CARD.md').read_text()
    assert 'student of thermal images' in card and 'background, car, person' in card
    assert 'classes of images, not of pixels' in card and 'heat_contrast, which learns' in card
    assert 'IoU on other images of the same recording' in card
    maps = config.output / 'maps'
    maps.mkdir(exist_ok=True)
    for index in range(12):
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(maps / f'{name_of(index)}.png')
    said = {'source': 'student', 'student': 'tiny', 'sha256': 64 * 'a', 'trained_on': 'frames'}
    (maps / 'saliency.json').write_text(json.dumps(said))
    report = {'tags': {'accuracy': 0.8}}
    text = model_card(replace(config, saliency=str(maps)), report)
    assert 'of the student tiny (SHA-256 aaaaaaaaaaaa)' in text and 'labels of pixels' in text
    assert 'Without labels its masks cannot be scored' in text
    control = changed(config, 'segmentation', target='salient_tags')
    assert 'It is the control that learnt what is salient' in model_card(control, report)


@pytest.mark.slow
def test_color_ends_in_a_bundle_that_the_pipeline_runs(tmp_path):
    config = tagged_run(tmp_path, tagged_folder(tmp_path, topic=COLOR))
    student = exported(config, tmp_path / 'bundle')
    assert (student.spec.input.channels, student.spec.input.modality) == (3, 'rgb')
    assert 'student of color images' in (tmp_path / 'bundle' / 'MODEL_CARD.md').read_text()
    network = eps.tested(eps.build(config, 'segmentation'))
    backend = create_backend(student, backend='onnxruntime', threads=1)
    try:
        frame = Frame(color_of(1), 'rgb8', 1)
        result = Pipeline(student, backend).step(frame, Output.PREDICTION)
    finally:
        backend.close()
    image = torch.from_numpy(color_of(1).transpose(2, 0, 1)[None].astype(np.float32) / 255.0)
    assert_says(result, network(image))


def assert_says(result, logits):
    full = torch.nn.functional.interpolate(
        logits, SIZE, mode='bilinear', align_corners=False
    )  # fmt: skip
    assert (result.mask == full[0].argmax(dim=0).numpy()).mean() > 0.98


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
    assert_says(result, network(torch.from_numpy(image)))
    assert set(np.unique(result.mask)) <= {0, 1, 2}


def test_what_is_not_trained_or_cannot_run_is_refused(config, tmp_path):
    with pytest.raises(ConfigError, match='at step 0 of 6: train this run first'):
        export_student(replace(config, output=tmp_path), tmp_path / 'bundle')
    deep = changed(config, 'segmentation', network='deeplab')
    with pytest.raises(ConfigError, match='the run has deeplab'):
        export_student(deep, tmp_path / 'bundle')


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
