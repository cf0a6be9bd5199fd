# SPDX-License-Identifier: Apache-2.0
"""Summaries of runs over their seeds, and the tables made of them."""

from __future__ import annotations

import pytest

from kd_perception.errors import ConfigError
from kd_perception.markdown import replace_section
from training.data.real_tiles import NO_TEST
from training.records import read_record, write_record
from training.result_tables import evaluations, results_section
from training.summary import main, summarize, summarize_folder


def record(seed, validation, test, car=0.5):
    return {
        'recipe': 'supervised',
        'name': 'x',
        'trained_on': 'synthetic',
        'seed': seed,
        'config': {'seed': seed, 'steps': 5},
        'metrics': {
            'synthetic_validation': {'miou': validation},
            'synthetic_test': {'miou': test, 'iou': {'car': car, 'bump': None}},
            'data_digest': {'train': 'abc', 'test': 'def'},
        },
        'frame_keys': {'train': 'key of train', 'test': 'key of test'},
    }


def test_summary_ships_the_best_validation_seed_not_the_best_test_seed():
    summary = summarize([record(1, 0.4, 0.9), record(0, 0.5, 0.1), record(2, 0.3, 0.2)])
    assert summary['best_seed'] == 0
    assert summary['seeds'] == [0, 1, 2]
    assert summary['metrics']['synthetic_test']['miou']['values'] == [0.1, 0.9, 0.2]
    assert summary['metrics']['synthetic_test']['iou']['car']['std'] == 0.0
    assert 'data_digest' not in summary['metrics']


def test_summary_refuses_other_configurations():
    other = record(1, 0.4, 0.9)
    other['config']['steps'] = 6
    with pytest.raises(ConfigError, match='one configuration'):
        summarize([record(0, 0.4, 0.9), other])
    with pytest.raises(ConfigError, match='at least one'):
        summarize([])


def test_summary_refuses_seeds_that_saw_other_frames():
    other = record(1, 0.4, 0.9)
    other['metrics']['data_digest']['test'] = '123'
    with pytest.raises(ConfigError, match=r'same frames.*seed 1: train abc test 123'):
        summarize([record(0, 0.4, 0.9), other])


def test_summary_keeps_what_was_seen():
    summary = summarize([record(0, 0.4, 0.9), record(1, 0.5, 0.9)])
    assert summary['data_digest'] == {'train': 'abc', 'test': 'def'}
    assert summary['frame_keys']['test'] == 'key of test'
    old = record(1, 0.5, 0.9)
    del old['frame_keys']
    assert summarize([record(0, 0.4, 0.9), old])['frame_keys'] == 'unknown'


def test_summary_says_that_the_real_tiles_are_no_test(results):
    assert NO_TEST in summarize([record(0, 0.4, 0.9)])['best_by']
    assert NO_TEST in ' '.join(tables(summarize_folder(results)).split())


def seen_by(modality, seed, night):
    own = record(seed, 0.4, 0.5)
    own |= {'name': f'world_{modality}', 'modality': modality}
    own['metrics']['presets'] = {'night': {'miou_nanmean': night, 'iou': {'car': night}}}
    return own


@pytest.fixture
def results(tmp_path):
    for modality, night in (('thermal', 0.5), ('rgbt', 0.75)):
        for seed in (0, 1):
            path = tmp_path / 'supervised' / f'world_{modality}_seed{seed}.json'
            write_record(path, seen_by(modality, seed, night + 0.02 * seed))
    return tmp_path / 'supervised'


def test_summary_of_a_folder_is_by_name(results):
    runs = summarize_folder(results)
    assert list(runs) == ['world_rgbt', 'world_thermal']
    assert runs['world_thermal']['modality'] == 'thermal'
    assert runs['world_rgbt']['metrics']['presets']['night']['miou_nanmean']['mean'] == 0.76
    with pytest.raises(ConfigError, match='none'):
        summarize_folder(results.parent)


def tables(runs, baseline='world_thermal'):
    return results_section('supervised', runs, baseline=baseline, classes=('car', 'bump'))


def test_tables_show_mean_and_spread_of_every_split(results):
    runs = summarize_folder(results)
    lines = tables(runs).splitlines()
    assert '| night | 76.0 ± 1.4 | 51.0 ± 1.4 |' in lines
    table = lines[lines.index('### world_rgbt: rgbt, seeds 0, 1') + 2 :]
    head = [cell.strip() for cell in table[0].split('|')[1:-1]]
    night = [cell.strip() for cell in table[3].split('|')[1:-1]]
    cells = dict(zip(head, night, strict=True))
    assert cells[''] == 'night'
    assert cells['car'] == '76.0 ± 1.4'
    assert cells['bump'] == cells['rare'] == '-'
    assert list(evaluations(runs['world_rgbt'])) == ['test', 'night']


def test_runs_are_compared_seed_by_seed(results):
    lines = tables(summarize_folder(results)).splitlines()
    table = lines[lines.index('### world_rgbt minus world_thermal, seed by seed') + 2 :]
    assert table[0].startswith('|  | mIoU | frequent |')
    # The seeds of both runs differ by 2 points, their pairs by 25 points each.
    assert table[3].startswith('| night | +25.0 ± 0.0 | - |')


def test_runs_of_other_worlds_are_not_compared(results):
    for seed in (0, 1):
        path = results / f'world_rgbt_seed{seed}.json'
        write_record(path, read_record(path) | {'frame_keys': {'test': 'later world'}})
    text = tables(summarize_folder(results))
    assert '| world | later world | key of test |' in text.splitlines()
    assert 'Not compared' in text
    assert '+25.0' not in text


def test_comparison_says_where_the_world_is_unknown(results):
    for path in results.glob('*.json'):
        old = read_record(path)
        del old['frame_keys']
        write_record(path, old)
    text = tables(summarize_folder(results))
    assert '| world | unknown | unknown |' in text.splitlines()
    assert 'Whether both saw the same frames is not recorded.\n\n|' in text
    assert '+25.0' in text


def test_any_run_may_be_the_baseline(results):
    text = tables(summarize_folder(results), 'world_rgbt')
    assert '### world_thermal minus world_rgbt, seed by seed' in text
    assert '| night | -25.0 ± 0.0 | - |' in text
    assert 'minus' not in tables(summarize_folder(results), 'absent')


def test_runs_of_other_seeds_are_not_compared(results):
    (results / 'world_rgbt_seed1.json').unlink()
    assert 'minus' not in tables(summarize_folder(results))


def test_one_seed_has_no_spread(tmp_path):
    write_record(tmp_path / 'world_rgb_seed0.json', seen_by('rgb', 0, 0.5))
    assert '| night | 50.0 |' in tables(summarize_folder(tmp_path))


def test_page_keeps_what_is_outside_the_marks(results, tmp_path):
    page = tmp_path / 'docs' / 'results.md'
    page.parent.mkdir()
    page.write_text('# Results\n\nBy hand.\n')
    arguments = ['--results', str(results), '--page', str(page)]
    main(arguments)
    once = page.read_text()
    assert once.startswith('# Results\n\nBy hand.\n')
    page.write_text(once + '\nMore by hand.\n')
    main(arguments)
    assert page.read_text() == once + '\nMore by hand.\n'
    assert read_record(results / 'summary.json')['runs'].keys() == {'world_rgbt', 'world_thermal'}
    other = replace_section(page.read_text(), 'cekd', 'Elsewhere.')
    assert other.startswith(page.read_text().rstrip())
    assert 'Elsewhere.' in other
