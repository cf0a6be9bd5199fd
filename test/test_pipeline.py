# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.encodings import image_from_buffer
from kd_perception.errors import (
    BackendError,
    ConfigError,
    ImageEncodingError,
    KdPerceptionError,
    ShapeError,
)
from kd_perception.frames import Frame
from kd_perception.freeze import FreezeConfig
from kd_perception.pipeline import Output, Pipeline, PipelineConfig, gain_difference
from kd_perception.preprocessing import AgcConfig, radiometry_from_preset

SECOND = 10**9
STEADY = PipelineConfig(agc=AgcConfig(time_constant_s=0.0), freeze=FreezeConfig('none'))


@pytest.fixture(scope='module')
def pipeline(tiny_student_folder: Path) -> Pipeline:
    student = load_student(tiny_student_folder)
    return Pipeline(student, create_backend(student, backend='openvino', precision='fp32'), STEADY)


@pytest.fixture(autouse=True)
def fresh(pipeline: Pipeline) -> None:
    pipeline.configure(STEADY)
    pipeline.reset()


def ramp(height: int = 96, width: int = 128) -> Frame:
    levels = np.linspace(20000, 28000, width).astype(np.uint16)
    return Frame(np.tile(levels, (height, 1)), 'mono16', SECOND, 'optical')


