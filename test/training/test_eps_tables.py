# SPDX-License-Identifier: Apache-2.0
"""The tables of EPS follow from its records, and stay when they are written again."""

from __future__ import annotations

import pytest
import yaml

from training.cekd_tables import read_runs
from training.eps_figures import CONFIGS
from training.eps_tables import MASKS, SEGMENTATION, main, masks_table, page, pairs_table
from training.records import write_record


def metrics(miou, best):
    tags = {'mean_average_precision': 0.9, 'accuracy': 0.8, 'majority_accuracy': 0.6}
    taken = {'bump': 0.25, 'unlabeled': 1.5}
    masks = {
        'miou': miou, 'miou_best_threshold': best, 'iou': {'background': 0.7, 'car': None},
        'confusions': {'color_cone': taken, 'car': None},
    }  # fmt: skip
    segmentation = {'miou_nanmean': best, 'iou': {'background': 0.9, 'car': miou}}
    return {'classifier': tags, 'masks': masks, 'segmentation': segmentation}


@pytest.fixture
def results(tmp_path):
    for name, values in {'eps': (0.50, 0.52), 'cam': (0.27, 0.31), 'seg_eps': (0.4,)}.items():
        for seed, value in enumerate(values):
            record = {'name': name, 'seed': seed, 'metrics': metrics(value, value + 0.1)}
            write_record(tmp_path / f'{name}_seed{seed}.json', record)
    return tmp_path


def test_masks_with_gains_seed_by_seed(results):
    text = masks_table(read_runs(results), ('cam', 'eps', 'absent'), against='cam')
    head, _, cam, eps = text.splitlines()
    assert head.endswith('| minus cam | background | car |')
    assert cam == (
        '| `cam` | 2 | 90.0 ± 0.0 | 80.0 ± 0.0 | 60.0 ± 0.0 | 29.0 ± 2.8 |  | 39.0 ± 2.8 |  | '
        '70.0 ± 0.0 | - |'
    )
    assert '| 51.0 ± 1.4 | 22.0 ± 1.4 | 61.0 ± 1.4 | 22.0 ± 1.4 |' in eps


def test_ratios_of_pairs_are_no_percentages(results):
    row = pairs_table(read_runs(results), ('eps',)).splitlines()[2]
    assert row == '| `eps` | 0.2 ± 0.0 | - | 1.5 ± 0.0 | - |'


def test_page_gets_every_section_and_stays_when_written_again(results, tmp_path):
    target = tmp_path / 'page.md'
    target.write_text('# Title\n')
    for _ in range(2):
        main(['--results', str(results), '--page', str(target)])
    text = target.read_text()
    assert text == page(text, read_runs(results))
    for name in (*MASKS, 'segmentation'):
        assert text.count(f'<!-- begin eps {name} -->') == 1
    assert '`seg_eps`' in text.split('begin eps segmentation')[1]


def test_every_row_has_a_configuration():
    rows = {*SEGMENTATION, *(name for names in MASKS.values() for name in names)}
    for name in rows:
        assert yaml.safe_load((CONFIGS / f'{name}.yaml').read_text())['name'] == name
