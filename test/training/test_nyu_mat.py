# SPDX-License-Identifier: Apache-2.0
"""NYU-Depth-v2 as published: a made .mat, and the genuine lists of FCN."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest

from kd_perception.errors import ConfigError, DatasetError
from training.data.nyu_mat import NyuMat, read_class_mapping, read_fcn_list, read_splits

HEIGHT, WIDTH, FRAMES = 6, 8, 3


def made_arrays():
    """As MATLAB writes them: width before height."""
    n, y, x = np.ogrid[:FRAMES, :HEIGHT, :WIDTH]
    image = np.stack([n + 0 * y + 0 * x, 0 * n + y + 0 * x, 0 * n + 0 * y + x], axis=1)
    depth = (n + y / 10 + x / 100).astype(np.float32)
    label = (0 * n + 100 * y + x).astype(np.uint16)
    return {
        'images': image.astype(np.uint8).transpose(0, 1, 3, 2),
        'depths': depth.transpose(0, 2, 1),
        'rawDepths': (depth / 2).transpose(0, 2, 1),
        'labels': label.transpose(0, 2, 1),
    }


def write_mat(path, **changes):
    h5py = pytest.importorskip('h5py', reason='the published .mat is read by h5py')
    with h5py.File(path, 'w') as file:
        for name, array in {**made_arrays(), **changes}.items():
            if array is not None:
                file[name] = array
    return path


@pytest.fixture
def mat(tmp_path):
    return write_mat(tmp_path / 'nyu_depth_v2_labeled.mat')


MAPPING = np.array([0, *(1 + np.arange(894) % 40)])


def test_frames_stand_upright_and_indices_count_from_one(mat):
    data = NyuMat(mat, [3, 1], classes=MAPPING, views=('label', 'depth_raw'))
    assert [sample.name for sample in data] == ['0003', '0001']
    sample = data[0]
    assert sample.rgb.shape == (HEIGHT, WIDTH, 3) and sample.label.shape == (HEIGHT, WIDTH)
    assert sample.rgb[4, 7].tolist() == [2, 4, 7]
    assert sample.target_m[4, 7] == pytest.approx(2.47)
    assert sample.depth_raw_m[4, 7] == pytest.approx(1.235)
    # Id 407 is class 1 + 406 % 40 = 7, train id 6; id 0 is void.
    assert sample.label[4, 7] == 6
    assert sample.label[0, 0] == 255
    assert sample.rgb.flags['C_CONTIGUOUS'] and sample.target_m.dtype == np.float32


def test_whole_file_is_the_default_and_data_can_go_to_workers(mat):
    data = pickle.loads(pickle.dumps(NyuMat(mat)))
    assert [sample.name for sample in data] == ['0001', '0002', '0003']
    assert data[0].label is None and data[0].depth_raw_m is None
    with pytest.raises(IndexError, match='0 to 2'):
        data[3]


@pytest.mark.parametrize('indices', [[0], [4], [1, -1], []])
def test_indices_beyond_the_file_are_refused(mat, indices):
    with pytest.raises(DatasetError, match='1 to 3'):
        NyuMat(mat, indices)


@pytest.mark.parametrize(
    'changes',
    [
        {'depths': None},
        {'labels': None},
        {'images': made_arrays()['images'].transpose(0, 1, 3, 2)},
        {'images': made_arrays()['images'].astype(np.float32)},
        {'depths': made_arrays()['depths'][:2]},
        {'rawDepths': made_arrays()['rawDepths'][0]},
    ],
)
def test_other_arrays_are_refused_at_once(tmp_path, changes):
    path = write_mat(tmp_path / 'other.mat', **changes)
    with pytest.raises(DatasetError, match=r'other\.mat'):
        NyuMat(path, classes=MAPPING, views=('label', 'depth_raw'))


def test_senseless_values_are_refused_by_frame(tmp_path):
    depths, labels = made_arrays()['depths'].copy(), made_arrays()['labels'].copy()
    depths[1, 0, 0], labels[2, 0, 0] = np.nan, 895
    data = NyuMat(
        write_mat(tmp_path / 'x.mat', depths=depths, labels=labels), classes=MAPPING,
        views=['label'],
    )  # fmt: skip
    assert data[0].target_m[0, 0] == 0
    with pytest.raises(DatasetError, match='frame 2 '):
        data[1]
    with pytest.raises(DatasetError, match=r'frame 3 .*895'):
        data[2]


def test_missing_and_half_downloaded_files_are_refused(mat, tmp_path):
    with pytest.raises(DatasetError, match='How to get it'):
        NyuMat(tmp_path / 'none.mat')
    mat.write_bytes(mat.read_bytes()[: mat.stat().st_size // 2])
    with pytest.raises(DatasetError, match='whole HDF5'):
        NyuMat(mat)


def test_a_damaged_part_is_named_by_frame(tmp_path):
    h5py = pytest.importorskip('h5py', reason='the published .mat is read by h5py')
    path = tmp_path / 'damaged.mat'
    with h5py.File(path, 'w') as file:
        for name, array in made_arrays().items():
            file.create_dataset(name, data=array, chunks=(1, *array.shape[1:]), compression='gzip')
        place = file['depths'].id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    content[place : place + 8] = bytes(8)
    path.write_bytes(content)
    data = NyuMat(path)
    assert data[0].target_m.shape == (HEIGHT, WIDTH)
    with pytest.raises(DatasetError, match=r'depths of frame 2 in .*damaged\.mat'):
        data[1]


def test_wrong_arguments_are_refused(tmp_path):
    for arguments in ({'views': ['depth']}, {'views': ['label']}):
        with pytest.raises(ConfigError, match='views'):
            NyuMat(tmp_path / 'x.mat', **arguments)
    with pytest.raises(DatasetError, match='894'):
        NyuMat(tmp_path / 'x.mat', classes=MAPPING[1:], views=['label'])


@pytest.mark.parametrize(('library', 'read'), [('h5py', NyuMat), ('scipy', read_splits)])
def test_a_missing_library_is_named_with_its_remedy(tmp_path, monkeypatch, library, read):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f'{library}.io', raising=False)
    with pytest.raises(DatasetError, match=f'pip install {library}'):
        read(tmp_path / 'x.mat')


def test_genuine_lists_make_up_the_whole_set(real_data):
    folder = real_data / 'splits' / 'nyu40'
    lists = {split: read_fcn_list(folder / f'{split}.txt') for split in ('train', 'val', 'test')}
    assert {split: len(indices) for split, indices in lists.items()} == {
        'train': 381, 'val': 414, 'test': 654,
    }  # fmt: skip
    assert {*lists['train'], *lists['val'], *lists['test']} == {*range(1, 1450)}
    assert lists['train'][:2] == (449, 1140)


@pytest.mark.parametrize('text', ['5000', '6450', '449', 'img_5001', '5001\n5001'])
def test_other_lists_are_refused_by_name(tmp_path, text):
    (tmp_path / 'val.txt').write_text(text)
    with pytest.raises(DatasetError, match=r'val\.txt'):
        read_fcn_list(tmp_path / 'val.txt')


def write_small(path, **arrays):
    pytest.importorskip('scipy.io', reason='the small .mat files are read by scipy').savemat(
        path, arrays
    )
    return path


def test_splits_and_classes_are_read_from_their_mat_files(tmp_path):
    path = write_small(
        tmp_path / 'splits.mat',
        trainNdxs=np.array([[3], [1449]], np.uint16),
        testNdxs=np.array([[1], [2]], np.uint16),
    )
    assert read_splits(path) == ((3, 1449), (1, 2))
    path = write_small(tmp_path / 'classMapping40.mat', mapClass=MAPPING[None, 1:].astype(float))
    np.testing.assert_array_equal(read_class_mapping(path), MAPPING)
    with pytest.raises(DatasetError, match='trainNdxs'):
        read_splits(path)


def test_senseless_small_files_are_refused(tmp_path):
    for train, test in (([[0]], [[1]]), ([[1450]], [[1]]), ([[5]], [[5]])):
        path = write_small(tmp_path / 'splits.mat', trainNdxs=train, testNdxs=test)
        with pytest.raises(DatasetError, match='1449'):
            read_splits(path)
    path = write_small(tmp_path / 'classes.mat', mapClass=np.full((1, 894), 41))
    with pytest.raises(DatasetError, match='0-40'):
        read_class_mapping(path)
    path.write_bytes(b'MATLAB 5.0 MAT-file' + bytes(200))
    with pytest.raises(DatasetError, match='classes'):
        read_class_mapping(path)
    with pytest.raises(DatasetError, match='How to get it'):
        read_class_mapping(tmp_path / 'none.mat')