@pytest.mark.parametrize('size', [(96, 128), (240, 320), (60, 80), (120, 120), (512, 640)])
def test_results_have_the_size_of_the_camera(pipeline: Pipeline, size: tuple[int, int]) -> None:
    result = pipeline.step(ramp(*size))
    for image in (result.mask, result.confidence, result.uncertainty, result.agc_image):
        assert image is not None
        assert image.shape == size
    expected = np.clip(np.round(np.linspace(-0.08, 8.08, size[1])), 0, 8)
    assert (np.abs(result.mask[size[0] // 2].astype(int) - expected) <= 1).all()
    assert (np.diff(result.mask[0].astype(int)) >= 0).all()


def test_network_size_on_request(pipeline: Pipeline) -> None:
    pipeline.configure(PipelineConfig(output_size='network', freeze=FreezeConfig('none')))
    assert pipeline.step(ramp(240, 240)).mask.shape == (96, 96)
    assert pipeline.step(ramp(240, 240), Output.AGC_IMAGE).mask.shape == (96, 96)


def test_temperature_needs_radiometry(pipeline: Pipeline) -> None:
    assert pipeline.step(ramp()).temperature is None
    preset = radiometry_from_preset('lepton_10mk')
    pipeline.configure(PipelineConfig(radiometry=preset, freeze=FreezeConfig('none')))
    temperature = pipeline.step(ramp()).temperature
    assert temperature is not None
    assert temperature[0, 0] == pytest.approx(200.0 - 273.15, abs=1e-2)


def test_only_wanted_results_are_made(pipeline: Pipeline) -> None:
    result = pipeline.step(ramp(), Output.AGC_IMAGE)
    assert result.agc_image is not None
    assert result.timings.infer_ms == 0.0
    assert (result.mask == 255).all()
    assert np.isnan(result.uncertainty).all()
    assert pipeline.step(ramp(), Output.MASK).agc_image is None


def test_mask_alone_is_that_of_all_results(pipeline: Pipeline) -> None:
    alone, full = (pipeline.step(ramp(), wanted) for wanted in (Output.MASK, Output.PREDICTION))
    assert alone.confidence is None and alone.uncertainty is None
    np.testing.assert_array_equal(alone.mask, full.prediction.mask)


def test_mask_alone_leaves_unsure_pixels_out_as_well(pipeline: Pipeline) -> None:
    sure = np.median(pipeline.step(ramp()).prediction.confidence) / 255
    pipeline.configure(dataclasses.replace(STEADY, min_confidence=float(sure)))
    alone, full = (pipeline.step(ramp(), wanted) for wanted in (Output.MASK, Output.PREDICTION))
    assert 0 < (full.mask == 255).mean() < 1
    np.testing.assert_array_equal(alone.mask, full.mask)


def test_color_is_refused_unless_allowed(pipeline: Pipeline) -> None:
    color = Frame(np.repeat(ramp().image[..., None] // 256, 3, 2).astype(np.uint8), 'rgb8', 0)
    with pytest.raises(ImageEncodingError, match='allow_color_input'):
        pipeline.step(color)
    pipeline.configure(PipelineConfig(allow_color_input=True))
    assert pipeline.step(color).mask.shape == (96, 128)


def test_unsure_pixels_are_unlabeled(pipeline: Pipeline) -> None:
    before = pipeline.step(ramp())
    median = float(np.median(before.confidence))
    settings = PipelineConfig(min_confidence=median / 255, freeze=FreezeConfig('none'))
    pipeline.configure(settings)
    after = pipeline.step(ramp())
    unsure = before.confidence < math.ceil(median)
    assert 0 < unsure.sum() < unsure.size
    assert (after.mask[unsure] == 255).all()
    assert (after.confidence[unsure] == 0).all()
    np.testing.assert_array_equal(np.isnan(after.uncertainty), unsure)
    np.testing.assert_array_equal(after.mask[~unsure], before.mask[~unsure])


@pytest.mark.parametrize('policy', ['flag', 'hold', 'pass'])
def test_frozen_frames_follow_the_policy(pipeline: Pipeline, policy: str) -> None:
    pipeline.configure(PipelineConfig(freeze=FreezeConfig(policy=policy)))
    results = [pipeline.step(ramp()) for _ in range(3)]
    assert [result.frozen for result in results] == [False, False, True]
    assert results[2].held == (policy == 'hold')
    assert (results[2].mask == 255).all() == (policy != 'pass')
    assert (results[2].confidence == 0).all() == (policy != 'pass')


def test_gain_restarts_after_a_freeze(pipeline: Pipeline) -> None:
    pipeline.configure(PipelineConfig(agc=AgcConfig(time_constant_s=60.0)))
    for index in range(3):
        pipeline.step(Frame(ramp().image, 'mono16', SECOND * (1 + index)))
    warmer = pipeline.step(Frame(ramp().image + 5000, 'mono16', SECOND * 5))
    assert warmer.agc_low > 24900


def test_gain_settings_restart_the_gain_and_others_do_not(pipeline: Pipeline) -> None:
    slow = PipelineConfig(agc=AgcConfig(time_constant_s=60.0), freeze=FreezeConfig('none'))
    pipeline.configure(slow)
    low = pipeline.step(ramp()).agc_low
    hot = Frame(ramp().image + 5000, 'mono16', 2 * SECOND)
    pipeline.configure(PipelineConfig(slow.agc, min_confidence=0.1, freeze=slow.freeze))
    assert pipeline.step(hot).agc_low < low + 1000
    pipeline.configure(PipelineConfig(AgcConfig(), freeze=slow.freeze))
    assert pipeline.step(hot).agc_low > low + 4500


def test_a_frame_that_is_too_thin_leaves_the_state_alone(pipeline: Pipeline) -> None:
    slow = PipelineConfig(agc=AgcConfig(time_constant_s=60.0), freeze=FreezeConfig('none'))
    pipeline.configure(slow)
    low = pipeline.step(ramp()).agc_low
    thin = np.full((1, 60_000), 25_000, np.uint16)
    with pytest.raises(ShapeError):
        pipeline.step(Frame(thin, 'mono16', 2 * SECOND))
    assert pipeline.step(Frame(ramp().image, 'mono16', 3 * SECOND)).agc_low == low


def test_saturated_pixels_are_counted(pipeline: Pipeline) -> None:
    image = ramp().image.copy()
    image[:48] = 65535
    assert pipeline.step(Frame(image, 'mono16', 0)).saturated_share == pytest.approx(0.5)


def test_not_finite_logits_are_a_failure_of_the_backend(pipeline: Pipeline) -> None:
    class Broken:
        name, device, precision, threads = 'broken', 'cpu', 'fp16', 1

        def infer(self, image: np.ndarray) -> np.ndarray:
            return np.full((1, 9, 24, 32), np.nan, np.float32)

        def close(self) -> None: ...

    with pytest.raises(BackendError, match='fp32'):
        Pipeline(pipeline.student, Broken()).step(ramp())


@pytest.mark.parametrize(
    'values', [{'min_confidence': 1.5}, {'output_size': 'half'}, {'agc': AgcConfig('fixed')}]
)
def test_wrong_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        PipelineConfig(**values)  # type: ignore[arg-type]


def test_the_same_frames_give_the_same_bits(pipeline: Pipeline) -> None:
    rng = np.random.default_rng(0)
    frames = [
        Frame(rng.integers(0, 60000, (48, 64)).astype(np.uint16), 'mono16', i * SECOND // 30)
        for i in range(10)
    ]
    pipeline.configure(PipelineConfig())
    runs = []
    for _ in range(2):
        pipeline.reset()
        runs.append([pipeline.step(frame) for frame in frames])
    for one, two in zip(*runs, strict=True):
        assert one.mask.tobytes() == two.mask.tobytes()
        assert one.uncertainty.tobytes() == two.uncertainty.tobytes()


ENCODINGS = ('mono8', '8UC1', 'mono16', '16UC1', '32FC1', 'rgb8', 'bgr8', 'bgra8', 'bayer', '')


@settings(max_examples=2000)
@given(
    data=st.binary(max_size=512) | st.integers(0, 64).map(lambda n: bytes([255]) * 4 * n),
    height=st.integers(0, 20),
    width=st.integers(0, 20),
    step=st.none() | st.integers(0, 90),
    encoding=st.sampled_from(ENCODINGS),
    is_bigendian=st.booleans(),
    stamp_ns=st.integers(0, 2**62),
    fit=st.booleans(),
)
def test_two_thousand_fuzzed_images_never_end_it(
    pipeline: Pipeline,
    data: bytes,
    height: int,
    width: int,
    step: int | None,
    encoding: str,
    is_bigendian: bool,
    stamp_ns: int,
    fit: bool,
) -> None:
    sample_bytes = {'m': 1, '8': 1, '1': 2, '3': 4, 'r': 3, 'b': 3}.get(encoding[:1], 1)
    sample_bytes = 2 if encoding == 'mono16' else 4 if encoding == 'bgra8' else sample_bytes
    step = width * sample_bytes if step is None else step
    if fit:  # let a good share through to the network
        data = (data * (step * height // max(len(data), 1) + 1))[: step * height]
    freeze = FreezeConfig('none')
    pipeline.configure(PipelineConfig(allow_color_input=bool(stamp_ns % 2), freeze=freeze))
    try:
        image = image_from_buffer(
            data,
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=is_bigendian,
            step=step,
        )
        result = pipeline.step(Frame(image, encoding, stamp_ns))
    except KdPerceptionError:
        assert pipeline.step(ramp()).mask.max() < 9, 'the next good frame is answered'
        return
    assert result.mask.shape == (height, width)
    assert (result.mask[result.confidence > 0] < 9).all()
    finite = result.uncertainty[np.isfinite(result.uncertainty)]
    assert ((finite >= 0) & (finite <= 1)).all()


@pytest.mark.parametrize(
    ('agc', 'told'),
    [
        (AgcConfig(time_constant_s=9.0), ''),
        (AgcConfig('plateau'), 'agc.method is plateau, tiny was trained with percentile'),
        (AgcConfig(low_percentile=3.0), 'agc.low_percentile is 3.0'),
        (AgcConfig('none'), 'agc.method is none'),
    ],
)
def test_another_gain_control_than_in_training_is_told(
    pipeline: Pipeline, agc: AgcConfig, told: str
) -> None:
    found = gain_difference(pipeline.student, PipelineConfig(agc=agc))
    assert found.startswith(told)
    assert bool(found) == bool(told)
