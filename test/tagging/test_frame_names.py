# SPDX-License-Identifier: Apache-2.0
"""Names of images and tiles: what they say, how they sort, which tiles are one image."""

from __future__ import annotations

import pytest

from kd_perception.errors import DatasetError
from kd_perception.tagging.frame_names import (
    by_place,
    frame_name,
    grid_size,
    grids_of,
    image_of,
    in_time,
    place_of,
)


@pytest.mark.parametrize(
    ('name', 'image', 'place'),
    [
        ('t17', 't17', None),
        ('t17_1_10', 't17', (1, 10)),
        ('left_0003', 'left_0003', None),
        ('left_0003_0_2', 'left_0003', (0, 2)),
    ],
)
def test_parts_of_names(name, image, place):
    assert (image_of(name), place_of(name)) == (image, place)


def test_names_of_stamps():
    assert frame_name(17) == 't17' and frame_name(17, (2, 3)) == 't17_2_3'


def test_order_in_time_and_by_place():
    """9.9 s has a digit less than 10.0 s; the tenth row comes after the second."""
    names = [frame_name(stamp, (row, 0)) for stamp in (99, 100) for row in (2, 10)]
    assert sorted([names[k] for k in (3, 1, 0, 2)], key=in_time) == names
    assert sorted(names, key=by_place) == ['t99_2_0', 't100_2_0', 't99_10_0', 't100_10_0']
    assert sorted(['t100', 't99'], key=in_time) == ['t99', 't100']


def test_grids():
    names = [frame_name(1, (y, x)) for y in range(2) for x in range(3)]
    assert grid_size(names) == (2, 3) and grid_size(['t1']) == grid_size([]) == (1, 1)
    assert list(grids_of(['t1', 't2'])) == [[['t1']], [['t2']]]
    grids = list(grids_of([*names, 't2_0_0', 't2_1_2']))
    assert grids == [[names[:3], names[3:]], [['t2_0_0']], [['t2_1_2']]]
    with pytest.raises(DatasetError, match='some are whole'):
        grid_size(['t1', 't2_0_0'])
