# SPDX-License-Identifier: Apache-2.0
"""~/enable, ~/reset and ~/reload_model on the live node."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from altered_students import BROKEN, reversed_student
from image_messages import image, pixels_of, ramp
from live_client import ERROR, OK, WARN, Client
from live_node import NODE, wait_until

pytestmark = pytest.mark.ros

SWAPS = 60


@pytest.fixture(scope='module')
def ready(start_node: Callable[..., Any], client: Client) -> Any:
    node = start_node(
        {
            'agc.time_constant_s': 60.0,
            'latency_budget_ms': 5000.0,
            'input_timeout_s': 60.0,
            'queue_policy': 'every',
            'ffc.source': 'none',
        }
    )
    client.wait_for_input()
    client.listen('mask', 'frame_status')
    return node


@pytest.fixture(autouse=True)
def enabled(ready: Any, client: Client) -> None:
    """A test that failed in between leaves nothing for the next."""
    assert client.enable(True).success


@pytest.fixture(scope='module')
def reversed_folder(tiny_student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reversed_student(tiny_student_folder, tmp_path_factory.mktemp('other') / 'reversed')


def status_of(client: Client, header: Any) -> dict[str, str]:
    status = client.output_for(header, 'frame_status').status[0]
    return {value.key: value.value for value in status.values}


def test_disabled_node_drops_and_says_so(ready: Any, client: Client) -> None:
    assert client.enable(False).success
    before = client.counts()
    for seed in range(3):
        client.images.publish(image(ramp(seed), client.now_ns()))
    client.diagnosed('input', WARN, 'switched off')
    client.wait_for_count('dropped', before['dropped'] + 3)
    assert int(client.status('input')['dropped_disabled']) == 3
    assert client.enable(True).success
    client.answer(image(ramp(), client.now_ns()))
    assert client.counts()['published'] == before['published'] + 1


def test_reset_lets_the_gain_follow_at_once(ready: Any, client: Client) -> None:
    base_ns = client.now_ns()
    client.answer(image(ramp(1), base_ns))
    hot = ramp(1) + np.uint16(1000)
    lagging = client.answer(image(hot, base_ns + 10**7))
    assert client.trigger('reset').success
    fresh = client.answer(image(hot, base_ns + 2 * 10**7))
    assert (pixels_of(lagging) == 8).mean() > 0.4
    assert (pixels_of(fresh) == 8).mean() < 0.1
    assert np.unique(pixels_of(fresh)).tolist() == list(range(9))


def test_reload_takes_the_new_path_only_when_asked(
    ready: Any, client: Client, reversed_folder: Path, tiny_student_folder: Path
) -> None:
    client.trigger('reset')
    first = client.answer(image(ramp(2), client.now_ns()))
    assert client.set_parameters(model__path=str(reversed_folder)).successful
    client.trigger('reset')
    still = client.answer(image(ramp(2), client.now_ns()))
    result = client.trigger('reload_model')
    assert result.success
    assert 'reversed' in result.message
    after = client.answer(image(ramp(2), client.now_ns()))
    np.testing.assert_array_equal(pixels_of(still), pixels_of(first))
    np.testing.assert_array_equal(pixels_of(after), 8 - pixels_of(first))
    client.diagnosed('model', OK, 'reversed on')
    client.set_parameters(model__path=str(tiny_student_folder))
    assert client.trigger('reload_model').success


@pytest.mark.parametrize('kind', ['truncated', 'wrong class count', 'missing'])
def test_failed_reload_keeps_the_model(
    ready: Any, client: Client, tmp_path: Path, tiny_student_folder: Path, kind: str
) -> None:
    message = image(ramp(3), client.now_ns())
    client.answer(message)
    sha256 = status_of(client, message.header)['model_sha256']
    BROKEN[kind](tiny_student_folder, tmp_path / 'broken')
    assert client.set_parameters(model__path=str(tmp_path / 'broken')).successful
    result = client.trigger('reload_model')
    assert not result.success
    assert 'the model before is kept' in result.message
    message = image(ramp(3), client.now_ns())
    client.answer(message)
    assert status_of(client, message.header)['model_sha256'] == sha256
    client.diagnosed('model', ERROR, 'load failed, the model before is kept')
    client.set_parameters(model__path=str(tiny_student_folder))
    assert client.trigger('reload_model').success
    client.diagnosed('model', OK, 'tiny on')


def test_two_reloads_at_once_are_both_answered(ready: Any, client: Client) -> None:
    from std_srvs.srv import Trigger

    caller = client.node.create_client(Trigger, f'{NODE}/reload_model')
    assert caller.wait_for_service(10.0)
    answers = [caller.call_async(Trigger.Request()) for _ in range(2)]
    wait_until(lambda: all(answer.done() for answer in answers), 'two answers')
    assert all(answer.result().success for answer in answers)
    client.answer(image(ramp(), client.now_ns()))
    client.node.destroy_client(caller)


def test_sixty_reloads_under_load(
    ready: Any, client: Client, tiny_student_folder: Path, reversed_folder: Path
) -> None:
    """At 30 Hz no frame is lost or mixes two models, and nothing is left behind by a swap."""
    stop, sent = threading.Event(), []

    def feed() -> None:
        while not stop.wait(1 / 30):
            sent.append(image(ramp(4), client.now_ns()))
            client.images.publish(sent[-1])

    before = client.counts()
    feeder = threading.Thread(target=feed)
    feeder.start()
    measured = []
    try:
        for swap in range(SWAPS):
            folder = (reversed_folder, tiny_student_folder)[swap % 2]
            client.set_parameters(model__path=str(folder))
            assert client.trigger('reload_model').success
            if swap in (19, SWAPS - 1):
                client.fresh_diagnostics()
                measured.append({k: float(v) for k, v in client.status('resources').items()})
    finally:
        stop.set()
        feeder.join()
    models = set()
    for message in sent:
        mask = pixels_of(client.output_for(message.header))
        status = status_of(client, message.header)
        assert mask[40, 2] in (0, 8)
        models.add((status['model_sha256'], int(mask[40, 2])))
        assert mask[40, 125] == 8 - mask[40, 2]
    assert len(models) == 2  # two hashes, each with its own masks: none was mixed
    after = client.counts()
    assert after['received'] - before['received'] == len(sent)
    assert after['published'] - before['published'] == len(sent)
    assert measured[1]['rss_mib'] - measured[0]['rss_mib'] < 40.0
    assert measured[1]['open_files'] <= measured[0]['open_files'] + 2
    assert measured[1]['python_threads'] <= measured[0]['python_threads'] + 1
