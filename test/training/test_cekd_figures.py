# SPDX-License-Identifier: Apache-2.0
"""The picture of predictions shows what the networks of a run say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import yaml
from cekd_runs import tiny_run

from kd_perception.errors import ConfigError
from kd_perception.label_sets import MFNET
from training import cekd_figures
from training.data.modality import network_image
from training.distributed import launch
from training.recipes import cekd
from training.recipes.cekd_report import scored_splits
from training.settings import plain


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('figures')
    config = tiny_run(folder, folder / 'world')
    (folder / 'tiny.yaml').write_text(yaml.safe_dump(plain(config)))
    return config


@pytest.fixture(scope='module')
def networks(config):
    return cekd.networks(config, launch(config.launch))


def test_a_row_per_frame_a_column_per_network(config, networks, tmp_path, monkeypatch):
    monkeypatch.setattr(cekd_figures, 'CONFIGS', config.output.parent)
    path = tmp_path / 'images' / 'out.png'
    names = ['tiny:teacher', 'tiny:student']
    cekd_figures.main(['--file', str(path), '--networks', *names, '--frames', '0', '2'])
    image = cv2.imread(str(path))[..., ::-1]
    assert image.shape == (20 + 2 * 128 + 4, 5 * 128 + 4 * 4, 3)
    frame = scored_splits(config, names=('test',))['test'][2]
    thermal, _ = network_image(frame, 'thermal', (64, 64))
    with torch.no_grad():
        mask = networks['student'](torch.from_numpy(thermal)).logits[0].argmax(dim=0).numpy()
    shown = image[20 + 128 + 4 :, -128:]
    np.testing.assert_array_equal(shown[::2, ::2], MFNET.palette[mask.astype(np.uint8)])
    np.testing.assert_array_equal(
        image[20 + 128 + 4 :, 2 * 132 : 2 * 132 + 128],
        cv2.resize(MFNET.palette[frame.label], (128, 128), interpolation=cv2.INTER_NEAREST),
    )


def test_an_unknown_role_is_refused():
    with pytest.raises(ConfigError, match='run:role'):
        cekd_figures.load_shown(['full'], 0)
