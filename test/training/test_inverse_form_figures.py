# SPDX-License-Identifier: Apache-2.0
"""Figures of boundaries and of losses against shifts show what the networks say."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch
from config_files import write_config
from inverse_form_runs import STUDENT, tiny_run

from kd_perception.errors import ConfigError
from training import inverse_form_figures, inverse_form_shifts
from training.distributed import launch
from training.inverse_form_figures import compared, load_shown, outlines
from training.inverse_form_shifts import drawn, measure, shifted_pairs
from training.recipes import inverse_form
from training.records import read_record


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('figures')
    student = replace(STUDENT, loop=replace(STUDENT.loop, steps=2))
    return tiny_run(folder, folder / 'world', student=student)


def test_outlines_are_the_pixels_that_meet():
    mask = np.zeros((3, 6), np.uint8)
    mask[:, 3:] = 2
    assert outlines(mask).tolist() == [[False, False, True, True, False, False]] * 3


def test_right_false_and_missed_outlines_have_their_colors():
    true, found = np.zeros((9, 20), bool), np.zeros((9, 20), bool)
    true[:, 3], found[:, 5] = True, True
    true[4, 17] = True
    found[4, 11] = True
    picture = compared(found, true)
    assert (picture[:, 5] == inverse_form_figures._RIGHT).all()
    assert (picture[4, 11] == inverse_form_figures._FALSE).all()
    assert (picture[4, 17] == inverse_form_figures._MISSED).all()
    assert (picture[:, 3] == 0).all(), 'found near enough'
    assert (compared(true, true)[true] == 255).all()


def test_a_row_per_frame_a_column_per_run(config, tmp_path, monkeypatch):
    inverse_form.run_stages(config, launch(config.launch))
    write_config(config, tmp_path)
    monkeypatch.setattr(inverse_form_figures, 'CONFIGS', tmp_path)
    path = tmp_path / 'images' / 'out.png'
    inverse_form_figures.main(['--file', str(path), '--runs', 'tiny', '--frames', '0', '2'])
    image = cv2.imread(str(path))[..., ::-1]
    assert image.shape == (20 + 2 * 128 + 4, 3 * 128 + 2 * 4, 3)
    colors = np.unique(image[20:, 2 * 132 :].reshape(-1, 3), axis=0).tolist()
    assert [0, 0, 0] in colors and len(colors) <= 5


def test_a_run_that_is_not_trained_is_refused(config, tmp_path, monkeypatch):
    write_config(replace(config, output=tmp_path), tmp_path)
    monkeypatch.setattr(inverse_form_figures, 'CONFIGS', tmp_path)
    with pytest.raises(ConfigError, match='train this run first'):
        load_shown(['tiny'], 0)


def test_pairs_are_shifted_by_whole_pixels(config):
    moved, true = shifted_pairs(config, 0, 6)
    assert moved.shape == true.shape == (len(true), 1, 32, 32) and len(true) > 3
    assert torch.equal(moved, true)
    moved, again = shifted_pairs(config, 5, 6)
    assert torch.equal(again, true)
    for one, other in zip(moved[:, 0].numpy(), true[:, 0].numpy(), strict=True):
        errors = {
            (dy, dx): np.abs(np.roll(other, (dy, dx), (0, 1))[8:24, 8:24] - one[8:24, 8:24]).max()
            for dy in range(-6, 7)
            for dx in range(-6, 7)
        }
        best = [step for step, error in errors.items() if error < 1e-6]
        assert any(4.2 < np.hypot(*step) < 5.8 for step in best)


def test_frames_without_boundary_are_not_measured(config):
    full = 32 * 32
    strict = replace(config, inverse=replace(config.inverse, min_edge_pixels=full))
    with pytest.raises(ConfigError, match='at least 1024 pixels of boundary'):
        shifted_pairs(strict, 0, 3)


def test_losses_are_told_by_shift(config):
    class Counts(torch.nn.Module):
        """Says how many pixels of both tiles differ."""

        def forward(self, predicted, true):
            return (predicted - true).abs().mean(dim=(1, 2, 3))[:, None]

    curves = measure(Counts(), config, (0, 2, 4), 6)
    assert curves['shift_px'] == [0, 2, 4]
    assert curves['tiles'] == len(shifted_pairs(config, 0, 6)[1])
    for name in ('cross_entropy', 'inverse_form'):
        assert 0.0 < curves[name][0] < curves[name][1] <= curves[name][2] * 1.2


def test_the_figure_is_svg_with_a_curve_per_loss():
    curves = {
        'shift_px': [0, 8, 16],
        'cross_entropy': [0, 1.0, 0.5],
        'inverse_form': [0, 1.0, 4.0],
    }
    root = ElementTree.fromstring(drawn(curves))
    assert root.tag == '{http://www.w3.org/2000/svg}svg'
    paths = [each.get('d') for each in root.iter('{http://www.w3.org/2000/svg}path')]
    assert len(paths) == 2
    heights = [
        [float(point.split()[1]) for point in d[1:].replace('h0', '').split('L')] for d in paths
    ]
    ticks = [each.text for each in root.iter('{http://www.w3.org/2000/svg}text')]
    assert '8' in ticks and not any(each.endswith('00%') and each != '100%' for each in ticks)
    bottom, top = heights[1][0], heights[1][2]
    assert heights[1][1] == pytest.approx(bottom - (bottom - top) / 4, abs=0.2)
    assert heights[0][1] == top, 'its largest value'
    assert heights[0][2] == pytest.approx((bottom + top) / 2, abs=0.2), 'less than its largest'


def test_shifts_write_figure_and_record(config, tmp_path):
    path, file = write_config(config, tmp_path), tmp_path / 'images' / 'shifts.svg'
    for seed in ('0', '1'):
        inverse_form_shifts.main(
            ['--file', str(file), '--tiles', '4', '--config_path', str(path), '--seed', seed]
        )
    record = read_record(config.results / 'tiny_shifts_seed0.json')
    assert record['name'] == 'tiny_shifts'
    assert record['metrics']['shifts']['shift_px'] == list(inverse_form_shifts.SHIFTS_PX)
    assert record['metrics']['inverse']['tiles'] == 20
    figures = sorted(file.parent.iterdir())
    assert [each.name for each in figures] == ['shifts_seed0.svg', 'shifts_seed1.svg']
    assert figures[0].read_text().startswith('<svg xmlns=')
    assert figures[0].read_text() != figures[1].read_text()
