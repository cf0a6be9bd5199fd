# SPDX-License-Identifier: Apache-2.0
"""Image tags: from a mask, from text and from an archive, which is never run."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from kd_perception.errors import DatasetError
from training.data.voc_tags import read_tags, tags_from_label

IDS = ('2007_000032', '2008_000008', '2008_000015')


def test_tags_leave_background_and_border_out():
    label = np.array([[0, 255], [1, 20]], np.uint8)
    tags = tags_from_label(label)
    assert tags.shape == (20,) and np.flatnonzero(tags).tolist() == [0, 19]


@pytest.mark.parametrize('kind', [bool, np.uint8, np.float32])
def test_archive_and_text_hold_the_same_tags(tmp_path, kind):
    tags = np.random.default_rng(0).integers(0, 2, (3, 20)).astype(bool)
    np.savez_compressed(tmp_path / 'tags.npz', ids=np.array(IDS), tags=tags.astype(kind))
    lines = [
        ' '.join([name, *(str(k + 1) for k in np.flatnonzero(row))])
        for name, row in zip(IDS, tags, strict=True)
    ]
    (tmp_path / 'tags.txt').write_text('\n'.join(lines))
    for file in ('tags.npz', 'tags.txt'):
        read = read_tags(tmp_path / file, IDS[::-1])
        assert read.dtype == bool
        np.testing.assert_array_equal(read, tags[::-1])


def test_pickles_are_never_loaded(tmp_path):
    touched = tmp_path / 'ran'

    class Bomb:
        def __reduce__(self):
            return touched.touch, ()

    (tmp_path / 'cls_labels.npy').write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DatasetError, match=r'\.npz or \.txt.*pickle'):
        read_tags(tmp_path / 'cls_labels.npy', IDS)
    np.savez(tmp_path / 'tags.npz', ids=np.array([Bomb()], object), tags=np.zeros((1, 20)))
    with pytest.raises(DatasetError, match=r'must be a \.npz'):
        read_tags(tmp_path / 'tags.npz', IDS)
    assert not touched.exists()


def test_the_recipe_of_the_docstring_converts_the_pickle(tmp_path):
    rows = np.eye(20, dtype=np.float32)[:3]
    np.save(tmp_path / 'cls_labels.npy', dict(zip(IDS, rows, strict=True)), allow_pickle=True)
    labels = np.load(tmp_path / 'cls_labels.npy', allow_pickle=True).item()
    path = tmp_path / 'cls_labels.npz'
    np.savez(path, ids=np.array(list(labels)), tags=np.stack(list(labels.values())))
    np.testing.assert_array_equal(read_tags(path, IDS), rows.astype(bool))


@pytest.mark.parametrize(
    ('ids', 'tags', 'message'),
    [
        (IDS, np.zeros((3, 21)), r'\[n, 20\].*background is no tag'),
        (IDS, np.zeros((2, 20)), r'\[n, 20\]'),
        (IDS, np.full((3, 20), 0.5), 'tags must be 0 or 1'),
        (IDS, np.full((3, 20), 'x'), 'tags must be 0 or 1'),
        ((1, 2, 3), np.zeros((3, 20)), 'must hold ids, text'),
        (IDS[:1] * 3, np.zeros((3, 20)), 'repeats ids'),
        (IDS[:2], np.zeros((2, 20)), f'all 3 images; 1 are missing: {IDS[2]}'),
    ],
)
def test_faulty_tag_archives_are_refused(tmp_path, ids, tags, message):
    np.savez(tmp_path / 'tags.npz', ids=np.array(ids), tags=tags)
    with pytest.raises(DatasetError, match=message):
        read_tags(tmp_path / 'tags.npz', IDS)


def test_damaged_and_missing_tag_archives_are_refused(tmp_path):
    path = tmp_path / 'tags.npz'
    with pytest.raises(DatasetError, match=r'must be a \.npz'):
        read_tags(path, IDS)
    np.savez(path, ids=np.array(IDS))
    with pytest.raises(DatasetError, match=r'must be a \.npz with ids and tags.*tags'):
        read_tags(path, IDS)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match=r'must be a \.npz'):
        read_tags(path, IDS)


def test_tag_archives_that_unpack_to_too_much_are_refused(tmp_path):
    np.savez_compressed(tmp_path / 'tags.npz', ids=np.array(IDS), tags=np.zeros(2**24))
    with pytest.raises(DatasetError, match='bytes at most'):
        read_tags(tmp_path / 'tags.npz', IDS)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (f'{IDS[0]} 0', 'class ids must be 1 to 20'),
        (f'{IDS[0]} 3 21', 'class ids must be 1 to 20'),
        (f'{IDS[0]} person', 'class ids must be 1 to 20'),
        (f'{IDS[0]} 3\n{IDS[0]} 4', f'repeats {IDS[0]}'),
        ('', 'is empty'),
        (f'{IDS[0]} 3', r'2 are missing'),
    ],
)
def test_faulty_tag_lists_are_refused(tmp_path, text, message):
    (tmp_path / 'tags.txt').write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_tags(tmp_path / 'tags.txt', IDS)
