# SPDX-License-Identifier: Apache-2.0
"""Split lists of KITTI raw, genuine and damaged, and the rule for training frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError, DatasetError
from training.data.kitti_splits import (
    KittiFrame,
    annotated_frames,
    drive_frames,
    eigen_zhou_frames,
    read_scenes,
    read_split,
    read_static_frames,
    with_neighbors,
)

# Images per drive of the city, residential and road categories outside of the Eigen test scenes.
DRIVE_LENGTHS = {
    '2011_09_26': {
        1: 108, 5: 154, 11: 233, 14: 314, 15: 297, 17: 114, 18: 270, 19: 481, 22: 800, 28: 430,
        32: 390, 35: 131, 39: 395, 51: 438, 57: 361, 60: 78, 61: 703, 70: 420, 79: 100, 87: 729,
        91: 340, 95: 268, 104: 312, 113: 87,
    },
    '2011_09_28': {1: 106},
    '2011_09_29': {4: 339, 26: 158},
    '2011_09_30': {20: 1104, 28: 5177, 33: 1594, 34: 1224},
    '2011_10_03': {34: 4663, 42: 1170},
}  # fmt: skip


@pytest.fixture(scope='module')
def lists(real_data):
    return real_data / 'splits' / 'kitti_sfmlearner'


def test_genuine_test_list_names_697_frames_of_the_28_scenes(lists):
    frames = read_split(lists / 'test_files_eigen.txt')
    assert len(frames) == 697
    assert frames[0] == KittiFrame('2011_09_26', '2011_09_26_drive_0002_sync', 69, 2)
    assert {frame.drive.removesuffix('_sync') for frame in frames} == read_scenes(
        lists / 'test_scenes_eigen.txt'
    )
    assert len(read_static_frames(lists / 'static_frames.txt')) == 8044


def test_rule_gives_as_many_frames_as_the_published_eigen_zhou_lists(lists):
    scenes = read_scenes(lists / 'test_scenes_eigen.txt')
    static = read_static_frames(lists / 'static_frames.txt')
    drives = {
        (f'{date}_drive_{number:04d}_sync', camera): range(length)
        for date, numbers in DRIVE_LENGTHS.items()
        for number, length in numbers.items()
        for camera in (2, 3)
    }
    frames = eigen_zhou_frames(drives, scenes, static)
    assert len(frames) == 39810 + 4424
    assert len({frame.drive for frame in frames}) == 32  # in drive 60 the car never moves
    assert not any((frame.drive, frame.number) in static for frame in frames)
    test_drive = {('2011_09_26_drive_0002_sync', 2): range(77)}
    assert eigen_zhou_frames({**drives, **test_drive}, scenes, static) == frames
    fewer = eigen_zhou_frames(drives, scenes, static, reach=2)
    assert {*fewer} < {*frames}
    # At most one more at either end of each drive and camera.
    assert 0 < len(frames) - len(fewer) <= 4 * 32


@pytest.mark.parametrize('frame', ['69', '0000000069'])
@pytest.mark.parametrize(('side', 'camera'), [('l', 2), ('r', 3)])
def test_frames_are_read_padded_or_not(tmp_path, frame, side, camera):
    line = f'2011_09_26/2011_09_26_drive_0002_sync {frame} {side}\n'
    (tmp_path / 'list.txt').write_text(line)
    (read,) = read_split(tmp_path / 'list.txt')
    assert read == ('2011_09_26', '2011_09_26_drive_0002_sync', 69, camera)


@given(
    number=st.integers(0, 10**10 - 1), drive=st.integers(0, 9999), camera=st.sampled_from([2, 3])
)
def test_both_forms_of_lists_name_the_same_frame(tmp_path_factory, number, drive, camera):
    folder = tmp_path_factory.mktemp('lists')
    name = f'2011_10_03/2011_10_03_drive_{drive:04d}_sync'
    (folder / 'a.txt').write_text(f'{name} {number} {" lr"[camera - 1]}')
    (folder / 'b.txt').write_text(f'{name}/image_0{camera}/data/{number:010d}.png')
    assert read_split(folder / 'a.txt') == read_split(folder / 'b.txt')
    assert read_split(folder / 'a.txt')[0].number == number


DRIVE = '2011_09_26/2011_09_26_drive_0002_sync'


@pytest.mark.parametrize(
    'line',
    [
        'image 0',
        f'{DRIVE} 5',
        f'{DRIVE} 5 x',
        f'{DRIVE} -5 l',
        f'{DRIVE} 5.0 l',
        '2011_09_26/2011_09_28_drive_0002_sync 5 l',
        f'{DRIVE}/image_00/data/0000000005.png',
        f'../{DRIVE} 5 l',
        f'{DRIVE} 6 l\n{DRIVE} 0000000006 l',
    ],
)
def test_lines_of_another_form_are_refused_by_the_lists_name(tmp_path, line):
    (tmp_path / 'bad_list.txt').write_text(f'{DRIVE} 1 l\n{line}\n')
    with pytest.raises(DatasetError, match='bad_list'):
        read_split(tmp_path / 'bad_list.txt')


def test_swapped_lists_are_refused(lists, tmp_path):
    with pytest.raises(DatasetError, match='static_frames'):
        read_scenes(lists / 'static_frames.txt')
    with pytest.raises(DatasetError, match='test_scenes'):
        read_static_frames(lists / 'test_scenes_eigen.txt')
    with pytest.raises(DatasetError, match='test_scenes'):
        read_split(lists / 'test_scenes_eigen.txt')
    with pytest.raises(DatasetError, match=r'none\.txt'):
        read_split(tmp_path / 'none.txt')


def test_neighbors_are_the_next_numbers_of_the_same_drive_and_camera():
    drives = {('a', 2): [0, 1, 2, 4, 5, 6], ('a', 3): [0, 1], ('b', 2): [7]}
    frames = [KittiFrame('d', d, n, c) for (d, c), numbers in drives.items() for n in numbers]
    kept = with_neighbors(frames, drives)
    assert [(f.drive, f.number, f.camera) for f in kept] == [('a', 1, 2), ('a', 5, 2)]
    assert kept[0].neighbor(1).number == 2 and kept[0].stereo().camera == 3
    assert with_neighbors(frames, drives, reach=2) == ()
    with pytest.raises(ConfigError, match='reach'):
        eigen_zhou_frames(drives, [], [], reach=0)


def test_static_frames_are_left_out_but_serve_as_neighbors():
    drives = {('2011_09_26_drive_0001_sync', 2): range(6)}
    static = {('2011_09_26_drive_0001_sync', 3)}
    frames = eigen_zhou_frames(drives, {'2011_09_26_drive_0009'}, static)
    assert [frame.number for frame in frames] == [1, 2, 4]
    assert frames[0].date == '2011_09_26'
    assert eigen_zhou_frames(drives, {'2011_09_26_drive_0001'}, static) == ()


def test_drives_are_found_on_disk(tmp_path):
    data = tmp_path / '2011_09_26' / '2011_09_26_drive_0001_sync' / 'image_02' / 'data'
    data.mkdir(parents=True)
    for name in ('0000000000.png', '0000000002.jpg', 'notes.txt', '7.png', '.0000000009.png'):
        (data / name).touch()
    found = drive_frames(tmp_path)
    drive = '2011_09_26_drive_0001_sync'
    assert found == {(drive, 2): [0, 2], (drive, 3): []}
    for folder in ('2011_09_26', 'absent'):
        with pytest.raises(DatasetError, match='How to get it'):
            drive_frames(tmp_path / folder)


def test_annotated_frames_are_those_with_ground_truth(tmp_path):
    for drive, camera, number in (('0001', 3, 5), ('0001', 2, 7), ('0001', 2, 6)):
        folder = tmp_path / f'val/2011_09_26_drive_{drive}_sync/proj_depth/groundtruth'
        (folder / f'image_0{camera}').mkdir(parents=True, exist_ok=True)
        (folder / f'image_0{camera}' / f'{number:010d}.png').touch()
    frames = annotated_frames(tmp_path, 'val')
    assert [(frame.camera, frame.number) for frame in frames] == [(2, 6), (2, 7), (3, 5)]
    assert frames[0].drive == '2011_09_26_drive_0001_sync' and frames[0].date == '2011_09_26'
    with pytest.raises(DatasetError, match='train/'):
        annotated_frames(tmp_path, 'train')
