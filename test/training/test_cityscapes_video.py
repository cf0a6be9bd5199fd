# SPDX-License-Identifier: Apache-2.0
"""Video snippets of Cityscapes, on made trees in the same layout."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from kd_perception.errors import ConfigError, DatasetError
from training.data.cityscapes_video import CityscapesVideo

# Two snippets of one sequence number, and one of another city; a labeled frame in each.
SNIPPETS = {'jena_000001': ((4, range(2, 8)), (24, range(22, 27))), 'ulm_000003': ((1, range(4)),)}


def write_image(root, name, value):
    path = root / f'leftImg8bit_sequence/val/{name.split("_")[0]}/{name}_leftImg8bit.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((8, 12, 3), value, np.uint8))


@pytest.fixture
def root(tmp_path):
    for sequence, snippets in SNIPPETS.items():
        folder = tmp_path / 'camera' / 'val' / sequence.split('_')[0]
        folder.mkdir(parents=True)
        for labeled, frames in snippets:
            camera = {
                'extrinsic': {'baseline': 0.2},
                'intrinsic': {'fx': 2000 + labeled, 'fy': 2000, 'u0': 6, 'v0': 4},
            }
            (folder / f'{sequence}_{labeled:06d}_camera.json').write_text(json.dumps(camera))
            for frame in frames:
                write_image(tmp_path, f'{sequence}_{frame:06d}', frame)
    return tmp_path


def test_frames_with_both_neighbors_are_the_samples(root):
    data = CityscapesVideo(root, 'val')
    assert data.names == (
        'jena_000001_000004', 'jena_000001_000005', 'jena_000001_000024',
    )  # fmt: skip
    for sample, frame in zip(data, (4, 5, 24), strict=True):
        values = [image[0, 0, 0] for image in (sample.previous, sample.rgb, sample.next)]
        assert values == [frame - 2, frame, frame + 2]
    # The camera of the snippet, not just one of the sequence.
    assert [sample.camera.matrix[0, 0] for sample in data] == [2004, 2004, 2024]
    assert len(CityscapesVideo(root, 'val', step=1)) == 4 + 3 + 2


def test_frames_of_other_sequences_are_no_neighbors(root):
    assert 'ulm_000003_000001' in CityscapesVideo(root, 'val', step=1).names
    (root / 'leftImg8bit_sequence/val/ulm/ulm_000003_000002_leftImg8bit.png').unlink()
    write_image(root, 'ulm_000004_000002', 0)
    assert 'ulm_000003_000001' not in CityscapesVideo(root, 'val', step=1).names


def test_missing_parts_are_refused(root, tmp_path):
    with pytest.raises(DatasetError, match='of 15 frames none has'):
        CityscapesVideo(root, 'val', step=9)
    for folder, split in ((root, 'train'), (tmp_path / 'none', 'val')):
        with pytest.raises(DatasetError, match='How to get it'):
            CityscapesVideo(folder, split)
    (root / 'camera/val/ulm/ulm_000003_000001_camera.json').unlink()
    with pytest.raises(DatasetError, match='1 have none, such as ulm_000003'):
        CityscapesVideo(root, 'val', step=1)
    for arguments in ({'split': 'train_extra'}, {'step': 0}):
        with pytest.raises(ConfigError):
            CityscapesVideo(root, **arguments)


def test_a_damaged_neighbor_is_named(root):
    path = root / 'leftImg8bit_sequence/val/jena/jena_000001_000007_leftImg8bit.png'
    path.write_bytes(path.read_bytes()[:60])
    data = CityscapesVideo(root, 'val')
    assert data[0].name == 'jena_000001_000004'
    with pytest.raises(DatasetError, match='jena_000001_000007'):
        data[1]
