# SPDX-License-Identifier: Apache-2.0
"""Parameters of the live node: in force, or refused with the reason; never neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from image_messages import image, pixels_of, ramp
from live_client import Client
from rcl_interfaces.msg import ParameterType

from kd_perception.parameters.table import PARAMETERS

pytestmark = pytest.mark.ros


@pytest.fixture(scope='module')
def ready(start_node: Callable[..., Any], client: Client) -> Any:
    node = start_node({'agc.time_constant_s': 0.0, 'input_timeout_s': 60.0,
                       'ffc.source': 'none', 'queue_policy': 'every'})  # fmt: skip
    client.wait_for_input()
    client.listen('mask', 'image_agc', 'confidence')
    return node


def test_every_row_of_the_table_is_declared_with_its_type_and_range(
    ready: Any, client: Client
) -> None:
    kinds = {
        bool: ParameterType.PARAMETER_BOOL,
        int: ParameterType.PARAMETER_INTEGER,
        float: ParameterType.PARAMETER_DOUBLE,
        str: ParameterType.PARAMETER_STRING,
    }
    descriptors = client.describe_parameters([spec.name for spec in PARAMETERS])
    for spec, descriptor in zip(PARAMETERS, descriptors, strict=True):
        assert descriptor.type == kinds[type(spec.default)], spec.name
        assert spec.description in descriptor.description
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        if spec.minimum is None:
            assert not ranges
        else:
            assert (ranges[0].from_value, ranges[0].to_value) == (spec.minimum, spec.maximum)


REFUSED = {
    'wrong type': ({'max_age_ms': 'old'}, 'type'),
    'integer for a double': ({'max_rate_hz': 5}, 'type'),
    'below the range': ({'max_rate_hz': -0.1}, 'max_rate_hz'),
    'above the range': ({'agc__time_constant_s': 61.0}, 'agc.time_constant_s'),
    'not a number': ({'min_confidence': float('nan')}, 'min_confidence'),
    'not a choice': ({'agc__method': 'magic'}, 'plateau'),
    'low above high': ({'agc__low_percentile': 99.5}, 'below'),
    'low above high, fixed': ({'agc__fixed_low_c': 130.0}, 'below'),
    'fixed without radiometry': ({'agc__method': 'fixed'}, 'radiometry'),
    'read on configure': ({'backend': 'onnxruntime'}, 'unconfigured'),
    'read on configure, too': ({'queue_policy': 'latest'}, 'unconfigured'),
    'malformed hash': ({'model__sha256': 'abc'}, 'model.sha256'),
    'one of two': ({'max_age_ms': 5.0, 'agc__method': 'magic'}, 'agc.method'),
    'too small integer': ({'ffc__freeze_frames': 1}, 'freeze_frames'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_change_that_cannot_apply_is_refused_with_the_reason(
    ready: Any, client: Client, name: str
) -> None:
    changes, reason = REFUSED[name]
    names = [key.replace('__', '.') for key in changes]
    before = [client.get_parameter(key) for key in names]
    result = client.set_parameters(**changes)
    assert not result.successful
    assert reason in result.reason
    assert [client.get_parameter(key) for key in names] == before


def test_every_configure_only_parameter_is_refused_while_active(
    ready: Any, client: Client
) -> None:
    fields = {bool: 'bool_value', float: 'double_value', int: 'integer_value', str: 'string_value'}
    for spec in PARAMETERS:
        if spec.dynamic:
            continue
        kind = type(spec.default)
        current = getattr(client.get_parameter(spec.name), fields[kind])
        others = [*spec.choices, 'cuda:3'] if kind is str else [not current, 7, 1.5]
        value = next(v for v in others if v != current and type(v) is kind)
        result = client.set_parameters(**{spec.name.replace('.', '__'): value})
        assert not result.successful, spec.name
        assert spec.name in result.reason
        told = 'when the node starts' if spec.applied == 'start' else 'unconfigured'
        assert told in result.reason


def test_gain_percentiles_take_effect_at_the_next_frame(ready: Any, client: Client) -> None:
    def black_share(low: float) -> float:
        assert client.set_parameters(agc__low_percentile=low).successful
        message = image(ramp(1), client.now_ns())
        client.answer(message)
        return float((pixels_of(client.output_for(message.header, 'image_agc')) == 0).mean())

    assert black_share(1.0) < 0.03
    assert black_share(50.0) == pytest.approx(0.5, abs=0.02)
    assert black_share(1.0) < 0.03


def test_two_values_that_only_fit_together_are_set_together(ready: Any, client: Client) -> None:
    result = client.set_parameters(agc__low_percentile=99.2, agc__high_percentile=99.9)
    assert result.successful
    assert client.set_parameters(agc__low_percentile=1.0, agc__high_percentile=99.0).successful


def test_min_confidence_takes_effect_at_the_next_frame(ready: Any, client: Client) -> None:
    client.set_parameters(min_confidence=0.0)
    message = image(ramp(2), client.now_ns())
    client.answer(message)
    confidence = pixels_of(client.output_for(message.header, 'confidence'))
    levels = np.unique(confidence)
    bound = float(levels[levels.size // 2]) / 255
    assert client.set_parameters(min_confidence=bound).successful
    message = image(ramp(2), client.now_ns())
    mask = pixels_of(client.answer(message))
    after = pixels_of(client.output_for(message.header, 'confidence'))
    unsure = confidence < round(255 * bound)
    assert 0.05 < unsure.mean() < 0.95
    np.testing.assert_array_equal(mask == 255, unsure)
    np.testing.assert_array_equal(after, np.where(unsure, 0, confidence))
    assert client.set_parameters(min_confidence=0.0).successful


def test_unconfigured_node_takes_what_the_active_one_refused(ready: Any, client: Client) -> None:
    for step in ('deactivate', 'cleanup'):
        assert client.transition(step)
    assert client.set_parameters(radiometry__preset='lepton_10mk').successful
    assert client.set_parameters(
        agc__method='fixed', agc__fixed_low_c=20.0, agc__fixed_high_c=30.0
    ).successful
    for step in ('configure', 'activate'):
        assert client.transition(step)
    client.diagnostics.clear()
    client.wait_for_input()
    client.listen('mask', 'image_agc')
    kelvin_100 = np.full((96, 128), 27315 + 2500, np.uint16)  # 25 deg C, the middle of the window
    message = image(kelvin_100, client.now_ns())
    client.answer(message)
    gray = pixels_of(client.output_for(message.header, 'image_agc'))
    assert np.unique(gray).tolist() in ([127], [128])
