# SPDX-License-Identifier: Apache-2.0
"""Tables of prior corrections from records made by hand."""

from __future__ import annotations

import copy

import pytest

from kd_perception.errors import ConfigError
from training.prior_tables import are_alike, best_share, prior_correction_section


def scores(miou, car=0.5):
    return {
        'miou_nanmean': miou,
        'macc_nanmean': 0.5,
        'iou': {'person': 0.25, 'car': car},
        'miou_frequent': 0.4,
        'miou_rare': None,
        'boundary_f_3px': 0.3,
        'ece': 0.0123,
    }


def record(seed, *, validation, test):
    """A record of shares 0 and 0.5 with these mean intersections over union."""
    shares = {
        share: {
            'temperature': 0.75,
            'validation': scores(validation[k]),
            'test': scores(test[k], car=(0.5, 0.45)[k]),
            'real_tiles': scores(0.3),
        }
        for k, share in enumerate(('0', '0.5'))
    }
    return {
        'name': 'tiny',
        'seed': seed,
        'frames': {'validation': 3, 'test': 2, 'real_tiles': 4},
        'shares': shares,
        'data_digest': {'train': 'abc'},
        'config': {'prior_correction': 0.5, 'seed': seed},
    }


@pytest.fixture
def records():
    return [
        record(0, validation=(0.30, 0.32), test=(0.30, 0.31)),
        record(1, validation=(0.33, 0.31), test=(0.20, 0.23)),
    ]


def rows_of(text, title):
    """Lines of the first table below a heading, or of the one below `Minus`."""
    lines = text.split(title)[1].splitlines()
    return [line for line in lines if line.startswith('|')]


def test_levels_with_spread_by_split(records):
    none, half = rows_of(prior_correction_section(records), '### Test')[2:4]
    assert none.startswith('| 0 | 25.0 ± 7.1 | 50.0 ± 0.0 | 25.0 ± 0.0 | 50.0 ± 0.0 |')
    assert half.startswith('| 0.5 | 27.0 ± 5.7 | 50.0 ± 0.0 | 25.0 ± 0.0 | 45.0 ± 0.0 |')
    assert half.endswith('| - | 30.0 ± 0.0 | 1.23 ± 0.00 | 0.750 |')


def test_gains_are_paired_by_seed(records):
    gains = rows_of(prior_correction_section(records).split('### Test')[1], 'Minus share 0')
    assert gains[2].startswith('| 0.5 | +2.0 ± 1.4 | +0.0 ± 0.0 | +0.0 ± 0.0 | -5.0 ± 0.0 |')


def test_what_was_found_is_said_with_its_costs(records):
    text = ' '.join(prior_correction_section(records).split())
    assert 'Highest mIoU on the validation split: 0.5 (seed 0), 0 (seed 1).' in text
    assert 'The runs were scored with 0.5; against 0' in text
    assert 'on test mIoU +2.0 ± 1.4, mAcc +0.0 ± 0.0, person +0.0 ± 0.0, car -5.0 ± 0.0' in text
    assert 'of 3 validation and 2 test frames' in text
    assert 'no test' in text


def test_the_validation_split_alone_chooses(records):
    assert [best_share(each) for each in records] == ['0.5', '0']


def test_one_seed_has_no_spread_and_one_share_no_gain(records):
    text = prior_correction_section(records[:1])
    assert '| 0 | 30.0 | 50.0 | 25.0 | 50.0 |' in text and '±' not in text.split('###', 1)[1]
    del records[0]['shares']['0']
    text = prior_correction_section(records[:1])
    assert 'Minus' not in text and 'against' not in text


def test_a_share_that_was_not_measured_is_not_told(records):
    for each in records:
        each['config']['prior_correction'] = 0.25
    assert 'against' not in prior_correction_section(records).split('###')[0]


def test_without_tiles_there_is_no_table_of_them(records):
    for each in records:
        del each['frames']['real_tiles']
    text = prior_correction_section(records)
    assert '### The four real tiles' not in text and '### Test' in text


@pytest.mark.parametrize('changed', ['frames', 'data_digest', 'config', 'shares'])
def test_records_that_are_not_alike_stand_in_no_table(records, changed):
    assert are_alike(*records)
    other = copy.deepcopy(records[1])
    other[changed]['another'] = other['shares']['0']
    assert not are_alike(records[0], other)
    with pytest.raises(ConfigError, match='measure again'):
        prior_correction_section([records[0], other])
    with pytest.raises(ConfigError, match='at least one'):
        prior_correction_section([])
