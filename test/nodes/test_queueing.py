# SPDX-License-Identifier: Apache-2.0
"""One answer per frame at low rate; bounded age and exact counts at overload."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from image_messages import image, pixels_of, ramp, stamp
from live_client import WARN, Client
from live_node import wait_until

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.encodings import frame_from_message
from kd_perception.parameters.table import pipeline_config_from_parameters
from kd_perception.pipeline import Pipeline

pytestmark = pytest.mark.ros

SIZE = (480, 640)


@pytest.fixture(scope='module')
def ready(start_node: Callable[..., Any], client: Client) -> Any:
    node = start_node({'latency_budget_ms': 5000.0, 'input_timeout_s': 60.0, 'threads': 1})
    client.wait_for_input()
    return node


def test_nobody_listens_so_nothing_is_computed(ready: Any, client: Client) -> None:
    before = client.counts()
    for seed in range(3):
        client.images.publish(image(ramp(seed), client.now_ns()))
        client.wait_for_count('dropped', before['dropped'] + seed + 1)
    after = client.counts()
    assert after['published'] == before['published']
    assert int(client.status('input')['dropped_no_subscriber']) == 3
    assert client.status('latency').keys() == {'budget_ms'}


def test_without_lazy_the_mask_is_made_for_nobody(ready: Any, client: Client) -> None:
    assert client.set_parameters(lazy=False).successful
    before = client.counts()
    client.images.publish(image(ramp(), client.now_ns()))
    client.wait_for_count('published', before['published'] + 1)
    assert client.set_parameters(lazy=True).successful


def test_only_what_is_listened_to_is_published(ready: Any, client: Client) -> None:
    for name in ('confidence', 'uncertainty', 'overlay', 'image_agc'):
        client.listen(name)
        message = image(ramp(), client.now_ns())
        client.images.publish(message)
        client.output_for(message.header, name)
        assert client.status('input')['outputs_listened_to'] == name
        client.ignore(name)
        wait_until(lambda: not client.status('input')['outputs_listened_to'], 'the node to notice')


def test_one_answer_per_image_at_low_rate_with_its_header(ready: Any, client: Client) -> None:
    """20 images, each sent when the one before is answered: header and all, and in order.

    That keeps a busy machine from overtaking a frame, which would be right with `latest`.
    """
    client.listen('mask', 'frame_status')
    before = client.counts()
    client.received['mask'].clear()
    sent = []
    for seed in range(20):
        message = image(ramp(seed, SIZE), client.now_ns(), frame_id=f'optical_{seed}')
        client.answer(message)
        sent.append(message)
    assert [m.header for m in client.received['mask']] == [m.header for m in sent]
    after = client.counts()
    assert after['received'] - before['received'] == 20
    assert after['published'] - before['published'] == 20
    assert after['dropped'] == before['dropped']


def test_overload_keeps_the_age_bounded_and_the_account_exact(ready: Any, client: Client) -> None:
    """Large frames as fast as they can be sent: old ones are dropped, none is lost silently."""
    client.listen('mask', 'frame_status', 'overlay', 'uncertainty', 'confidence')
    before = client.counts()
    client.received['frame_status'].clear()
    messages = [image(ramp(seed, (960, 1280)), 1) for seed in range(6)]
    number = 0
    end = time.monotonic() + 4.0
    while time.monotonic() < end:
        message = messages[number % len(messages)]
        stamp(message, client.now_ns())
        client.images.publish(message)
        number += 1
        time.sleep(0.002)
    wait_until(lambda: client.counts()['pending'] == 0, 'an empty mailbox')
    counts = {name: value - before[name] for name, value in client.counts().items()}
    assert counts['received'] == counts['published'] + counts['dropped'] + counts['failed']
    assert counts['failed'] == 0
    assert counts['published'] > 3
    assert counts['dropped'] > 0, f'{number} frames were no overload'
    assert int(client.status('input')['dropped_busy']) == counts['dropped']
    values = [
        {v.key: float(v.value) for v in m.status[0].values if v.key.endswith('_ms')}
        for m in client.received['frame_status']
    ]
    work_ms = max(v['latency_ms'] - v['age_ms'] for v in values)
    queue_ms = np.percentile([v['queue_ms'] for v in values], 99)
    # A frame waits for at most the one in work; the rest is room for a busy machine.
    assert queue_ms < 2 * work_ms + 50


def test_every_frame_of_a_burst_is_in_the_account(ready: Any, client: Client) -> None:
    """Frames that arrive together reach the mailbox; the middleware drops none of them itself."""
    client.listen('mask')
    before = client.counts()
    for burst in range(10):
        for seed in range(4):
            client.images.publish(image(ramp(seed, SIZE), client.now_ns()))
        client.wait_for_count('received', before['received'] + 4 * (burst + 1))
    wait_until(lambda: client.counts()['pending'] == 0, 'an empty mailbox')
    counts = {name: value - before[name] for name, value in client.counts().items()}
    assert counts['received'] == counts['published'] + counts['dropped'] == 40


def test_max_rate_thins_by_stamps(ready: Any, client: Client) -> None:
    client.ignore('overlay', 'uncertainty', 'confidence')
    assert client.set_parameters(max_rate_hz=10.0).successful
    client.received['mask'].clear()
    before = client.counts()
    base_ns = client.now_ns()
    for number in range(30):  # one second of a 30 Hz camera
        message = image(ramp(number), base_ns + number * 10**9 // 30)
        client.images.publish(message)
        if number % 3:
            time.sleep(0.02)
        else:  # to be answered, and not to be overtaken by the next
            client.output_for(message.header)
    counts = {name: value - before[name] for name, value in client.counts().items()}
    assert counts['received'] == 30
    assert counts['published'] == 10
    assert int(client.status('input')['dropped_rate']) == 20
    assert client.set_parameters(max_rate_hz=0.0).successful


def test_hold_publishes_nothing_while_the_camera_is_frozen(ready: Any, client: Client) -> None:
    assert client.set_parameters(
        ffc__policy='hold', ffc__freeze_frames=2, ffc__settle_s=0.0
    ).successful
    client.answer(image(ramp(1), client.now_ns()))
    dropped = client.counts()['dropped']
    frozen = image(ramp(1), client.now_ns())
    client.images.publish(frozen)
    client.wait_for_count('dropped', dropped + 1)  # the next must not overtake it
    client.answer(image(ramp(2), client.now_ns() + 10**9))
    assert not any(m.header == frozen.header for m in client.received['mask'])
    client.fresh_diagnostics()
    assert int(client.status('input')['dropped_frozen']) == 1
    assert client.set_parameters(ffc__policy='flag', ffc__freeze_frames=3).successful


def test_a_frozen_camera_is_told_and_not_segmented(ready: Any, client: Client) -> None:
    base_ns = client.now_ns() + 10**10
    answers = [client.answer(image(ramp(3), base_ns + n * 10**9)) for n in range(4)]
    assert [bool((pixels_of(a) == 255).all()) for a in answers] == [False, False, True, True]
    client.diagnosed('thermal', WARN, 'frozen for 1.0 s')
    client.answer(image(ramp(4), base_ns + 5 * 10**9))


def test_every_policy_equals_the_pipeline_in_process_bit_for_bit(
    ready: Any, start_node: Callable[..., Any], client: Client, tiny_student_folder: Path
) -> None:
    """60 frames of a drifting scene, camera size unlike the network's, sent without a pause."""
    assert ready.end() == 0
    client.diagnostics.clear()
    parameters = {'queue_policy': 'every', 'radiometry.preset': 'lepton_10mk', 'threads': 1,
                  'agc.time_constant_s': 0.5, 'precision': 'fp32'}  # fmt: skip
    start_node(parameters)
    client.wait_for_input()
    names = ('mask', 'confidence', 'uncertainty', 'image_agc', 'temperature')
    client.listen(*names)
    for name in names:
        client.received[name].clear()
    base_ns = client.now_ns()
    sent = [
        image(ramp(n, (120, 160)) + np.uint16(15 * n), base_ns + n * 33_000_000) for n in range(60)
    ]
    for message in sent:
        client.images.publish(message)
    wait_until(lambda: all(len(client.received[name]) == 60 for name in names), 'all outputs')
    student = load_student(tiny_student_folder)
    backend = create_backend(student, threads=1, precision='fp32')
    pipeline = Pipeline(student, backend, pipeline_config_from_parameters(parameters))
    for index, message in enumerate(sent):
        result = pipeline.step(frame_from_message(message))
        for name in names:
            output = client.received[name][index]
            assert output.header == message.header
            expected = result.agc_image if name == 'image_agc' else getattr(result, name)
            assert pixels_of(output).tobytes() == expected.tobytes(), (index, name)
    assert client.counts() == {
        'received': 60, 'published': 60, 'dropped': 0, 'failed': 0, 'pending': 0,
    }  # fmt: skip
