# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC with the extra masks, image tags and saliency of weakly supervised training."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from kd_perception.errors import DatasetError
from kd_perception.label_sets import VOC21
from training.data.voc import VOC, read_saliency
from training.data.voc_tags import read_tags, tags_from_label

IDS = ('2007_000032', '2008_000008', '2008_000015')
SIZE = (9, 14)


def picture(number):
    """A smooth image: JPEG keeps it within a few levels."""
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    return np.dstack([rows * 10, columns * 9, np.full(SIZE, 60 * number)]).astype(np.uint8)


def mask(number):
    label = np.zeros(SIZE, np.uint8)
    label[2:5, 3:8] = 5 * number + 1
    label[2, 3:8] = 255
    return label


def save_palette(path, label):
    image = Image.fromarray(label)
    image.putpalette(VOC21.palette.tobytes())
    image.save(path)


@pytest.fixture
def root(tmp_path):
    """train and val have fine masks, the third image an extra one only."""
    root = tmp_path / 'VOCdevkit' / 'VOC2012'
    lists = root / 'ImageSets' / 'Segmentation'
    for folder in ('JPEGImages', 'SegmentationClass', 'SegmentationClassAug'):
        (root / folder).mkdir(parents=True)
    lists.mkdir(parents=True)
    for number, name in enumerate(IDS):
        Image.fromarray(picture(number)).save(
            root / f'JPEGImages/{name}.jpg', quality=98, subsampling=0
        )
    for number in (0, 1):
        save_palette(root / f'SegmentationClass/{IDS[number]}.png', mask(number))
    for number in (0, 2):
        label = np.where(mask(number) == 255, 0, mask(number)).astype(np.uint8)
        Image.fromarray(label).save(root / f'SegmentationClassAug/{IDS[number]}.png')
    for split, names in (
        ('train', IDS[:1]), ('val', IDS[1:2]), ('trainval', IDS[:2]), ('test', IDS[2:]),
        ('aug', IDS[2:]), ('train_aug', (IDS[0], IDS[2])),
    ):  # fmt: skip
        (lists / f'{split}.txt').write_text('\n'.join(names) + '\n')
    return root


@pytest.fixture
def saliency(tmp_path):
    folder = tmp_path / 'SALImages'
    folder.mkdir()
    for number, name in enumerate(IDS):
        Image.fromarray(np.full(SIZE, 51 * (number + 1), np.uint8)).save(folder / f'{name}.png')
    return folder


def test_image_and_mask_arrive(root):
    data = VOC(root, 'trainval')
    assert data.names == IDS[:2] and len(data) == 2
    for number, sample in enumerate(data):
        assert sample.rgb.dtype == np.uint8
        assert np.abs(sample.rgb.astype(int) - picture(number)).max() < 12
        np.testing.assert_array_equal(sample.label, mask(number))
        assert sample.saliency is None
        assert np.flatnonzero(sample.tags).tolist() == [5 * number]


def test_augmented_split_takes_the_mask_with_borders_where_there_is_one(root):
    fine, extra = VOC(root, 'train_aug')
    assert (fine.label == 255).any()
    assert not (extra.label == 255).any() and (extra.label == 11).any()
    (only,) = VOC(root, 'aug')
    np.testing.assert_array_equal(only.label, extra.label)


def test_test_split_has_images_only(root):
    (sample,) = VOC(root, 'test')
    assert sample.label is None and sample.tags is None
    assert sample.rgb.shape == (*SIZE, 3)


def test_masks_may_be_left_out_for_training_with_tags(root, saliency, tmp_path):
    shutil.rmtree(root / 'SegmentationClass')
    shutil.rmtree(root / 'SegmentationClassAug')
    (tmp_path / 'tags.txt').write_text(f'{IDS[2]} 15 20\n{IDS[0]}\n')
    data = VOC(root, 'train_aug', masks=False, tags=tmp_path / 'tags.txt', saliency=saliency)
    assert [np.flatnonzero(s.tags).tolist() for s in data] == [[], [14, 19]]
    assert [s.label for s in data] == [None, None]
    assert data[1].saliency.dtype == np.float32
    np.testing.assert_allclose(data[1].saliency, 0.6, atol=1e-6)


