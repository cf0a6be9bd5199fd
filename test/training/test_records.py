# SPDX-License-Identifier: Apache-2.0
"""Records, their summary, checkpoints and the average of weights."""

from __future__ import annotations

import json

import pytest
import torch

from kd_perception.errors import ConfigError
from training.averaging import update_average
from training.checkpointing import LATEST, load_checkpoint, save_checkpoint
from training.records import mean_and_spread, read_record, write_record
from training.result_tables import evaluations, replace_section, results_section
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
            'data_digest': {'train': 'abc'},
        },
    }


def test_record_round_trip(tmp_path):
    path = tmp_path / 'deep' / 'r.json'
    write_record(path, {'b': 1, 'a': {'µ': None}})
    assert read_record(path) == {'schema': 1, 'b': 1, 'a': {'µ': None}}
    assert list(json.loads(path.read_text())) == ['schema', 'b', 'a']
    assert [p.name for p in path.parent.iterdir()] == ['r.json']


def test_mean_and_spread_go_number_by_number():
    found = mean_and_spread([{'a': 1.0, 'b': {'c': 2, 'd': None}, 'e': 'x'}, {'a': 3.0}])
    assert found['a'] == {'mean': 2.0, 'std': pytest.approx(1.41421), 'values': [1.0, 3.0]}
    assert found['b'] == {'c': {'mean': 2.0, 'std': None, 'values': [2]}}
    assert 'e' not in found


def test_summary_ships_the_best_validation_seed_not_the_best_test_seed():
    summary = summarize([record(1, 0.4, 0.9), record(0, 0.5, 0.1), record(2, 0.3, 0.2)])
    assert summary['shipped_seed'] == 0
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


def test_tables_show_mean_and_spread_of_every_split(results):
    runs = summarize_folder(results)
    lines = results_section('supervised', runs).splitlines()
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
    lines = results_section('supervised', summarize_folder(results)).splitlines()
    table = lines[lines.index('### world_rgbt minus world_thermal, seed by seed') + 2 :]
    assert table[0].startswith('|  | mIoU | frequent |')
    # The seeds of both runs differ by 2 points, their pairs by 25 points each.
    assert table[3].startswith('| night | +25.0 ± 0.0 | - |')


def test_runs_of_other_seeds_are_not_compared(results):
    (results / 'world_rgbt_seed1.json').unlink()
    assert 'minus' not in results_section('supervised', summarize_folder(results))


def test_one_seed_has_no_spread(tmp_path):
    write_record(tmp_path / 'world_rgb_seed0.json', seen_by('rgb', 0, 0.5))
    assert '| night | 50.0 |' in results_section('x', summarize_folder(tmp_path))


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


def test_failed_save_keeps_the_old_checkpoint(tmp_path):
    save_checkpoint(tmp_path, {'fingerprint': 'f', 'step': 1})
    with pytest.raises(Exception, match='pickle'):
        save_checkpoint(tmp_path, {'fingerprint': 'f', 'step': lambda: 2})
    assert load_checkpoint(tmp_path, fingerprint='f')['step'] == 1
    assert [path.name for path in tmp_path.iterdir()] == [LATEST]
    assert load_checkpoint(tmp_path / 'none', fingerprint='f') is None


def test_average_follows_the_weights():
    average, network = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    torch.nn.init.constant_(network.weight, 5.0)
    network.num_batches_tracked += 7
    update_average(average, network, step=10**6, decay=0.9)
    assert average.weight[0].item() == pytest.approx(1.0 + 0.1 * 4.0)
    assert average.num_batches_tracked == 7
    update_average(average, network, step=0, decay=0.9)
    assert average.weight[0].item() == pytest.approx(5.0 - 0.05 * 3.6)
