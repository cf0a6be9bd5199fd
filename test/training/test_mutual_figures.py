# SPDX-License-Identifier: Apache-2.0
"""The picture of the branches of mutual distillation."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml
from mutual_runs import tiny_run

from kd_perception.errors import ConfigError
from training import mutual_figures
from training.depth_pictures import depth_picture, error_picture
from training.distributed import launch
from training.mutual_figures import load_shown, main, rows_of
from training.recipes.mutual_distillation import trained
from training.recipes.mutual_distillation_data import scored_frames
from training.settings import plain


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('figures')
    config = tiny_run(folder, folder / 'world')
    config = replace(config, loop=replace(config.loop, steps=1))
    trained(config, launch(config.launch))
    (folder / 'tiny.yaml').write_text(yaml.safe_dump(plain(config)))
    return config


@pytest.fixture
def here(config, monkeypatch):
    monkeypatch.setattr(mutual_figures, 'CONFIGS', config.output.parent)


def test_rows_are_truth_and_what_each_branch_says(config, here):
    shown, own = load_shown(['tiny:supervised', 'tiny:unsupervised'], 0)
    assert own.fingerprint() == config.fingerprint()
    frame = scored_frames(config)['test'][0]
    rows = rows_of(frame, shown)
    assert len(rows) == 3 and {row.shape for row in rows} == {(64, 3 * 96, 3)}
    np.testing.assert_array_equal(rows[0][:, :96], frame.rgb)
    np.testing.assert_array_equal(rows[0][:, 96:192], depth_picture(frame.target_m))
    depth_m = 1.0 / shown[0].predict(frame).inverse_depth
    np.testing.assert_array_equal(rows[1][:, :96], depth_picture(depth_m))
    np.testing.assert_array_equal(rows[1][:, 192:], error_picture(depth_m, frame.target_m))
    assert rows[1][:, 96:192].std() > 0
    blind = rows_of(frame, [shown[0]._replace(unsure=False)])
    assert (blind[1][:, 96:192] == 255).all()


def test_the_picture_is_written(config, here, tmp_path):
    file = tmp_path / 'images' / 'depth.png'
    main(['--file', str(file), '--branches', 'tiny:supervised', '--frames', '0', '2'])
    image = cv2.imread(str(file))
    assert image.shape == (2 * (20 + 128), 2 * (2 * 288 + 4), 3)


def test_branches_and_runs_that_are_not_there_are_refused(here):
    with pytest.raises(ConfigError, match=r"tiny has \['supervised', 'unsupervised'\]"):
        load_shown(['tiny:summed'], 0)
    with pytest.raises(ConfigError, match='trained to its end, it is at step 0 of 1'):
        load_shown(['tiny:supervised'], 4)
