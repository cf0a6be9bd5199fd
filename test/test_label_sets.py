# SPDX-License-Identifier: Apache-2.0
"""Label sets: the tables are whole, and ids, colors and train ids convert into each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from kd_perception.errors import ConfigError, DatasetError, ShapeError
from kd_perception.label_sets import (
    CITYSCAPES,
    MFNET,
    NYU40,
    PST900,
    VOC21,
    LabelSet,
    bit_rule_color,
)

SETS = (MFNET, PST900, CITYSCAPES, NYU40, VOC21)


@pytest.mark.parametrize(
    ('labels', 'count'), [(MFNET, 9), (PST900, 5), (CITYSCAPES, 19), (NYU40, 40), (VOC21, 21)]
)
def test_each_class_has_a_name_and_a_color_of_its_own(labels, count):
    assert labels.num_classes == len(set(labels.names)) == len(set(labels.colors)) == count


def test_background_is_told_where_there_is_one():
    assert [labels.background for labels in SETS] == [0, 0, None, None, 0]


def test_nyu_colors_follow_the_bit_rule_by_file_id():
    assert NYU40.colors[0] == (128, 0, 0)
    assert NYU40.colors[39] == (64, 0, 64)


def test_bit_rule_gives_every_index_another_color():
    assert len({bit_rule_color(index) for index in range(256)}) == 256
    assert bit_rule_color(255) == (224, 224, 192)


def test_voc_colors_are_those_in_a_real_file(real_data):
    path = real_data / 'voc/labelme/SegmentationClass/2011_000003.png'
    with Image.open(path) as image:
        label, picture = np.array(image), np.array(image.convert('RGB'))
    np.testing.assert_array_equal(VOC21.palette[label], picture)
    np.testing.assert_array_equal(VOC21.train_ids_from_colors(picture), label)


def test_cityscapes_ids_become_train_ids():
    ids = np.arange(34, dtype=np.uint8)
    train = CITYSCAPES.train_ids_from_file_ids(ids)
    counted = {int(i): int(t) for i, t in zip(ids, train, strict=True) if t != 255}
    assert counted[7] == 0 and counted[26] == 13 and counted[33] == 18
    assert sorted(counted.values()) == list(range(19))
    assert all(train[void] == 255 for void in (0, 1, 9, 10, 14, 16, 18, 29, 30))


def test_nyu_void_is_ignored_and_classes_move_down():
    label = np.array([[0, 1], [40, 255]], np.uint8)
    assert NYU40.train_ids_from_file_ids(label).tolist() == [[255, 0], [39, 255]]


@pytest.mark.parametrize(
    ('labels', 'stray'), [(MFNET, 9), (PST900, 5), (CITYSCAPES, 34), (NYU40, 41), (VOC21, 220)]
)
def test_ids_of_another_set_are_refused_by_value(labels, stray):
    label = np.zeros((4, 4), np.uint8)
    label[2, 3] = stray
    with pytest.raises(DatasetError, match=rf'{labels.title} labels.*received \[{stray}\]'):
        labels.train_ids_from_file_ids(label)


def test_wide_ids_are_refused_and_never_cut():
    with pytest.raises(ShapeError, match='uint8'):
        CITYSCAPES.train_ids_from_file_ids(np.full((2, 2), 26001, np.uint16))


@given(
    st.sampled_from(SETS),
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8)),
)
def test_painted_labels_are_read_back(labels, noise):
    label = np.where(noise % 7 == 0, 255, noise % labels.num_classes).astype(np.uint8)
    read = labels.train_ids_from_colors(labels.palette[label])
    hidden = (label == 255) & (labels.ignore_color in labels.colors)
    np.testing.assert_array_equal(read[~hidden], label[~hidden])


def test_pst900_picture_of_the_toolkit_gives_its_ids(real_data):
    with Image.open(real_data / 'pst900/label_vis.png') as image:
        picture = np.array(image)
    with Image.open(real_data / 'pst900/label_ids.png') as image:
        ids = np.array(image)
    np.testing.assert_array_equal(PST900.train_ids_from_colors(picture), ids)
    swapped = PST900.train_ids_from_colors(picture[:, :, ::-1])
    assert (swapped != ids).any(), 'the order of channels matters for these classes'


def test_colors_that_no_class_has_are_refused():
    picture = MFNET.palette[np.ones((3, 3), np.uint8)]
    picture[1, 1] += 1
    with pytest.raises(DatasetError, match='its colors only'):
        MFNET.train_ids_from_colors(picture)
    with pytest.raises(ShapeError, match='uint8'):
        MFNET.train_ids_from_colors(picture[:, :, 0])


def test_shared_colors_cannot_be_read_back():
    pair = LabelSet('pair', ('pole', 'polegroup'), ((153, 153, 153),) * 2)
    with pytest.raises(ConfigError, match='share colors'):
        pair.train_ids_from_colors(np.zeros((1, 1, 3), np.uint8))


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match='one color per name'):
        LabelSet('short', ('a', 'b'), ((0, 0, 0),))
    with pytest.raises(ConfigError, match='reach each'):
        LabelSet('unreached', ('a', 'b'), ((0, 0, 0), (1, 1, 1)), {0: 0, 1: 0})
    with pytest.raises(ConfigError, match='reach each'):
        LabelSet('beyond', ('a',), ((0, 0, 0),), {0: 0, 1: 1})
