# SPDX-License-Identifier: Apache-2.0
"""What is written for TensorBoard, read back with TensorBoard."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kd_perception.errors import ShapeError
from training.tracking import Tracker


def written(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def scalars(folder, name):
    return [(event.step, event.value) for event in written(folder).Scalars(name)]


def test_scalars_are_means_since_the_last_ones(tmp_path):
    with Tracker(tmp_path, step=0, steps=4) as tracker:
        tracker.advance({'edge': 1.0})
        tracker.advance({'edge': 3.0, 'late': 7.0})
        tracker.write_scalars(learning_rate=0.5)
        tracker.advance({'edge': 8.0})
        tracker.write_scalars(learning_rate=0.25)
    assert scalars(tmp_path, 'loss/edge') == [(2, 2.0), (3, 8.0)]
    assert scalars(tmp_path, 'loss/late') == [(2, 7.0)]
    assert scalars(tmp_path, 'learning_rate') == [(2, 0.5), (3, 0.25)]


def test_what_a_killed_run_wrote_after_its_checkpoint_is_hidden(tmp_path):
    for start, value in ((0, 1.0), (2, 5.0)):
        with Tracker(tmp_path, step=start, steps=6) as tracker:
            for _ in range(4):
                tracker.advance({'edge': value})
                tracker.write_scalars()
    expected = [(1, 1.0), (2, 1.0), (3, 5.0), (4, 5.0), (5, 5.0), (6, 5.0)]
    assert scalars(tmp_path, 'loss/edge') == expected


def test_pictures_come_back_pixel_by_pixel(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    with Tracker(tmp_path, step=5, steps=9) as tracker:
        tracker.write_pictures({'mask': picture})
    (event,) = written(tmp_path).Images('mask')
    assert event.step == 5
    shown = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
    np.testing.assert_array_equal(shown, picture)


@pytest.mark.parametrize('shape', [(4, 4), (3, 4, 4), (4, 4, 1)])
def test_pictures_must_be_color_images(tmp_path, shape):
    with Tracker(tmp_path, step=0, steps=1) as tracker, pytest.raises(ShapeError, match='mask'):
        tracker.write_pictures({'mask': np.zeros(shape, np.uint8)})


def test_bar_shows_running_means(tmp_path, capsys):
    with Tracker(tmp_path, step=0, steps=2, title='seed 3') as tracker:
        tracker.advance({'edge': 1.0})
        tracker.advance({'edge': 2.0})
    shown = capsys.readouterr().err
    assert 'seed 3' in shown
    assert '2/2' in shown
    assert 'edge=1.5' in shown


def test_other_processes_are_silent(tmp_path, capsys):
    with Tracker(tmp_path / 'none', step=0, steps=2, active=False) as tracker:
        tracker.advance({'edge': 1.0})
        tracker.write_scalars()
        tracker.write_pictures({'mask': np.zeros((2, 2, 3), np.uint8)})
    assert capsys.readouterr() == ('', '')
    assert not (tmp_path / 'none').exists()
