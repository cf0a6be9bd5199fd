# SPDX-License-Identifier: Apache-2.0
"""EPS: terms, stages that share and resume, what each of them is scored on, records."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from eps_runs import LOOP, changed, tiny_run
from torch.nn import functional

from kd_perception.errors import ConfigError, DatasetError
from training.data.augmentation import JointConfig
from training.data.tagged_frames import normalized_image, shown_image
from training.losses import saliency_loss
from training.pseudo_masks import map_shares, mask_from_shares, salient_tags
from training.recipes import eps
from training.recipes import eps_scores as scores
from training.recipes.eps_data import Drawing, RunFrames
from training.recipes.eps_mask_files import (
    mask_path,
    read_mask,
    read_shares,
    shares_path,
    write_shares,
)
from training.recipes.eps_masks import make_masks
from training.recipes.eps_networks import classifier_losses, new_classifier


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp('world')


@pytest.fixture
def config(tmp_path, cache):
    return tiny_run(tmp_path, cache)


@pytest.fixture(scope='module')
def done(tmp_path_factory, cache, fabric):
    """A run with all stages, and its metrics."""
    config = tiny_run(tmp_path_factory.mktemp('done'), cache)
    return config, eps.run_stages(config, fabric)


def batch_of(config, stage='classifier', size=4):
    draw = Drawing(RunFrames(config), stage)
    samples = [draw(0, index) for index in range(size)]
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*samples, strict=True))


def test_terms_of_the_classifier(config):
    image, saliency, tags = batch = batch_of(config)
    network = new_classifier(config).eval()
    found = network(image)
    terms = classifier_losses(network, batch, config, 0)
    assert list(terms) == ['classification', 'saliency']
    expected = functional.binary_cross_entropy_with_logits(found.scores, tags)
    torch.testing.assert_close(terms['classification'], expected)
    torch.testing.assert_close(terms['saliency'], saliency_loss(found.maps, saliency, tags))
    cam = changed(config, 'classifier', method='cam')
    assert list(classifier_losses(new_classifier(cam), batch, cam, 0)) == ['classification']


@pytest.mark.parametrize(
    'settings',
    [
        {'saliency_weight': 3.0},
        {'blend': 0.9, 'overlap_threshold': 0.1},
        {'selection': 'naive'},
        {'selection': 'fixed', 'background_classes': ('bike', 'car')},
    ],
)
def test_settings_reach_the_loss(config, settings):
    image, saliency, tags = batch = batch_of(config)
    config = changed(config, 'classifier', **settings)
    network = new_classifier(config).eval()
    weight = settings.pop('saliency_weight', 1.0)
    if 'background_classes' in settings:
        settings['background_classes'] = (2, 0)
    expected = weight * saliency_loss(network(image).maps, saliency, tags, **settings)
    found = classifier_losses(network, batch, config, 0)['saliency']
    torch.testing.assert_close(found, expected)


def test_tags_may_come_first(config):
    batch = batch_of(config)
    config = changed(config, 'classifier', tags_first_steps=2)
    network = new_classifier(config)
    names = [list(classifier_losses(network, batch, config, step)) for step in (0, 1, 2, 3)]
    alone, both = ['classification'], ['classification', 'saliency']
    assert names == [alone, alone, both, both]


def test_samples_are_a_function_of_step_and_index(config):
    draw = Drawing(RunFrames(config), 'classifier')
    again = pickle.loads(pickle.dumps(draw))
    for a, b in zip(draw(3, 1), again(3, 1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(draw(3, 1)[0], draw(3, 2)[0])


def test_all_stages_are_scored(done):
    config, metrics = done
    assert set(metrics) == {'classifier', 'masks', 'segmentation'}
    assert set(metrics['classifier']['average_precision']) == set(config.classes)
    masks = metrics['masks']
    assert set(masks['thresholds']) == {'0.1', '0.5'}
    assert masks['miou_best_threshold'] == max(masks['thresholds'].values())
    assert set(masks['iou']) == {'background', *config.classes}
    assert metrics['segmentation']['miou_nanmean'] is not None
    assert set(metrics['segmentation']['iou']) == {'background', *config.classes}


def test_masks_are_those_of_the_trained_classifier(done):
    config, metrics = done
    network = eps.tested(eps.build(config, 'classifier'))
    frames = RunFrames(config)['train']
    counts = np.zeros((5, 5))
    for frame in frames:
        image = torch.from_numpy(normalized_image(shown_image(frame, 'rgb')))[None]
        shares = map_shares(network, image, frame.tags, config.masks)
        np.testing.assert_allclose(read_shares(config, frame.name), shares, atol=1e-3)
        mask = read_mask(config, frame.name)
        stored = read_shares(config, frame.name)
        np.testing.assert_array_equal(mask, mask_from_shares(stored, 0.2))
        absent = np.flatnonzero(~frame.tags) + 1
        assert not np.isin(mask, absent).any()
        known = frame.label != 255
        np.add.at(counts, (frame.label[known], mask[known]), 1)
    union = counts.sum(axis=0) + counts.sum(axis=1) - counts.diagonal()
    assert metrics['masks']['miou'] == pytest.approx(
        np.mean((counts.diagonal() / union)[union > 0]), abs=1e-4
    )


def test_a_run_that_is_done_computes_nothing_again(done, fabric, monkeypatch):
    config, metrics = done
    monkeypatch.setattr(eps, 'fit', None)
    monkeypatch.setattr('training.recipes.eps_masks.map_shares', None)
    assert eps.run_stages(config, fabric) == metrics


def test_masks_go_on_where_they_were(done, monkeypatch):
    config, _ = done
    frames = RunFrames(config)['train']
    paths = [mask_path(config, frame.name) for frame in frames]
    before = {path: path.read_bytes() for path in paths}
    for path in paths[::3]:
        path.unlink()
    asked = []

    def watched(network, image, tags, masks):
        asked.append(image)
        return map_shares(network, image, tags, masks)

    shares_path(config, frames[0].name).unlink()
    monkeypatch.setattr('training.recipes.eps_masks.map_shares', watched)
    network = eps.tested(eps.build(config, 'classifier'))
    make_masks(network, frames, config, torch.device('cpu'))
    assert len(asked) == 1
    assert {path: path.read_bytes() for path in paths} == before


def test_a_resumed_classifier_has_the_bits_of_one_that_was_never_stopped(
    config, tmp_path, cache, fabric
):
    frames = RunFrames(config)
    whole = eps.train(config, fabric, frames, 'classifier')
    other = replace(config, output=tmp_path / 'again')
    half = changed(other, 'classifier', loop=replace(LOOP, steps=6, checkpoint_steps=3))

    class Stopped(Exception):
        pass

    calls = []

    def stopping(step, index):
        calls.append(step)
        if step == 4:
            raise Stopped
        return Drawing(frames, 'classifier')(step, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eps, 'Drawing', lambda *_: stopping)
        with pytest.raises(Stopped):
            eps.train(half, fabric, frames, 'classifier')
    resumed = eps.train(half, fabric, frames, 'classifier')
    assert resumed.step == whole.step == 6
    for key, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[key]), key


@pytest.mark.parametrize('target', ['label', 'salient_tags'])
def test_controls_need_no_classifier(config, fabric, monkeypatch, target):
    config = changed(config, 'segmentation', target=target, modality='thermal')
    monkeypatch.setattr('training.recipes.eps.new_classifier', None)
    metrics = eps.run_stages(config, fabric)
    assert set(metrics) == {'segmentation'} and not config.masks_folder.exists()


def test_what_segmentation_learns_lies_on_what_it_sees(done):
    """A plain view of each frame: neither is moved, turned, or taken from another frame."""
    config, _ = done
    still = JointConfig(
        32, 32, 1.0, 1.0, focus_share=0.0, stretch=0.0, angle_deg=0.0, flip_share=0.0
    )
    config = changed(config, 'segmentation', view=still)
    frames = RunFrames(config)
    targets = {
        'masks': lambda frame: read_mask(config, frame.name),
        'label': lambda frame: frame.label,
        'salient_tags': lambda frame: salient_tags(frame.saliency, frame.tags),
    }
    for target, expected in targets.items():
        draw = Drawing(RunFrames(changed(config, 'segmentation', target=target)), 'segmentation')
        for index in range(6):
            image, label = draw(0, index)
            own = [
                f for f in frames['train'] if np.allclose(image, f.rgb.transpose(2, 0, 1) / 255)
            ]
            assert len(own) == 1
            np.testing.assert_array_equal(label, expected(own[0]))


def test_each_part_is_scored_on_what_it_has_not_learnt_from(done, monkeypatch):
    """Masks are those of the training frames; networks are scored on others."""
    config, _ = done
    frames, seen = RunFrames(config), {}
    for name in ('score_tags', 'score_overlaps', 'score_masks'):
        monkeypatch.setattr(
            eps, name, lambda *arguments, name=name: seen.update({name: arguments[-2]}) or {}
        )
    tally = scores.Tally.update
    labels = []
    monkeypatch.setattr(
        scores.Tally, 'update', lambda self, *parts: (labels.append(parts[2]), tally(self, *parts))
    )
    classifier = eps.tested(eps.build(config, 'classifier'))
    eps.scored(frames, classifier, eps.tested(eps.build(config, 'segmentation')))
    train, test = ({frame.name for frame in frames[name]} for name in ('train', 'test'))
    assert not train & test
    assert {frame.name for frame in seen['score_tags']} == test
    for name in ('score_overlaps', 'score_masks'):
        assert {frame.name for frame in seen[name]} == train
    assert [label.tobytes() for label in labels] == [f.label.tobytes() for f in frames['test']]


def test_missing_weights_are_noticed_before_anything_is_trained(config, fabric, monkeypatch):
    monkeypatch.setattr(eps, 'train', None)
    for part, network in (('classifier', 'resnet38'), ('segmentation', 'deeplab')):
        lacking = changed(config, part, network=network, weights_file='absent.pth')
        with pytest.raises(ConfigError, match=f'{part}.weights_file must be there, got absent'):
            eps.run_stages(lacking, fabric)


def test_record(config, monkeypatch, capsys):
    config = replace(config, stage='masks')
    monkeypatch.setattr(eps, 'load_config', lambda kind, arguments: config)
    eps.main([])
    record = json.loads(config.record_path.read_text())
    assert record['recipe'] == 'eps' and record['saliency'] == {'source': 'world'}
    assert record['trained_on'] == 'synthetic'
    assert set(record['metrics']) == {'classifier', 'masks'}
    assert set(record['frame_keys']) == {'train', 'validation', 'test'}
    printed = capsys.readouterr().out
    assert '| tiny | ' in printed
    assert 'painted with the first tag of the image, without learning: ' in printed
    assert not config.folder.exists(), 'no segmentation'


def test_masks_of_other_steps_are_not_taken(config):
    with pytest.raises(ConfigError, match='run stage masks first'):
        read_mask(config, 'none')
    with pytest.raises(ConfigError, match='run stage masks first'):
        read_shares(config, 'none')


def test_damaged_maps_are_named(config):
    path = shares_path(config, 'one')
    write_shares(config, 'one', np.ones((4, 8, 8), np.float32))
    for data in (b'', path.read_bytes()[:200], b'no archive'):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match='is damaged'):
            read_shares(config, 'one')
