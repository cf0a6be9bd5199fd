# SPDX-License-Identifier: Apache-2.0
"""Views of the world for tagging: crops about things, tiles, whole frames, and their saliency."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kd_perception.errors import ConfigError
from kd_perception.world.classes import BUMP, CAR, CAR_STOP, COLOR_CONE
from training.data.saliency import barrier_distance, heat_contrast
from training.data.world import WorldSplit, load_world
from training.data.world_views import FIELDS, WorldViewConfig, class_ids, load_views

CLASSES = ('car', 'person', 'bike', 'color_cone')
SPLIT = WorldSplit('train', 1, 8, world={'height': 96, 'width': 128, 'density': 2.0})
CROPS = WorldViewConfig(image_size=(32, 32), least_px=10)


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp('views')


@pytest.fixture(scope='session')
def crops(cache):
    return load_views(SPLIT, CLASSES, CROPS, cache)


def test_crops_are_of_one_size_and_their_names_differ(crops):
    assert len(crops) > 20 and len({view.name for view in crops}) == len(crops)
    for view in crops:
        assert view.rgb.shape == (32, 32, 3) and view.rgb.dtype == np.uint8
        assert view.thermal.shape == (32, 32) and view.thermal.dtype == np.uint16
        assert view.saliency.dtype == view.label.dtype == view.things.dtype == np.uint8
        assert view.tags.shape == (4,) and view.tags.dtype == bool


def test_labels_count_through_the_tagged_classes_and_tags_follow_from_them(crops):
    ids = class_ids(CLASSES)
    for view in crops:
        for k, own in enumerate(ids):
            there = view.things == own
            assert view.tags[k] == (there.sum() >= 0.02 * 32 * 32)
            value = k + 1 if view.tags[k] else 255
            assert (view.label[there] == value).all() and not (view.label[~there] == k + 1).any()
        np.testing.assert_array_equal(view.label == 0, ~np.isin(view.things, ids))
    assert {int(k) for view in crops for k in np.unique(view.label)} == {0, 1, 2, 3, 4, 255}


def test_a_crop_shows_what_the_frame_shows(crops, cache):
    frames = load_world(replace(SPLIT, fields=FIELDS), cache)
    for view in crops[::7]:
        number, top, left, side = map(int, view.name.split('_')[1:])
        part = (slice(top, top + side), slice(left, left + side))
        share = (np.asarray(frames[number].label)[part] == CAR).mean()
        assert (view.things == CAR).mean() == pytest.approx(share, abs=0.06)
        whole = np.asarray(frames[number].rgb)[part].mean()
        assert view.rgb.mean() == pytest.approx(whole, abs=2.0)


def test_the_thing_of_a_crop_takes_the_share_that_was_asked_for(cache):
    config = replace(CROPS, share_low=0.5, share_high=0.5, least_px=16)
    views = load_views(SPLIT, CLASSES, config, cache)
    instances = load_world(replace(SPLIT, fields=FIELDS), cache)
    checked = 0
    for view in views:
        number, top, left, side = map(int, view.name.split('_')[1:])
        if side == 96:
            continue
        frame = instances[number]
        found = np.asarray(frame.instance) * np.isin(frame.label, class_ids(CLASSES))
        sizes = []
        for thing in np.unique(found[top : top + side, left : left + side])[1:]:
            rows, columns = np.nonzero(found == thing)
            sizes.append(max(np.ptp(rows), np.ptp(columns)) + 1)
        assert min(abs(size / side - 0.5) for size in sizes) < 0.04
        checked += 1
    assert checked > 5


def test_crops_are_taken_by_turns_of_the_classes(crops, cache):
    few = load_views(SPLIT, CLASSES, replace(CROPS, count=12), cache)
    assert len(few) == 12 and {view.name for view in few} < {view.name for view in crops}
    names = [view.name for view in few]
    assert names == [view.name for view in crops if view.name in names]
    for k in range(4):
        assert sum(bool(view.tags[k]) for view in few) >= min(
            3, sum(bool(view.tags[k]) for view in crops)
        )


def test_tiles_cover_the_frame(cache):
    tiles = load_views(
        SPLIT, CLASSES, WorldViewConfig('tiles', (48, 64), tiles=(2, 2), tag_share=1e-4), cache
    )
    frames = load_views(
        SPLIT, CLASSES, WorldViewConfig('frames', (96, 128), tag_share=1e-4), cache
    )
    assert (len(tiles), len(frames)) == (4 * 8, 8)
    for k, frame in enumerate(frames):
        parts = tiles[4 * k : 4 * k + 4]
        whole = np.vstack([np.hstack([p.label for p in parts[i : i + 2]]) for i in (0, 2)])
        np.testing.assert_array_equal(whole % 255, frame.label % 255)
    assert sum(t.tags.sum() for t in tiles) < 4 * sum(f.tags.sum() for f in frames)


def test_saliency(cache, crops):
    def saliencies(name):
        views = load_views(SPLIT, CLASSES, replace(CROPS, saliency=name), cache)
        assert [v.name for v in views] == [v.name for v in crops]
        return views

    for view in saliencies('truth'):
        np.testing.assert_array_equal(view.saliency, np.where(view.label > 0, 255, 0))
    for view in saliencies('barrier_distance')[:5]:
        np.testing.assert_array_equal(view.saliency, barrier_distance(view.rgb))
    for view in saliencies('heat_contrast')[:5]:
        np.testing.assert_array_equal(view.saliency, heat_contrast(view.thermal))
    worse = saliencies('degraded')
    assert [v.saliency.tobytes() for v in worse] == [
        v.saliency.tobytes() for v in saliencies('degraded')
    ]

    def agreement(views):
        hits = [((v.saliency > 127) == (v.label > 0)).mean() for v in views]
        return np.mean(hits)

    assert agreement(crops) > agreement(worse) + 0.02


def test_detectors_see_the_frame_that_tiles_are_cut_out_of(cache):
    config = WorldViewConfig('tiles', (48, 64), tiles=(2, 2), tag_share=1e-4)
    frames = load_world(replace(SPLIT, fields=FIELDS), cache)
    for name, expected in (
        ('heat_contrast', heat_contrast(np.asarray(frames[3].thermal))),
        ('barrier_distance', barrier_distance(np.asarray(frames[3].rgb))),
    ):
        tiles = load_views(SPLIT, CLASSES, replace(config, saliency=name), cache)[12:16]
        whole = np.block([[tile.saliency for tile in tiles[i : i + 2]] for i in (0, 2)])
        np.testing.assert_array_equal(whole, expected)


def test_pairs_come_together_and_are_no_tag(cache):
    views = load_views(SPLIT, CLASSES, replace(CROPS, pairs=True), cache)
    for host, company in ((CAR, CAR_STOP), (COLOR_CONE, BUMP)):
        with_host = [view for view in views if (view.things == host).mean() > 0.1]
        seen = np.mean([(view.things == company).any() for view in with_host])
        assert seen > 0.6
    for view in views:
        assert not view.label[np.isin(view.things, (BUMP, CAR_STOP))].any()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'kind': 'photos'}, "kind must be one of crops, tiles, frames, got 'photos'"),
        ({'saliency': 'network'}, 'saliency must be one of'),
        ({'image_size': (16, 64)}, 'too small'),
        ({'tiles': (0, 2)}, 'too small'),
        ({'share_low': 0.9}, 'share_low <= share_high'),
        ({'tag_share': 0.0}, '0 < tag_share'),
    ],
)
def test_wrong_settings_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        WorldViewConfig(**change)


def test_wrong_classes_and_no_views_are_refused(cache):
    for classes in ((), ('car', 'car'), ('tram',), ('unlabeled',)):
        with pytest.raises(ConfigError, match='distinct names'):
            class_ids(classes)
    with pytest.raises(ConfigError, match='large enough'):
        load_views(SPLIT, CLASSES, replace(CROPS, least_px=96), cache)
