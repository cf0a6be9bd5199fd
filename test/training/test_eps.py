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
from kd_perception.models import ClassMapNet
from training.data.tagged_frames import normalized_image, shown_image
from training.losses import saliency_loss
from training.pseudo_masks import mask_from_shares, shares_of_peak, summed_maps
from training.recipes import eps
from training.recipes.eps_data import (
    Drawing,
    RunFrames,
    mask_path,
    read_mask,
    read_shares,
    shares_path,
    write_shares,
)
from training.recipes.eps_masks import confusions, make_masks, score_masks
from training.recipes.eps_networks import (
    NormalizedDeepLab,
    classifier_losses,
    new_classifier,
    new_segmentation,
    parameter_groups,
    segmentation_losses,
)
from training.recipes.eps_parts import ClassifierConfig, RatesConfig, SegmentationConfig


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
    terms = classifier_losses(network, batch, config)
    assert list(terms) == ['classification', 'saliency']
    expected = functional.binary_cross_entropy_with_logits(found.scores, tags)
    torch.testing.assert_close(terms['classification'], expected)
    torch.testing.assert_close(terms['saliency'], saliency_loss(found.maps, saliency, tags))
    cam = changed(config, 'classifier', method='cam')
    assert list(classifier_losses(new_classifier(cam), batch, cam)) == ['classification']


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
    torch.testing.assert_close(classifier_losses(network, batch, config)['saliency'], expected)


def test_groups_of_weights():
    network = NormalizedDeepLab(
        SegmentationConfig(network='deeplab', depth=18, base_width=2).sizes(3)
    )
    groups = parameter_groups(network, ('network.classifiers.',), RatesConfig(10.0, 2.0))
    assert [group['rate_scale'] for group in groups] == [1.0, 10.0, 20.0]
    assert [group.get('weight_decay') for group in groups] == [None, None, 0.0]
    counted = sum(len(group['params']) for group in groups)
    assert counted == sum(p.requires_grad for p in network.parameters())
    assert len(groups[2]['params']) == 4  # the offsets of the classifiers
    small = parameter_groups(
        ClassMapNet(ClassifierConfig().sizes(4, 'rgb')), ('head.',), RatesConfig()
    )
    assert [group['rate_scale'] for group in small] == [1.0, 2.0, 10.0]


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
        shares = shares_of_peak(summed_maps(network, image, frame.tags, config.masks))
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
    monkeypatch.setattr('training.recipes.eps_masks.summed_maps', None)
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
        return summed_maps(network, image, tags, masks)

    (config.masks_folder / 'shares' / f'{frames[0].name}.npz').unlink()
    monkeypatch.setattr('training.recipes.eps_masks.summed_maps', watched)
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


def test_labels_need_no_classifier(config, fabric, monkeypatch):
    config = changed(config, 'segmentation', target='label', modality='thermal')
    monkeypatch.setattr('training.recipes.eps.new_classifier', None)
    metrics = eps.run_stages(config, fabric)
    assert set(metrics) == {'segmentation'} and not config.masks_folder.exists()


def test_deeplab_learns_from_every_scale_and_is_scored_with_a_random_field(config, fabric):
    config = changed(
        config, 'segmentation', network='deeplab', depth=18, base_width=4, frozen=False,
        target='label', crf=True, loop=replace(LOOP, steps=2, batch_size=2),
    )  # fmt: skip
    batch = batch_of(config, 'segmentation', 2)
    network = new_segmentation(config).train()
    terms = segmentation_losses(network, batch)
    assert list(terms) == ['segmentation', 'scale_0', 'scale_1', 'scale_2']
    largest = network(batch[0])[0]
    rows = (torch.arange(4) * 8).tolist()
    expected = functional.cross_entropy(largest, batch[1][:, rows][:, :, rows], ignore_index=255)
    assert terms['segmentation'].item() == pytest.approx(expected.item(), rel=0.2)
    metrics = eps.run_stages(config, fabric)['segmentation']
    assert metrics['miou_nanmean'] is not None and metrics['crf']['miou'] is not None


def test_confusions_by_hand():
    taken = np.zeros((3, 9))
    taken[1, 1], taken[1, 5] = 40, 10  # car: 40 right, 10 of car stops
    taken[2, 0] = 7  # person: never right
    found = confusions(taken, ('car', 'person'))
    assert found['car']['car_stop'] == 0.25 and found['car']['bike'] == 0.0
    assert 'car' not in found['car'] and set(found['person'].values()) == {None}


def test_scores_without_labels_are_empty(config):
    frame = RunFrames(config)['train'][0]._replace(label=None)
    assert score_masks([frame], config) == {}


def test_record(config, monkeypatch, capsys):
    config = replace(config, stage='masks')
    monkeypatch.setattr(eps, 'load_config', lambda kind, arguments: config)
    eps.main([])
    record = json.loads(config.record_path.read_text())
    assert record['recipe'] == 'eps' and record['saliency'] == 'world'
    assert set(record['metrics']) == {'classifier', 'masks'}
    assert set(record['frame_keys']) == {'train', 'validation', 'test'}
    assert '| tiny | ' in capsys.readouterr().out
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
