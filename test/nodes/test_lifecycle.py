# SPDX-License-Identifier: Apache-2.0
"""Group 4 and the lifecycle: bad models are refused, every state can be left, signals end it."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from altered_students import BROKEN
from image_messages import image, ramp
from live_client import ERROR, OK, TRANSITIONS, Client
from live_node import NODE, wait_until

pytestmark = pytest.mark.ros

NEXT_STATE = {
    ('unconfigured', 'configure'): 'inactive',
    ('inactive', 'activate'): 'active',
    ('active', 'deactivate'): 'inactive',
    ('inactive', 'cleanup'): 'unconfigured',
}


@pytest.fixture(scope='module')
def managed(start_node: Callable[..., Any], client: Client) -> Any:
    """A node that waits for its manager."""
    node = start_node({'autostart': False, 'latency_budget_ms': 5000.0})
    client.wait_for_state('unconfigured')
    return node


def bring_to(client: Client, state: str) -> None:
    """Take the legal way to a state."""
    if (now := client.state()) == state:
        return
    path = {'unconfigured': 0, 'inactive': 1, 'active': 2}
    if path[now] < path[state]:
        steps = ['configure', 'activate'][path[now] : path[state]]
    else:
        steps = ['cleanup', 'deactivate'][path[state] : path[now]][::-1]
    for step in steps:
        assert client.transition(step), step
    assert client.state() == state


def test_without_autostart_the_node_waits(managed: Any, client: Client) -> None:
    time.sleep(0.5)  # five ticks, in one of which it would have started
    assert client.state() == 'unconfigured'
    client.diagnosed('input', OK, 'unconfigured')
    assert client.images.get_subscription_count() == 0


@pytest.mark.parametrize('kind', BROKEN)
def test_broken_model_is_refused_and_a_good_one_follows(
    managed: Any, client: Client, tmp_path: Path, tiny_student_folder: Path, kind: str
) -> None:
    bring_to(client, 'unconfigured')
    folder = tmp_path / 'student'
    BROKEN[kind](tiny_student_folder, folder)
    assert client.set_parameters(model__path=str(folder)).successful
    told = managed.output.count('Configure refused')
    assert not client.transition('configure')
    assert client.state() == 'unconfigured'
    assert managed.output.count('Configure refused') == told + 1
    assert client.set_parameters(model__path=str(tiny_student_folder)).successful
    assert client.transition('configure')
    assert client.state() == 'inactive'


def test_wrong_hash_is_refused_and_told_in_diagnostics(managed: Any, client: Client) -> None:
    bring_to(client, 'unconfigured')
    assert client.set_parameters(model__sha256='0' * 64).successful
    assert not client.transition('configure')
    client.diagnosed('model', ERROR, 'load failed, there is no model')
    assert client.set_parameters(model__sha256='').successful
    assert client.transition('configure')
    client.diagnosed('model', OK, 'tiny on')
    assert len(client.status('model')['sha256']) == 64


def test_a_missing_gpu_is_refused_when_it_is_required(managed: Any, client: Client) -> None:
    bring_to(client, 'unconfigured')
    assert client.set_parameters(device='cuda:99').successful
    assert not client.transition('configure')
    assert client.set_parameters(device='auto').successful


def test_only_the_active_node_listens_and_answers(managed: Any, client: Client) -> None:
    for state, listens in (('inactive', False), ('active', True), ('inactive', False)):
        bring_to(client, state)
        wait_until(
            lambda listens=listens: bool(client.images.get_subscription_count()) == listens,
            f'listening: {listens} while {state}',
        )
    bring_to(client, 'active')
    client.wait_for_input()
    client.listen('mask')
    client.answer(image(ramp(), client.now_ns()))


def test_illegal_transitions_change_nothing(managed: Any, client: Client) -> None:
    for state in ('unconfigured', 'inactive', 'active'):
        bring_to(client, state)
        for name in TRANSITIONS:
            if (state, name) not in NEXT_STATE:
                assert not client.transition(name)
                assert client.state() == state


def test_many_random_transitions_under_load(managed: Any, client: Client) -> None:
    """Frames come all the time; at the end the account adds up and the node answers."""
    chooser, stop = random.Random(3), threading.Event()

    def feed() -> None:
        while not stop.wait(0.01):
            client.images.publish(image(ramp(), client.now_ns()))

    feeder = threading.Thread(target=feed)
    feeder.start()
    state = client.state()
    for _ in range(60):
        name = chooser.choice([name for start, name in NEXT_STATE if start == state])
        assert client.transition(name), (state, name)
        state = NEXT_STATE[state, name]
        assert client.state() == state
    stop.set()
    feeder.join()
    bring_to(client, 'active')
    counts = client.counts()
    assert counts['received'] == counts['published'] + counts['dropped'] + counts['failed']
    client.wait_for_input()
    client.listen('mask')
    client.answer(image(ramp(), client.now_ns()))
    assert managed.alive


def test_autostart_does_not_start_twice(
    managed: Any, start_node: Callable[..., Any], client: Client
) -> None:
    assert managed.end() == 0
    client.diagnostics.clear()
    node = start_node()
    client.wait_for_state('active')
    assert not client.transition('configure')
    assert not client.transition('activate')
    assert client.state() == 'active'
    bring_to(client, 'unconfigured')
    time.sleep(0.5)  # it must not start again on its own
    assert client.state() == 'unconfigured'
    assert node.output.count('Active on') == 1
    assert node.end() == 0


@pytest.mark.parametrize('state', ['unconfigured', 'inactive', 'active'])
def test_shutdown_from_every_state_then_a_clean_exit(
    managed: Any, start_node: Callable[..., Any], client: Client, state: str
) -> None:
    if not managed.ended:
        assert managed.end() == 0
    node = start_node({'autostart': False})
    client.wait_for_state('unconfigured')
    bring_to(client, state)
    assert client.shut_down()
    assert client.state() == 'finalized'
    assert node.end(signal.SIGTERM) == 0
    assert 'Traceback' not in node.output


@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM])
def test_signal_during_inference_ends_the_node_cleanly(
    managed: Any, start_node: Callable[..., Any], client: Client, signum: int
) -> None:
    if not managed.ended:
        assert managed.end() == 0
    client.diagnostics.clear()
    node = start_node({'queue_policy': 'every'})
    client.wait_for_input()
    client.listen('mask', 'uncertainty', 'overlay')
    frames = [image(ramp(seed, (480, 640)), client.now_ns() + seed) for seed in range(40)]
    for message in frames:  # 40 large frames wait when the signal comes
        client.images.publish(message)
    wait_until(lambda: client.received['mask'], 'the first answer')
    assert node.end(signum) == 0
    assert 'Traceback' not in node.output, node.output


def test_signal_while_the_node_configures_ends_it_cleanly(
    managed: Any, start_node: Callable[..., Any], client: Client
) -> None:
    if not managed.ended:
        assert managed.end() == 0
    service = (f'{NODE}/enable', ['std_srvs/srv/SetBool'])
    wait_until(lambda: service not in client.node.get_service_names_and_types(), 'an empty graph')
    node = start_node({'warmup_iterations': 100})
    wait_until(lambda: service in client.node.get_service_names_and_types(), 'the new node')
    assert node.end(signal.SIGINT) == 0
    assert 'Traceback' not in node.output


def test_wrong_start_up_parameter_ends_with_one_line(start_node: Callable[..., Any]) -> None:
    node = start_node({'max_rate_hz': -1.0})
    node.process.wait(20)
    assert node.end() == 2
    assert 'Wrong parameter at start-up' in node.output
    assert 'max_rate_hz' in node.output
    assert 'Traceback' not in node.output


def test_nothing_on_the_path_of_the_node_imports_torch(
    managed: Any, start_node: Callable[..., Any], client: Client
) -> None:
    if not managed.ended:
        assert managed.end() == 0
    client.diagnostics.clear()
    program = (
        'import sys; from kd_perception.nodes.thermal_seg_node import main; code = main(); '
        'print("MODULES", *sorted(sys.modules)); sys.exit(code)'
    )
    node = start_node(command=('-c', program))
    client.wait_for_input()
    client.listen('mask')
    client.answer(image(ramp(), client.now_ns()))
    assert node.end() == 0
    modules = node.output.split('MODULES ')[1].split()
    assert 'kd_perception.pipeline' in modules
    assert not {'torch', 'training', 'matplotlib', 'onnx'} & set(modules)
