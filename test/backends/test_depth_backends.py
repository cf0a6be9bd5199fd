# SPDX-License-Identifier: Apache-2.0
"""A depth network with random weights gives the same depth on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('onnxscript')

from hand_made_depth import color_ramp

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student, save_student
from kd_perception.bundle_depth import DepthSpec
from kd_perception.bundle_schema import InputSpec, StudentSpec
from kd_perception.errors import BackendError
from kd_perception.frames import Frame
from kd_perception.models import RepUNet, RepUNetConfig
from kd_perception.pipeline import DepthPipeline
from training.student_files import onnx_from_network, weights_of

SIZE = (64, 96)


@pytest.fixture(scope='module')
def random_depth_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`rep_unet_depth_s` as it is before training, but for a depth of about 10 m."""
    torch.manual_seed(5)
    network = RepUNet(RepUNetConfig.preset('rep_unet_depth_s')).folded()
    with torch.no_grad():
        network.head.weight.mul_(20.0)
        network.head.bias.copy_(torch.tensor([2.3, -3.0]))
    spec = StudentSpec(
        name='random_depth',
        architecture=network.config.architecture(),
        classes=(),
        input=InputSpec(*SIZE, 3, 'rgb'),
        task='depth',
        depth=DepthSpec(80.0, 0.1, 80.0),
    )
    folder = tmp_path_factory.mktemp('students') / 'random_depth'
    graph = onnx_from_network(network, SIZE, channels=3, output_name='log_depth_and_sigma')
    save_student(folder, spec, onnx=graph, weights=weights_of(network), model_card='# random\n')
    return folder


def depth_on(folder: Path, backend: str, **options: Any) -> np.ndarray:
    student = load_student(folder)
    made = create_backend(student, backend=backend, device='cpu', precision='fp32', **options)
    frame = Frame(color_ramp(size=(128, 192)), 'rgb8', 1)
    depth = DepthPipeline(student, made).step(frame, focal_px=160.0).depth_m
    made.close()
    assert depth is not None
    return depth


def test_backends_agree(random_depth_folder: Path) -> None:
    expected = depth_on(random_depth_folder, 'torch')
    assert np.isfinite(expected).all() and np.ptp(expected) > 0.1
    for backend in ('openvino', 'onnxruntime'):
        found = depth_on(random_depth_folder, backend)
        np.testing.assert_allclose(found, expected, rtol=2e-4)


def test_deterministic_backends_repeat_bit_for_bit(random_depth_folder: Path) -> None:
    once, again = (depth_on(random_depth_folder, 'openvino', deterministic=True) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_a_graph_of_another_number_of_maps_is_refused(
    random_depth_folder: Path, tmp_path: Path
) -> None:
    student = load_student(random_depth_folder)
    network = RepUNet(RepUNetConfig.preset('rep_unet_depth_s', out_channels=3)).folded()
    graph = onnx_from_network(network, SIZE, channels=3)
    save_student(tmp_path / 'b', student.spec, onnx=graph, weights=b'', model_card='#')
    with pytest.raises(BackendError, match='shape'):
        create_backend(load_student(tmp_path / 'b'), backend='onnxruntime')