def test_saliency_is_the_mean_of_the_channels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'map.png')
    read = read_saliency(tmp_path / 'map.png')
    np.testing.assert_allclose(read, pixels.mean(axis=2) / 255, atol=1e-6)
    Image.fromarray(pixels[..., 0]).save(tmp_path / 'map.png')
    np.testing.assert_allclose(
        read_saliency(tmp_path / 'map.png'), pixels[..., 0] / 255, atol=1e-6
    )


@pytest.mark.parametrize(
    ('split', 'file'),
    [
        ('train', 'JPEGImages/2007_000032.jpg'),
        ('val', 'SegmentationClass/2008_000008.png'),
        ('aug', 'SegmentationClassAug/2008_000015.png'),
    ],
)
def test_one_missing_file_is_found_before_training(root, split, file):
    (root / file).unlink()
    with pytest.raises(DatasetError, match=f'1 of 2 files are missing: {file}') as caught:
        VOC(root, split)
    assert 'How to get it' in str(caught.value)


def test_missing_saliency_map_is_found_before_training(root, saliency):
    (saliency / f'{IDS[1]}.png').unlink()
    assert len(VOC(root, 'train', saliency=saliency)) == 1
    with pytest.raises(DatasetError, match=rf'saliency maps(.|\n)*1 of 1 .*: {IDS[1]}\.png'):
        VOC(root, 'val', saliency=saliency)
    with pytest.raises(DatasetError, match='no such folder'):
        VOC(root, 'val', saliency=saliency / 'deeper')


def test_root_one_level_too_high_shows_what_is_there(root):
    with pytest.raises(DatasetError, match='split list'):
        VOC(root.parent)
    with pytest.raises(DatasetError, match=r'VOC2012(.|\n)*no such folder(.|\n)*robots\.ox'):
        VOC(root / 'none')


def test_missing_train_aug_list_is_named_with_the_others(root):
    (root / 'ImageSets/Segmentation/train_aug.txt').unlink()
    with pytest.raises(
        DatasetError, match=r'train_aug\.txt; lists found there: aug\.txt'
    ) as caught:
        VOC(root, 'train_aug')
    assert 'metadata/voc12' in str(caught.value)


@pytest.mark.parametrize(
    ('text', 'message'), [('\n', 'is empty'), (f'{IDS[0]}\n{IDS[0]}\n', f'repeats {IDS[0]}')]
)
def test_faulty_lists_are_refused(root, text, message):
    (root / 'ImageSets/Segmentation/train.txt').write_text(text)
    with pytest.raises(DatasetError, match=message):
        VOC(root)


@pytest.mark.parametrize(
    ('pixels', 'message'),
    [
        (
            VOC21.palette[mask(0)],
            r'SegmentationClass/2007_000032\.png must be a label .* mode RGB',
        ),
        (np.full(SIZE, 21, np.uint8), r'ids 0-20, 255; received \[21\]'),
        (np.zeros((14, 9), np.uint8), 'image 9x14, mask 14x9'),
    ],
)
def test_masks_of_another_form_are_refused(root, pixels, message):
    Image.fromarray(pixels).save(root / f'SegmentationClass/{IDS[0]}.png')
    data = VOC(root, 'trainval')
    with pytest.raises(DatasetError, match=message):
        data[0]
    assert data[1].name == IDS[1]


def test_saliency_of_another_size_is_refused(root, saliency):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(saliency / f'{IDS[0]}.png')
    with pytest.raises(DatasetError, match='saliency 9x9'):
        VOC(root, 'train', saliency=saliency)[0]


