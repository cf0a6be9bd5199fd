# SPDX-License-Identifier: Apache-2.0
"""The two forms of NYU-Depth-v2 that are image files: made trees, and one real frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from kd_perception.errors import ConfigError, DatasetError
from training.data.nyu import NyuConverted, NyuDepthImages

SIZE = (12, 16)
LISTS = {'train': ('0003', '1449'), 'test': ('0001',)}


def ids_image():
    return (np.arange(np.prod(SIZE)) % 41).astype(np.uint8).reshape(SIZE)


@pytest.fixture
def converted(tmp_path):
    for split, names in LISTS.items():
        for folder in ('rgb', 'depth', 'depth_raw', 'labels_40'):
            (tmp_path / split / folder).mkdir(parents=True)
        for name in names:
            part = tmp_path / split
            number = int(name)
            image = np.full((*SIZE, 3), (number % 256, 20, 30), np.uint8)
            cv2.imwrite(str(part / f'rgb/{name}.png'), image[:, :, ::-1])
            cv2.imwrite(str(part / f'depth/{name}.png'), np.full(SIZE, 1000 + number, np.uint16))
            cv2.imwrite(str(part / f'depth_raw/{name}.png'), np.zeros(SIZE, np.uint16))
            cv2.imwrite(str(part / f'labels_40/{name}.png'), ids_image())
        # np.savetxt of the converter; the lists of FCN lack the last end of line.
        (tmp_path / f'{split}.txt').write_text('\n'.join(names))
    return tmp_path


def test_converted_frames_have_their_own_parts(converted):
    data = NyuConverted(converted, 'train', views=('label', 'depth_raw'))
    assert [sample.name for sample in data] == ['0003', '1449']
    for sample, number in zip(data, (3, 1449), strict=True):
        assert sample.rgb[0, 0].tolist() == [number % 256, 20, 30]
        assert (sample.target_m == np.float32((1000 + number) / 1000)).all()
        assert not sample.depth_raw_m.any()
        assert sample.target_m.dtype == np.float32
    expected = np.where(ids_image() == 0, 255, ids_image().astype(int) - 1)
    np.testing.assert_array_equal(data[0].label, expected)
    assert {*np.unique(data[0].label).tolist()} == {*range(40), 255}
    assert data.label_set.names[data[0].label[0, 5]] == 'chair'
    test = NyuConverted(converted, 'test', views=())
    assert len(test) == 1 and test[0].label is None


def test_palette_labels_are_read_by_index(converted):
    path = converted / 'test' / 'labels_40' / '0001.png'
    expected = NyuConverted(converted, 'test')[0].label
    image = Image.fromarray(ids_image(), mode='P')
    image.putpalette(np.random.default_rng(1).integers(0, 256, 768).astype(np.uint8).tolist())
    image.save(path)
    np.testing.assert_array_equal(NyuConverted(converted, 'test')[0].label, expected)


@pytest.mark.parametrize(
    'file',
    [
        'train.txt',
        'train/rgb/0003.png',
        'train/depth/1449.png',
        'train/depth_raw/0003.png',
        'train/labels_40/0003.png',
    ],
)
def test_a_missing_file_is_named_at_once(converted, file):
    (converted / file).unlink()
    with pytest.raises(DatasetError) as error:
        NyuConverted(converted, 'train', views=('label', 'depth_raw'))
    assert file in str(error.value) and 'prepare_dataset' in str(error.value)


@pytest.mark.parametrize('folder', ['rgb', 'depth', 'labels_40'])
def test_a_file_cut_off_is_named_when_it_is_read(converted, folder):
    path = converted / 'test' / folder / '0001.png'
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    data = NyuConverted(converted, 'test')
    with pytest.raises(DatasetError) as error:
        data[0]
    assert str(path) in str(error.value)


def test_labels_of_894_classes_and_other_sizes_are_refused(converted):
    path = converted / 'test' / 'labels_40' / '0001.png'
    for wrong in (np.full(SIZE, 41, np.uint8), np.full(SIZE, 300, np.uint16)):
        cv2.imwrite(str(path), wrong)
        with pytest.raises(DatasetError, match='0001'):
            NyuConverted(converted, 'test')[0]
    cv2.imwrite(str(path), np.ones((4, 4), np.uint8))
    with pytest.raises(DatasetError, match='label 4x4'):
        NyuConverted(converted, 'test')[0]


def test_wrong_arguments_are_refused(converted):
    for arguments in ({'split': 'val'}, {'views': ['depth']}):
        with pytest.raises(ConfigError):
            NyuConverted(converted, **arguments)
    with pytest.raises(IndexError, match='0 to 0'):
        NyuConverted(converted, 'test')[1]
    with pytest.raises(DatasetError, match='no such folder'):
        NyuConverted(converted / 'none')


def test_real_frame_with_depth(real_data):
    data = NyuDepthImages(real_data / 'nyu_mini', None)
    assert data.names == ('bookstore_0001d_00001',)
    sample = data[0]
    assert sample.rgb.shape == (120, 160, 3) and sample.target_m.shape == (120, 160)
    seen = sample.target_m > 0
    assert seen.mean() == pytest.approx(0.662, abs=1e-3)
    # The Kinect of a bookstore: from about a meter to its limit of ten.
    assert 0.5 < sample.target_m[seen].min() < np.median(sample.target_m[seen]) < 4
    assert sample.target_m.max() == 10


@pytest.fixture
def depth_images(tmp_path):
    for split, name in (('train', 'kitchen_1/a'), ('train', 'b'), ('test', 'office/a')):
        for folder, end in (('images', '.jpg'), ('annotations', '.png')):
            path = tmp_path / folder / split / f'{name}{end}'
            path.parent.mkdir(parents=True, exist_ok=True)
            depth = np.full(SIZE, 2500, np.uint16)
            cv2.imwrite(str(path), np.zeros((*SIZE, 3), 'u1') if end == '.jpg' else depth)
    return tmp_path


def test_scenes_are_found_below_their_split(depth_images):
    data = NyuDepthImages(depth_images)
    assert data.names == ('b', 'kitchen_1/a')
    assert data[1].target_m[0, 0] == 2.5 and data[1].label is None
    assert NyuDepthImages(depth_images, 'test').names == ('office/a',)


@pytest.mark.parametrize('file', ['images/train/kitchen_1/a.jpg', 'annotations/train/b.png'])
def test_an_image_without_depth_or_the_reverse_is_named(depth_images, file):
    (depth_images / file).unlink()
    with pytest.raises(DatasetError, match=file):
        NyuDepthImages(depth_images)
    with pytest.raises(DatasetError, match='How to get it'):
        NyuDepthImages(depth_images, 'val')
