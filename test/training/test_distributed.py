# SPDX-License-Identifier: Apache-2.0
"""Two processes learn what one learns from the same batch; they start in two ways."""

from __future__ import annotations

import socket
import warnings

import pytest
import torch
from engine_runs import (
    CPU,
    NORMS,
    fitted,
    losses_of_two_views,
    normalize_share,
    state_of,
)
from run_processes import run_program
from torch import nn

from kd_perception.errors import ConfigError
from training import distributed
from training.checkpointing import load_checkpoint
from training.distributed import LaunchConfig, launch, share_of, synchronized


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return str(listener.getsockname()[1])


def together(folder, *command):
    """What each of two processes wrote."""
    run_program(*command, folder=folder, timeout_s=240)
    return [torch.load(folder / f'rank{rank}.pt') for rank in range(2)]


@pytest.fixture(scope='module', params=['python', 'torchrun'])
def ranks(request, tmp_path_factory):
    """Both ways of starting two processes."""
    folder = tmp_path_factory.mktemp(request.param) / 'out'
    if request.param == 'python':
        return folder, together(folder, '-m', 'engine_runs', '--launch.devices', '2')
    torchrun = ['-m', 'torch.distributed.run', '--nproc-per-node', '2']
    address = ['--master-addr', '127.0.0.1', '--master-port', free_port()]
    return folder, together(folder, *torchrun, *address, '-m', 'engine_runs')


def assert_close(found, expected, tolerance=1e-4):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=0.1 * tolerance)


@pytest.mark.ddp
@pytest.mark.slow
class TestTwoProcesses:
    def test_share_the_batch(self, ranks):
        _, results = ranks
        assert [result['world_size'] for result in results] == [2, 2]
        assert [result['share'] for result in results] == [[0, 1], [2, 3]]

    @pytest.mark.parametrize('name', ['state', 'views'])
    def test_hold_the_same_bits(self, ranks, name):
        _, (first, second) = ranks
        assert first[name].keys() == second[name].keys()
        for key, value in first[name].items():
            assert torch.equal(value, second[name][key]), key

    def test_take_notes_and_seconds_of_the_first(self, ranks):
        _, results = ranks
        assert [result['notes'] for result in results] == [{'rank': 0}] * 2
        assert results[0]['seconds'] == results[1]['seconds'] > 0.0

    def test_learn_what_one_learns(self, ranks, tmp_path):
        _, (result, _) = ranks
        one = state_of(fitted(tmp_path, launch(CPU)))
        assert list(one) == list(result['state'])
        assert_close(result['state'], one)

    def test_may_call_the_network_several_times_in_a_step(self, ranks, tmp_path):
        _, (result, _) = ranks
        one = state_of(fitted(tmp_path, launch(CPU), losses=losses_of_two_views))
        assert_close(result['views'], one)

    def test_their_checkpoint_is_one_that_a_single_process_goes_on_from(self, ranks):
        folder, (result, _) = ranks
        run = fitted(folder / 'run', launch(CPU))
        assert run.step == 12
        assert run.notes == {'rank': 0}
        for key, value in result['state'].items():
            assert torch.equal(value, state_of(run)[key]), key

    @pytest.mark.parametrize('name', list(NORMS))
    def test_normalize_over_all_images(self, ranks, name):
        _, results = ranks
        features, settings = NORMS[name]
        whole = normalize_share(features, range(6), **settings)
        parts = [result['norms'][name] for result in results]
        names = ['output', 'images']
        if settings.get('track_running_stats', True):  # else it goes by what a process sees
            names.append('evaluated')
        for key in names:
            assert_close(torch.cat([part[key] for part in parts]), whole[key], 1e-9)
        for index, gradient in enumerate(whole['parameters']):
            assert_close(sum(part['parameters'][index] for part in parts), gradient, 1e-9)
        for part in parts:
            for found, expected in zip(part['statistics'], whole['statistics'], strict=True):
                assert_close(found, expected, 1e-9)

    def test_stop_together_when_the_loss_of_one_is_not_finite(self, ranks):
        folder, results = ranks
        assert all('bad was nan in step 0' in result['error'] for result in results)
        assert load_checkpoint(folder / 'diverged', fingerprint='tiny') is None

    def test_write_one_checkpoint_and_one_event_file_per_run(self, ranks):
        folder, _ = ranks
        assert sorted(path.name for path in (folder / 'views').iterdir()) == [
            'latest.pt',
            'tensorboard',
        ]
        assert len(list((folder / 'views' / 'tensorboard').iterdir())) == 1


