# SPDX-License-Identifier: Apache-2.0
"""Scores of masks by hand: thresholds, the control without learning, what is taken for what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from eps_runs import changed, tiny_run

from kd_perception.world.classes import BUMP, CAR, CAR_STOP, COLOR_CONE
from training.data.tagged_frames import TaggedFrame
from training.recipes.eps_mask_files import write_mask, write_shares
from training.recipes.eps_mask_scores import MaskTally, confusions, score_masks

CLASSES = ('car', 'color_cone')
SIZE = (10, 10)


@pytest.fixture
def config(tmp_path):
    return replace(tiny_run(tmp_path, tmp_path), classes=CLASSES)


def frame(name='one', **changes):
    """A car in the upper third, a car stop below it, and a cone that has no tag at the end."""
    things = np.zeros(SIZE, np.uint8)
    things[:3], things[3], things[9, 9] = CAR, CAR_STOP, COLOR_CONE
    label = np.zeros(SIZE, np.uint8)
    label[:3], label[9, 9] = 1, 255
    values = {'label': label, 'things': things, 'saliency': None}
    return TaggedFrame(name, np.array([True, False]), np.zeros((*SIZE, 3), np.uint8), **{
        **values, **changes,
    })  # fmt: skip


def kept(config, mask, shares, one):
    write_mask(config, one.name, mask)
    write_shares(config, one.name, shares)
    return score_masks([one], config)


def shares_with(*rows):
    """Shares of the car by row of the image; those of the cone are 0."""
    shares = np.zeros((2, *SIZE), np.float32)
    for share, row in rows:
        shares[0, row] = share
    return shares


def test_thresholds_are_tried_on_the_shares(config):
    config = changed(config, 'masks', thresholds=(0.1, 0.5, 0.9))
    shares = shares_with((1.0, 0), (0.8, 1), (0.8, 2), (0.3, 3), (0.3, 4))
    report = kept(config, np.zeros(SIZE, np.uint8), shares, frame())
    # Rows 0 to 4, 0 to 2, and 0 alone are taken for the car; the cone is in neither.
    iou = {
        '0.1': (3 / 5, 49 / 69), '0.5': (1.0, 1.0), '0.9': (1 / 3, 69 / 89),
    }  # fmt: skip
    for name, values in iou.items():
        assert report['thresholds'][name] == pytest.approx(np.mean(values), abs=1e-4)
    assert (report['best_threshold'], report['miou_best_threshold']) == (0.5, 1.0)
    assert report['miou'] == pytest.approx(np.mean([0.0, 69 / 99]), abs=1e-4), 'of the masks'


def test_a_background_of_saliency_tries_no_thresholds(config):
    config = changed(config, 'masks', background='saliency', thresholds=(0.1,))
    report = kept(config, np.zeros(SIZE, np.uint8), shares_with((1.0, 0)), frame())
    assert report['thresholds'] == {} and 'best_threshold' not in report


def test_the_control_paints_what_is_salient(config):
    saliency = np.zeros(SIZE, np.uint8)
    saliency[:2], saliency[5] = 128, 127
    mask = np.zeros(SIZE, np.uint8)
    report = kept(config, mask, shares_with(), frame(saliency=saliency))
    assert report['salient_tags']['iou'] == {
        'background': pytest.approx(69 / 79, abs=1e-4), 'car': pytest.approx(2 / 3, abs=1e-4),
        'color_cone': None,
    }  # fmt: skip
    assert 'salient_tags' not in kept(config, mask, shares_with(), frame())


def test_what_is_taken_for_a_class_is_counted_pixel_by_pixel(config):
    mask = np.zeros(SIZE, np.uint8)
    mask[2:5], mask[9, 9] = 1, 2  # ten pixels of the car, ten of the stop, ten of nothing
    report = kept(config, mask, shares_with(), frame())
    assert report['confusions']['car']['car_stop'] == 1.0
    assert report['confusions']['car']['unlabeled'] == 1.0
    assert report['confusions']['car']['color_cone'] == 0.0
    assert report['confusions']['color_cone']['car'] == 0.0


def test_what_is_seen_with_a_class(config):
    tally = MaskTally(config)
    mask, shares = np.zeros(SIZE, np.uint8), shares_with()
    tally.update(frame(), mask, shares)
    alone = frame(things=np.where(np.arange(100).reshape(SIZE) < 30, CAR, 0).astype(np.uint8))
    tally.update(alone, mask, shares)
    other = frame()._replace(tags=np.array([False, True]))
    tally.update(other, mask, shares)
    seen = tally.report()['seen_with']
    assert (seen['car']['car_stop'], seen['car']['car'], seen['car']['bump']) == (0.5, 1.0, 0.0)
    assert seen['color_cone']['car_stop'] == 1.0
    assert seen['car']['color_cone'] == 0.5, 'one pixel of a hundred is enough'


def test_confusions_by_hand():
    taken = np.zeros((3, 9))
    taken[1, CAR], taken[1, CAR_STOP] = 40, 10
    taken[2, BUMP] = 7  # no cone is right
    found = confusions(taken, CLASSES)
    assert found['car']['car_stop'] == 0.25 and found['car']['bike'] == 0.0
    assert 'car' not in found['car'] and set(found['color_cone'].values()) == {None}


def test_scores_without_labels_are_empty(config):
    report = kept(config, np.zeros(SIZE, np.uint8), shares_with(), frame())
    assert report['images'] == 1
    assert score_masks([frame(label=None)], config) == {}
    assert score_masks([frame(label=None), frame()], config) == report
