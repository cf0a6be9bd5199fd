# SPDX-License-Identifier: Apache-2.0
"""Edges drawn from labels: the rule pixel by pixel, and what a quarter of the resolution keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError, ShapeError
from training.losses import edge_labels, shrink_edges

Image = pytest.importorskip('PIL.Image')


def by_definition(label, radius, ignored=255):
    edges = np.zeros(label.shape, np.uint8)
    places = list(np.ndindex(label.shape))
    for p in places:
        for q in places:
            near = (p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 <= radius**2
            if near and label[p] != label[q] and ignored not in (label[p], label[q]):
                edges[p] = 1
    return edges


@st.composite
def labels(draw):
    size = (draw(st.integers(1, 7)), draw(st.integers(1, 8)))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    few = rng.choice(np.array([0, 1, 8, 255]), size=size, p=draw(st.sampled_from(SHARES)))
    return few.astype(np.uint8)


SHARES = ([0.9, 0.1, 0.0, 0.0], [0.5, 0.2, 0.2, 0.1], [0.0, 0.0, 0.3, 0.7], [1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(('radius', 'count'), [(1, 10), (1.4, 10), (2, 20), (3, 30)])
def test_step_between_two_columns(radius, count):
    label = torch.zeros(1, 5, 6, dtype=torch.int64)
    label[:, :, 3:] = 4
    edges = edge_labels(label, radius=radius)
    assert edges.dtype == torch.uint8
    assert int(edges.sum()) == count
    assert torch.equal(edges, edges.flip(2))


def test_single_pixel_is_marked_with_its_disk():
    label = torch.zeros(1, 9, 9, dtype=torch.uint8)
    label[0, 4, 4] = 1
    for radius, count in ((1, 5), (1.5, 9), (2, 13), (2.9, 25), (3, 29)):
        assert int(edge_labels(label, radius=radius).sum()) == count


@given(labels(), st.sampled_from([1.0, 1.5, 2.0, 2.3, 3.0, 40.0]))
def test_edges_are_those_of_the_definition(label, radius):
    batch = torch.from_numpy(np.stack([label, label[::-1]]))
    edges = edge_labels(batch, radius=radius).numpy()
    np.testing.assert_array_equal(edges[0], by_definition(label, radius))
    np.testing.assert_array_equal(edges[1], edges[0][::-1])


@given(labels())
def test_edges_follow_turns_and_do_not_care_for_names(label):
    edges = edge_labels(torch.from_numpy(label)[None])
    turned = edge_labels(torch.from_numpy(label.T.copy())[None])
    assert torch.equal(edges, turned.transpose(1, 2))
    renamed = np.where(label == 255, 255, 7 - label.astype(np.int64))
    assert torch.equal(edges, edge_labels(torch.from_numpy(renamed)[None]))


def test_ignored_pixels_have_no_outline():
    label = torch.zeros(1, 4, 8, dtype=torch.uint8)
    label[:, :, 4:] = 255
    assert not edge_labels(label).any()
    assert int(edge_labels(label, ignore_index=-1).sum()) == 16
    label[:, :, 5:] = 3
    assert int(edge_labels(label, radius=1).sum()) == 0
    assert int(edge_labels(label, radius=2).sum()) == 8


def test_radius_type_and_shape_of_labels_are_checked():
    label = torch.zeros(1, 4, 8, dtype=torch.uint8)
    for radius in (0.5, 0.0, -2.0, float('nan'), float('inf')):
        with pytest.raises(ConfigError, match='radius must be at least 1'):
            edge_labels(label, radius=radius)
    with pytest.raises(ShapeError, match='integers'):
        edge_labels(label.float())
    with pytest.raises(ShapeError, match=r'label must be of shape \[any, any, any\]'):
        edge_labels(label[0])


def test_largest_of_sixteen_loses_no_edge():
    edges = torch.zeros(2, 8, 12, dtype=torch.uint8)
    edges[0, 3, 7] = 1
    edges[1, 0, 0], edges[1, 0, 1] = 1, 255
    quarter = shrink_edges(edges)
    assert quarter.dtype == torch.uint8
    assert quarter[0].tolist() == [[0, 1, 0], [0, 0, 0]]
    assert quarter[1].tolist() == [[255, 0, 0], [0, 0, 0]]
    assert not shrink_edges(edges, pooling='nearest').any()


@given(st.integers(0, 2**20))
def test_nearest_is_that_of_pillow(seed):
    edges = (np.random.default_rng(seed).random((24, 36)) < 0.5).astype(np.uint8)
    expected = np.asarray(Image.fromarray(edges).resize((9, 6), resample=Image.NEAREST))
    quarter = shrink_edges(torch.from_numpy(edges)[None], pooling='nearest')
    np.testing.assert_array_equal(quarter[0].numpy(), expected)


def test_largest_keeps_outlines_closed_and_nearest_may_not():
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing='ij')
    label = ((rows - 30) ** 2 + (columns - 33) ** 2 < 400).long()[None]
    edges = edge_labels(label)
    largest, nearest = shrink_edges(edges), shrink_edges(edges, pooling='nearest')
    assert (largest >= nearest).all()
    assert nearest.sum() < 0.8 * largest.sum()


def test_maps_that_have_no_quarter_are_refused():
    with pytest.raises(ShapeError, match='multiples of 4'):
        shrink_edges(torch.zeros(1, 8, 10, dtype=torch.uint8))
    with pytest.raises(ShapeError, match='uint8'):
        shrink_edges(torch.zeros(1, 8, 8))
    with pytest.raises(ConfigError, match="'max' or 'nearest'"):
        shrink_edges(torch.zeros(1, 8, 8, dtype=torch.uint8), pooling='mean')


@pytest.mark.parametrize('factor', [1, 2, 8])
def test_edges_shrink_by_any_factor(factor):
    edges = torch.zeros(1, 16, 32, dtype=torch.uint8)
    edges[0, 9, 17] = 1
    largest = shrink_edges(edges, factor=factor)
    assert largest.shape == (1, 16 // factor, 32 // factor)
    assert largest.nonzero().tolist() == [[0, 9 // factor, 17 // factor]]
    with pytest.raises(ShapeError, match=f'multiples of {2 * factor}'):
        shrink_edges(torch.zeros(1, 2 * factor, factor, dtype=torch.uint8), factor=2 * factor)