class Fake:
    """As much of Fabric as sharing needs."""

    def __init__(self, world_size, global_rank):
        self.world_size, self.global_rank = world_size, global_rank
        self.device = torch.device('cpu')


def test_shares_are_equal_and_cover_the_batch():
    shares = [share_of(12, Fake(3, rank)) for rank in range(3)]
    assert [list(share) for share in shares] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    with pytest.raises(ConfigError, match='multiple of their number, 3, got 10'):
        share_of(10, Fake(3, 0))


def test_synchronized_layers_are_the_same_ones_with_the_same_names():
    network = nn.Sequential(
        nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm1d(4))
    )
    network[1].eval()
    parameters, names = list(network.parameters()), list(network.state_dict())
    assert type(synchronized(network, Fake(1, 0))[1]) is nn.BatchNorm2d
    assert synchronized(network, Fake(2, 0)) is network
    assert list(network.state_dict()) == names
    assert all(a is b for a, b in zip(network.parameters(), parameters, strict=True))
    assert isinstance(network[1], nn.BatchNorm2d) and type(network[1]) is not nn.BatchNorm2d
    assert isinstance(network[2][0], nn.BatchNorm1d)
    image = torch.randn(2, 2, 3, 3)
    torch.testing.assert_close(network[1](network[0](image)), network[0](image), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match='4D'):
        network[1].train()(torch.zeros(2, 3))


class Spy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, features, intrinsics):
        self.seen = (intrinsics.dtype, self.layer(features).dtype)
        return self.layer(features)


@pytest.mark.filterwarnings('ignore:This CPU does not multiply bfloat16')
@pytest.mark.parametrize('bfloat16', [False, True])
def test_autocast_leaves_inputs_alone(bfloat16):
    fabric = launch(LaunchConfig(accelerator='cpu', bfloat16=bfloat16))
    spy = Spy()
    output = fabric.setup_module(spy)(torch.ones(1, 2), torch.eye(3))
    assert spy.seen == (torch.float32, torch.bfloat16 if bfloat16 else torch.float32)
    assert output.dtype == torch.float32


@pytest.mark.parametrize('fast', [False, True])
def test_bfloat16_is_warned_of_where_it_takes_longer(monkeypatch, fast):
    monkeypatch.setattr(distributed, 'has_matrix_bf16', lambda: fast)
    assert not LaunchConfig().bfloat16
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        launch(LaunchConfig(accelerator='cpu', bfloat16=True))
        launch(LaunchConfig(accelerator='cpu', bfloat16=False))
    told = [str(warning.message) for warning in caught]
    assert [text for text in told if 'launch.bfloat16' in text] == (
        [] if fast else [distributed.SLOW_BFLOAT16]
    )


def test_launch_sets_threads():
    before = torch.get_num_threads()
    try:
        launch(LaunchConfig(accelerator='cpu', threads=2))
        assert torch.get_num_threads() == 2
    finally:
        launch(LaunchConfig(accelerator='cpu', threads=before))


@pytest.mark.parametrize(
    ('name', 'value'), [('accelerator', 'gpu'), ('devices', 0), ('threads', 0)]
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        LaunchConfig(**{name: value})


def test_devices_that_are_not_there_are_refused():
    count = torch.cuda.device_count()
    with pytest.raises(ConfigError, match=f'got {count + 1} where {count} are'):
        launch(LaunchConfig(accelerator='cuda', devices=count + 1))


def test_devices_must_be_those_of_torchrun(monkeypatch):
    for name, value in (('LOCAL_WORLD_SIZE', '2'), ('WORLD_SIZE', '4'), ('LOCAL_RANK', '0')):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'test')
    with pytest.raises(ConfigError, match='nproc-per-node of torchrun, 2, got 3'):
        launch(LaunchConfig(accelerator='cpu', devices=3))
