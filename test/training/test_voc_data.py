# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC with the extra masks, image tags and saliency, on made trees."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.label_sets import VOC21
from training.data.voc import VOC, lacks_masks, read_saliency

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
    (sample,) = VOC(root, 'test', views=())
    assert sample.label is None and sample.tags is None
    assert sample.rgb.shape == (*SIZE, 3)


def test_masks_may_be_left_out_for_training_with_tags(root, saliency, tmp_path):
    shutil.rmtree(root / 'SegmentationClass')
    shutil.rmtree(root / 'SegmentationClassAug')
    (tmp_path / 'tags.txt').write_text(f'{IDS[2]} 15 20\n{IDS[0]}\n')
    data = VOC(
        root,
        'train_aug',
        views=('tags', 'saliency'),
        tags_file=tmp_path / 'tags.txt',
        saliency_folder=saliency,
    )
    assert [np.flatnonzero(s.tags).tolist() for s in data] == [[], [14, 19]]
    assert [s.label for s in data] == [None, None]
    assert data[1].saliency.dtype == np.float32
    np.testing.assert_allclose(data[1].saliency, 0.6, atol=1e-6)


def test_a_missing_mask_is_told(root):
    assert not any(lacks_masks(root, split) for split in ('train', 'trainval', 'train_aug'))
    (root / f'SegmentationClassAug/{IDS[2]}.png').unlink()
    assert lacks_masks(root, 'train_aug') and not lacks_masks(root, 'trainval')
    (root / f'SegmentationClass/{IDS[0]}.png').unlink()
    assert lacks_masks(root, 'train')


@pytest.mark.parametrize(
    ('split', 'arguments', 'message'),
    [
        ('train', {'views': ['mask']}, 'views must be of'),
        ('test', {}, 'no masks'),
        ('train', {'views': ['tags']}, 'tags_file'),
        ('train', {'views': ['saliency']}, 'saliency_folder'),
        ('train', {'views': ['label'], 'tags_file': 'tags.txt'}, 'neither it nor'),
        ('train', {'saliency_folder': 'SALImages'}, 'neither it nor'),
    ],
)
def test_views_that_cannot_be_read_or_would_not_be_are_refused(root, split, arguments, message):
    with pytest.raises(ConfigError, match=message):
        VOC(root, split, **arguments)


def test_only_what_is_asked_for_is_handed_out(root):
    (sample,) = VOC(root, views=['label'])
    assert sample.label is not None and sample.tags is None
    for index in (-1, 1):
        with pytest.raises(IndexError, match='0 to 0'):
            VOC(root)[index]


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
    views = ('label', 'saliency')
    assert len(VOC(root, 'train', views=views, saliency_folder=saliency)) == 1
    with pytest.raises(DatasetError, match=rf'saliency maps(.|\n)*1 of 1 .*: {IDS[1]}\.png'):
        VOC(root, 'val', views=views, saliency_folder=saliency)
    with pytest.raises(DatasetError, match='no such folder'):
        VOC(root, 'val', views=views, saliency_folder=saliency / 'deeper')


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
        VOC(root, 'train', views=('label', 'saliency'), saliency_folder=saliency)[0]


@pytest.mark.parametrize(
    'file', ['JPEGImages/2007_000032.jpg', 'SegmentationClass/2007_000032.png']
)
def test_truncated_files_are_refused_by_name(root, file):
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) * 9 // 10])
    with pytest.raises(DatasetError, match=f'{file} is damaged'):
        VOC(root)[0]


def test_tags_of_the_split_come_as_a_table(root, tmp_path):
    tags = np.random.default_rng(1).integers(0, 2, (3, 20)).astype(bool)
    np.savez(tmp_path / 'tags.npz', ids=np.array(IDS), tags=tags)
    data = VOC(root, 'train_aug', tags_file=tmp_path / 'tags.npz')
    np.testing.assert_array_equal(data.tags(), tags[[0, 2]])
    np.testing.assert_array_equal(data[1].tags, tags[2])
    assert VOC(root).tags() is None
