# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from kd_perception.errors import BagError
from kd_perception.evaluation.video import CODECS, OverlayVideo


def pictures(level, size=(72, 96)):
    return (
        np.full((*size, 3), level, np.uint8),
        np.full((*size, 3), (255, 0, 0), np.uint8),
    )


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(frame)


def test_video_reads_back_frame_by_frame(tmp_path):
    path = tmp_path / 'made' / 'overlay.mp4'
    with OverlayVideo(path, 12.5) as video:
        for index in range(20):
            video.write(pictures(10 * index), f'frame {index}')
        assert not path.exists()
    frames, rate_hz = frames_of(path)
    assert len(frames) == video.frame_count == 20
    assert rate_hz == pytest.approx(12.5)
    assert frames[0].shape == (72, 192, 3)
    assert video.codec in CODECS.values()
    for index in (3, 17):
        assert frames[index][:40, :90].mean() == pytest.approx(10 * index, abs=8)
    # The second picture is on the right, and red and blue are not swapped on the way to the file.
    blue, green, red = frames[5][:60, 110:180].reshape(-1, 3).mean(axis=0)
    assert red > 200 and blue < 60 and green < 60
    assert [entry.name for entry in path.parent.iterdir()] == ['overlay.mp4']


def test_frames_of_another_size_are_fitted(tmp_path):
    with OverlayVideo(tmp_path / 'overlay.mp4', 10.0) as video:
        video.write(pictures(50), '')
        video.write(pictures(50, (48, 64)), '')
    frames, _ = frames_of(tmp_path / 'overlay.mp4')
    assert [frame.shape for frame in frames] == [(72, 192, 3)] * 2


@pytest.mark.parametrize('rate_hz', [float('nan'), 0.0, 1e6])
def test_strange_rates_still_give_a_video(tmp_path, rate_hz):
    with OverlayVideo(tmp_path / 'overlay.mp4', rate_hz) as video:
        video.write(pictures(50), '')
    frames, found_hz = frames_of(tmp_path / 'overlay.mp4')
    assert len(frames) == 1 and 1.0 <= found_hz <= 120.0


def test_nothing_is_left_behind_without_frames_or_after_an_error(tmp_path):
    with OverlayVideo(tmp_path / 'none.mp4', 10.0):
        pass
    with (
        pytest.raises(RuntimeError, match='in between'),
        OverlayVideo(tmp_path / 'broken.mp4', 10.0) as video,
    ):
        video.write(pictures(50), '')
        raise RuntimeError('in between')
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').write_text('')
    with (
        pytest.raises(BagError, match='cannot be written'),
        OverlayVideo(tmp_path / 'file' / 'overlay.mp4', 10.0) as video,
    ):
        video.write(pictures(50), '')
