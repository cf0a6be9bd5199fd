# SPDX-License-Identifier: Apache-2.0
"""The tables of EPS follow from its records, and stay when they are written again."""

from __future__ import annotations

import pytest
import yaml

from training.cekd_tables import read_runs
from training.eps_figures import CONFIGS
from training.eps_tables import (
    MASKS,
    SEGMENTATION,
    main,
    masks_table,
    overlaps_table,
    page,
    pairs_table,
    segmentation_table,
    verdict,
)
from training.records import write_record


def metrics(miou, best):
    tags = {'mean_average_precision': 0.9, 'accuracy': 0.8, 'majority_accuracy': 0.6}
    overlaps = {'pairs': 1200, 'held': 0.5, 'to_0.2': 0.75, '0.2_to_0.4': 0.01}
    taken = {'bump': miou / 2, 'unlabeled': 1.5}
    masks = {
        'miou': miou, 'miou_best_threshold': best, 'iou': {'background': 0.7, 'car': None},
        'confusions': {'color_cone': taken, 'car': None},
        'seen_with': {'color_cone': {'bump': 0.93}},
        'salient_tags': {'miou': 0.45, 'iou': {'background': 0.8, 'car': 0.1}},
    }  # fmt: skip
    segmentation = {'miou_nanmean': best, 'iou': {'background': 0.9, 'car': miou}}
    classifier = {**tags, 'overlaps': overlaps}
    return {'classifier': classifier, 'masks': masks, 'segmentation': segmentation}


@pytest.fixture
def results(tmp_path):
    values = {'eps': (0.50, 0.52), 'cam': (0.27, 0.31), 'seg_eps': (0.4,), 'seg_full': (0.6,)}
    for name, seeds in values.items():
        for seed, value in enumerate(seeds):
            record = {'name': name, 'seed': seed, 'metrics': metrics(value, value + 0.1)}
            write_record(tmp_path / f'{name}_seed{seed}.json', record)
    return tmp_path


def test_masks_with_gains_seed_by_seed(results):
    text = masks_table(read_runs(results), ('cam', 'eps', 'absent'), against='cam')
    head, _, cam, control, eps = text.splitlines()
    assert head.endswith('| mIoU, best threshold | minus cam | background | car |')
    assert cam == (
        '| `cam` | 2 | 90.0 ± 0.0 | 80.0 ± 0.0 | 60.0 ± 0.0 | 29.0 ± 2.8 |  | -16.0 ± 2.8 | '
        '39.0 ± 2.8 |  | 70.0 ± 0.0 | - |'
    )
    assert control == (
        '| `salient_tags, saliency of cam` | 2 | - | - | - | 45.0 ± 0.0 | 16.0 ± 2.8 | - | - | - '
        '| 80.0 ± 0.0 | 10.0 ± 0.0 |'
    )
    assert '| 51.0 ± 1.4 | 22.0 ± 1.4 | 6.0 ± 1.4 | 61.0 ± 1.4 | 22.0 ± 1.4 |' in eps


def test_another_saliency_has_a_control_of_its_own(results):
    runs = read_runs(results)
    runs['eps'][0]['metrics']['masks']['salient_tags']['miou'] = 0.3
    rows = masks_table(runs, ('cam', 'eps'), against='cam').splitlines()[2:]
    assert [row.split('`')[1] for row in rows] == [
        'cam', 'salient_tags, saliency of cam', 'eps', 'salient_tags, saliency of eps',
    ]  # fmt: skip
    for record in runs['eps'].values():
        del record['metrics']['masks']['salient_tags']
    assert len(masks_table(runs, ('eps',), against='cam').splitlines()) == 3
    assert verdict(runs, ('eps',)) == ''


def test_it_is_said_whether_learning_helps(results):
    assert verdict(read_runs(results), ('cam', 'eps', 'absent')) == (
        'Masks of `cam` are better than those of salient pixels with the first tag, without '
        'learning, in 0 of 2 seeds (-16.0 ± 2.8 points). Masks of `eps` are better than those of '
        'salient pixels with the first tag, without learning, in 2 of 2 seeds (6.0 ± 1.4 points).'
    )


def test_ratios_of_pairs_have_three_digits_and_differences_by_seed(results):
    rows = pairs_table(read_runs(results)).splitlines()[2:]
    assert rows == [
        '| `cam` | 0.145 ± 0.014 | - | 1.500 ± 0.000 | - |',
        '| `eps` | 0.255 ± 0.007 | - | 1.500 ± 0.000 | - |',
        '| `eps` minus `cam` | 0.110 ± 0.007 | - | 0.000 ± 0.000 | - |',
        '| seen in images with the class, % | 93.0 ± 0.0 | - | - | - |',
    ]


def test_overlaps_are_shares(results):
    row = overlaps_table(read_runs(results), ('eps', 'tau20')).splitlines()[-1]
    assert row == '| `eps` | 1200 ± 0 | 50.0 ± 0.0 | 75.0 ± 0.0 | 1.0 ± 0.0 | - | - |'


def test_networks_are_held_against_full_labels(results):
    first, full = segmentation_table(read_runs(results)).splitlines()[2:]
    assert first.startswith('| `seg_eps` | 1 | 40.0 | 50.0 | -20.0 |')
    assert full.startswith('| `seg_full` | 1 | 60.0 | 70.0 |  |')


def test_page_gets_every_section_and_stays_when_written_again(results, tmp_path):
    target = tmp_path / 'page.md'
    target.write_text('# Title\n')
    for _ in range(2):
        main(['--results', str(results), '--page', str(target)])
    text = target.read_text()
    assert text == page(text, read_runs(results))
    for name in (*MASKS, 'pairs', 'overlaps', 'segmentation'):
        assert text.count(f'<!-- begin eps {name} -->') == 1
    assert '`seg_eps`' in text.split('begin eps segmentation')[1]
    assert 'in 2 of 2 seeds' in text.split('begin eps method')[1]


def test_every_row_has_a_configuration_and_every_configuration_a_row():
    rows = {*SEGMENTATION, *(name for names in MASKS.values() for name in names)}
    for name in rows:
        assert yaml.safe_load((CONFIGS / f'{name}.yaml').read_text())['name'] == name
    others = {'bag', 'smoke', 'voc', 'voc_cam'}
    assert {path.stem for path in CONFIGS.glob('*.yaml')} == rows | others
