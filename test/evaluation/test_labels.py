# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
import recorded_drives as drives

from kd_perception.bags import BagReader, BagWriter
from kd_perception.errors import BagError, ImageEncodingError
from kd_perception.evaluation.labels import (
    default_label_topic,
    labeled_by_folder,
    labeled_by_topic,
    read_label,
    unlabeled,
)


def first_columns(pairs):
    """The class id at the left of each label, which tells the frame that it belongs to."""
    return [None if pair.label is None else int(pair.label[0, 0]) for pair in pairs]


def expected(count, without=()):
    return [
        None if index in without else int(drives.level_scene(index)[1][0, 0])
        for index in range(count)
    ]


@pytest.mark.parametrize('labels_first', [False, True])
def test_labels_find_their_image_whichever_came_first(tmp_path, labels_first):
    path = drives.write_drive(tmp_path / 'drive', labels_first=labels_first)
    with BagReader(path) as bag:
        assert default_label_topic(bag, drives.IMAGE) == drives.LABEL
        pairs = list(labeled_by_topic(bag, drives.IMAGE, drives.LABEL))
    assert [pair.stamp_ns for pair in pairs] == [drives.stamp_of(index) for index in range(6)]
    assert first_columns(pairs) == expected(6)


def test_missing_labels_leave_gaps_and_keep_the_order(tmp_path):
    path = drives.write_drive(tmp_path / 'drive', skip_labels=(0, 3, 5))
    with BagReader(path) as bag:
        pairs = list(labeled_by_topic(bag, drives.IMAGE, drives.LABEL))
    assert first_columns(pairs) == expected(6, without=(0, 3, 5))


def test_labels_written_long_after_their_images_are_found(tmp_path):
    with BagWriter(tmp_path / 'drive') as bag:
        scenes = [drives.level_scene(index) for index in range(40)]
        for index, (image, _) in enumerate(scenes):
            bag.write_image(drives.IMAGE, image, stamp_ns=drives.stamp_of(index))
        for index, (_, label) in enumerate(scenes):
            stamp_ns = drives.stamp_of(index)
            bag.write_image(drives.LABEL, label, stamp_ns=stamp_ns, log_time_ns=stamp_ns + 10**10)
    with BagReader(tmp_path / 'drive') as bag:
        pairs = list(labeled_by_topic(bag, drives.IMAGE, drives.LABEL))
    assert first_columns(pairs) == expected(40)


def test_a_bag_without_labels(tmp_path):
    path = drives.write_drive(tmp_path / 'drive', with_labels=False)
    with BagReader(path) as bag:
        assert default_label_topic(bag, drives.IMAGE) == ''
        assert first_columns(unlabeled(bag, drives.IMAGE)) == [None] * 6


def test_folder_by_stamp_may_have_gaps(tmp_path):
    path = drives.write_drive(tmp_path / 'drive', with_labels=False)
    folder = tmp_path / 'labels'
    folder.mkdir()
    for index in (1, 4):
        cv2.imwrite(f'{folder}/{drives.stamp_of(index)}.png', drives.level_scene(index)[1])
    with BagReader(path) as bag:
        pairs = list(labeled_by_folder(bag, drives.IMAGE, folder))
    assert first_columns(pairs) == expected(6, without=(0, 2, 3, 5))


def test_folder_in_order_must_be_complete(tmp_path):
    path = drives.write_drive(tmp_path / 'drive', with_labels=False)
    folder = tmp_path / 'labels'
    folder.mkdir()
    for index in range(6):
        cv2.imwrite(f'{folder}/frame_{index:03d}.png', drives.level_scene(index)[1])
    with BagReader(path) as bag:
        assert first_columns(labeled_by_folder(bag, drives.IMAGE, folder)) == expected(6)
        (folder / 'frame_005.png').unlink()
        with pytest.raises(BagError, match=r'has 5, .* has 6'):
            next(labeled_by_folder(bag, drives.IMAGE, folder))
        cv2.imwrite(f'{folder}/{drives.stamp_of(5)}.png', drives.level_scene(5)[1])
        with pytest.raises(BagError, match='or none'):
            next(labeled_by_folder(bag, drives.IMAGE, folder))


def test_what_is_no_label_is_refused(tmp_path):
    color = np.zeros((4, 4, 3), np.uint8)
    color[0, 0] = (1, 2, 3)
    cv2.imwrite(f'{tmp_path}/color.png', color)
    with pytest.raises(ImageEncodingError, match='convert colors to ids'):
        read_label(tmp_path / 'color.png')
    cv2.imwrite(f'{tmp_path}/deep.png', np.full((4, 4), 300, np.uint16))
    with pytest.raises(ImageEncodingError, match='0 to 255'):
        read_label(tmp_path / 'deep.png')
    (tmp_path / 'text.png').write_text('no image')
    with pytest.raises(ImageEncodingError, match='must be an image file'):
        read_label(tmp_path / 'text.png')


def test_folders_that_hold_nothing_are_refused(tmp_path):
    path = drives.write_drive(tmp_path / 'drive', 1, with_labels=False)
    (tmp_path / 'empty').mkdir()
    with BagReader(path) as bag:
        for folder in (tmp_path / 'nowhere', tmp_path / 'empty'):
            with pytest.raises(BagError, match='label folder must'):
                next(labeled_by_folder(bag, drives.IMAGE, folder))
