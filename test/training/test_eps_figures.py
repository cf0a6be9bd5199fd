# SPDX-License-Identifier: Apache-2.0
"""The picture of masks shows what the runs have made."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml
from eps_runs import changed, tiny_run

from kd_perception.errors import ConfigError
from training import eps_figures
from training.distributed import launch
from training.eps_figures import WIDTH_PX
from training.pictures import GAP_PX
from training.recipes import eps
from training.recipes.eps_data import RunFrames
from training.recipes.eps_mask_files import read_mask
from training.settings import plain


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('figures')
    own = tiny_run(folder, folder / 'world', stage='masks')
    cam = replace(changed(own, 'classifier', method='cam'), name='cam')
    for config in (own, cam):
        eps.run_stages(config, launch(config.launch))
        (folder / f'{config.name}.yaml').write_text(yaml.safe_dump(plain(config)))
    return folder, own


def test_a_row_per_frame_columns_per_run(runs, tmp_path, monkeypatch):
    folder, config = runs
    monkeypatch.setattr(eps_figures, 'CONFIGS', folder)
    path = tmp_path / 'images' / 'out.png'
    eps_figures.main(['--file', str(path), '--runs', 'cam', 'tiny', '--frames', '0', '3'])
    image = cv2.imread(str(path))[..., ::-1]
    assert image.shape[1] == 7 * WIDTH_PX + 6 * GAP_PX
    assert image.shape[0] == 20 + 2 * WIDTH_PX + GAP_PX
    frame = RunFrames(config)['train'][3]
    step = WIDTH_PX + GAP_PX

    def tile(column):
        return image[-WIDTH_PX:, column * step : column * step + WIDTH_PX]

    size = (WIDTH_PX, WIDTH_PX)
    for column, expected in (
        (0, frame.rgb),
        (1, frame.saliency[..., None].repeat(3, axis=2)),
        (5, config.label_set.palette[read_mask(config, frame.name)]),
    ):
        shown = cv2.resize(expected, size, interpolation=cv2.INTER_NEAREST)
        np.testing.assert_array_equal(tile(column), shown)


def test_frames_are_spread_over_a_set_of_any_size(runs, tmp_path, monkeypatch):
    folder, config = runs
    monkeypatch.setattr(eps_figures, 'CONFIGS', folder)
    seen = []
    monkeypatch.setattr(
        eps_figures, 'picture', lambda frames, runs: seen.extend(frames) or np.zeros((1, 1, 3))
    )
    eps_figures.main(['--file', str(tmp_path / 'out.png'), '--runs', 'tiny'])
    train = RunFrames(config)['train']
    assert len(train) < 301
    names = [train[k * len(train) // 6].name for k in range(6)]
    assert [frame.name for frame in seen] == names and len(set(names)) == 6


def test_of_each_part_a_frame_with_a_tag_is_shown():
    frames = [SimpleNamespace(tags=np.array([tag])) for tag in (0, 0, 1, 1, 0, 0, 0, 0, 1)]
    assert eps_figures.shown_frames(frames, 3) == [2, 3, 8]
    assert eps_figures.shown_frames(frames[4:8], 2) == [0, 2]


def test_unknown_runs_are_refused():
    with pytest.raises(ConfigError, match="got 'absent'"):
        eps_figures.load_runs(['absent'], 0)