@pytest.mark.parametrize(
    'file', ['JPEGImages/2007_000032.jpg', 'SegmentationClass/2007_000032.png']
)
def test_truncated_files_are_refused_by_name(root, file):
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) * 9 // 10])
    with pytest.raises(DatasetError, match=f'{file} is damaged'):
        VOC(root)[0]


def test_tags_leave_background_and_border_out():
    label = np.array([[0, 255], [1, 20]], np.uint8)
    tags = tags_from_label(label)
    assert tags.shape == (20,) and np.flatnonzero(tags).tolist() == [0, 19]


def tag_table(count, rng):
    return rng.integers(0, 2, (count, 20)).astype(bool)


@pytest.mark.parametrize('kind', [bool, np.uint8, np.float32])
def test_archive_and_text_hold_the_same_tags(tmp_path, kind):
    tags = tag_table(3, np.random.default_rng(0))
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


def test_tags_of_the_split_come_as_a_table(root, tmp_path):
    tags = tag_table(3, np.random.default_rng(1))
    np.savez(tmp_path / 'tags.npz', ids=np.array(IDS), tags=tags)
    data = VOC(root, 'train_aug', tags=tmp_path / 'tags.npz')
    np.testing.assert_array_equal(data.tags(), tags[[0, 2]])
    np.testing.assert_array_equal(data[1].tags, tags[2])
    assert VOC(root).tags() is None


def test_pickles_are_never_loaded(tmp_path, root):
    touched = tmp_path / 'ran'

    class Bomb:
        def __reduce__(self):
            return touched.touch, ()

    (tmp_path / 'cls_labels.npy').write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DatasetError, match=r'\.npz or \.txt.*pickle'):
        VOC(root, tags=tmp_path / 'cls_labels.npy')
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


def test_real_images_with_palette_masks(tmp_path, real_data):
    shutil.copytree(real_data / 'voc/labelme', tmp_path / 'VOC2012')
    lists = tmp_path / 'VOC2012/ImageSets/Segmentation'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('2011_000003\n2011_000006\n')
    bottle, chair = VOC(tmp_path / 'VOC2012', 'train')
    assert bottle.rgb.shape == (338, 500, 3) and bottle.label.shape == (338, 500)
    names = np.array(VOC21.names[1:])
    assert names[bottle.tags].tolist() == ['bottle', 'person']
    assert names[chair.tags].tolist() == ['chair', 'person', 'sofa']
    for sample in (bottle, chair):
        assert {0, 15, 255} < {*np.unique(sample.label).tolist()} <= {*range(21), 255}


@pytest.mark.parametrize(
    ('split', 'count'), [('train', 1464), ('val', 1449), ('train_aug', 10582)]
)
def test_genuine_lists_of_a_tree_of_empty_files(tmp_path, real_data, split, count):
    """Names are checked without opening a file, also in the largest split."""
    lists = tmp_path / 'ImageSets' / 'Segmentation'
    shutil.copytree(real_data / 'splits/voc12', lists)
    names = (lists / f'{split}.txt').read_text().split()
    masks = 'SegmentationClassAug' if split == 'train_aug' else 'SegmentationClass'
    for folder, suffix in (('JPEGImages', 'jpg'), (masks, 'png')):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f'{name}.{suffix}').touch()
    assert len(VOC(tmp_path, split)) == count
    (tmp_path / 'JPEGImages' / f'{names[-1]}.jpg').unlink()
    with pytest.raises(DatasetError, match=f'1 of {2 * count} .*{names[-1]}'):
        VOC(tmp_path, split)


def test_genuine_lists_are_disjoint_where_they_must_be(real_data):
    lists = {
        split: {*(real_data / f'splits/voc12/{split}.txt').read_text().split()}
        for split in ('train', 'val', 'train_aug')
    }
    assert not lists['train_aug'] & lists['val']
    assert lists['train'] < lists['train_aug']
