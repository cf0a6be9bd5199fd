# SPDX-License-Identifier: Apache-2.0
"""The label sets, written out a second time from what their authors publish."""

from __future__ import annotations

import pytest

from kd_perception.label_sets import CITYSCAPES, MFNET, NYU40, PST900, VOC21
from kd_perception.world import classes

MFNET_TABLE = """
    0 unlabeled 0 0 0
    1 car 64 0 128
    2 person 64 64 0
    3 bike 0 128 192
    4 curve 0 0 192
    5 car_stop 128 128 0
    6 guardrail 64 64 128
    7 color_cone 192 128 128
    8 bump 192 64 0
"""
PST900_TABLE = """
    0 background 0 0 0
    1 fire_extinguisher 255 0 0
    2 backpack 0 255 0
    3 hand_drill 0 0 255
    4 survivor 255 255 255
"""
CITYSCAPES_TABLE = """
    7 road 128 64 128
    8 sidewalk 244 35 232
    11 building 70 70 70
    12 wall 102 102 156
    13 fence 190 153 153
    17 pole 153 153 153
    19 traffic_light 250 170 30
    20 traffic_sign 220 220 0
    21 vegetation 107 142 35
    22 terrain 152 251 152
    23 sky 70 130 180
    24 person 220 20 60
    25 rider 255 0 0
    26 car 0 0 142
    27 truck 0 0 70
    28 bus 0 60 100
    31 train 0 80 100
    32 motorcycle 0 0 230
    33 bicycle 119 11 32
"""
"""Ids as labelIds images hold them; the train ids are the order."""
VOC_TABLE = """
    0 background 0 0 0
    1 aeroplane 128 0 0
    2 bicycle 0 128 0
    3 bird 128 128 0
    4 boat 0 0 128
    5 bottle 128 0 128
    6 bus 0 128 128
    7 car 128 128 128
    8 cat 64 0 0
    9 chair 192 0 0
    10 cow 64 128 0
    11 diningtable 192 128 0
    12 dog 64 0 128
    13 horse 192 0 128
    14 motorbike 64 128 128
    15 person 192 128 128
    16 pottedplant 0 64 0
    17 sheep 128 64 0
    18 sofa 0 192 0
    19 train 128 192 0
    20 tvmonitor 0 64 128
"""
NYU40_NAMES = """
    wall, floor, cabinet, bed, chair, sofa, table, door, window, bookshelf, picture, counter,
    blinds, desk, shelves, curtain, dresser, pillow, mirror, floor mat, clothes, ceiling, books,
    refridgerator, television, paper, towel, shower curtain, box, whiteboard, person, night stand,
    toilet, sink, lamp, bathtub, bag, otherstructure, otherfurniture, otherprop
"""


def rows(table):
    """(file id, name, color) of each line."""
    for line in table.strip().splitlines():
        number, name, *color = line.split()
        yield int(number), name, tuple(map(int, color))


@pytest.mark.parametrize(
    ('labels', 'table'),
    [
        (MFNET, MFNET_TABLE),
        (PST900, PST900_TABLE),
        (CITYSCAPES, CITYSCAPES_TABLE),
        (VOC21, VOC_TABLE),
    ],
)
def test_names_colors_and_ids_are_the_published_ones(labels, table):
    expected = list(rows(table))
    assert [name.replace(' ', '_') for name in labels.names] == [name for _, name, _ in expected]
    assert list(labels.colors) == [color for _, _, color in expected]
    counted = {file_id: train for file_id, train in labels.id_map.items() if train != 255}
    published = {file_id: train for train, (file_id, _, _) in enumerate(expected)}
    assert (counted or {i: i for i in range(len(expected))}) == published


def test_cityscapes_voids_are_all_the_other_ids():
    counted = {file_id for file_id, _, _ in rows(CITYSCAPES_TABLE)}
    voids = {file_id for file_id, train in CITYSCAPES.id_map.items() if train == 255}
    assert voids == {*range(-1, 34)} - counted


def test_nyu_names_are_the_published_ones():
    assert ', '.join(NYU40.names) == ' '.join(NYU40_NAMES.split())
    assert NYU40.id_map == {0: 255, **{file_id: file_id - 1 for file_id in range(1, 41)}}


def test_the_world_paints_the_ids_of_mfnet():
    """By the world's own names for its ids: a constant moved alone would be noticed here."""
    ids = {
        'unlabeled': classes.UNLABELED,
        'car': classes.CAR,
        'person': classes.PERSON,
        'bike': classes.BIKE,
        'curve': classes.CURVE,
        'car_stop': classes.CAR_STOP,
        'guardrail': classes.GUARDRAIL,
        'color_cone': classes.COLOR_CONE,
        'bump': classes.BUMP,
    }
    assert ids == {name: file_id for file_id, name, _ in rows(MFNET_TABLE)}
