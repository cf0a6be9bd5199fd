# SPDX-License-Identifier: Apache-2.0
"""A depth student that can be predicted by hand, and what it says, in NumPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hand_made_network import blockwise_network

from kd_perception.bundle import load_student, save_student
from kd_perception.bundle_depth import DepthSpec, SecondStudent, SigmaCalibration
from kd_perception.bundle_schema import InputSpec, StudentSpec

FOCAL_PX = 100.0
SIGMA_SCALE = 1.5
CONFIDENCE_SCALE = 1.2
MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.25, 0.2, 0.5)

# By color, of 0 to 1: depth from 1 m (black) to 54.6 m (white); sigma from 2 % (no red) to 16 %.
LOG_DEPTH_WEIGHTS = np.array([1.0, 2.0, 1.0])
SECOND_LOG_DEPTH_WEIGHTS = np.array([1.4, 1.7, 1.0])
SECOND_FOCAL_PX, LEAST_SHARE, PAIR_SCALE = 110.0, 0.02, 2.5
LOG_SIGMA_WEIGHTS, LOG_SIGMA_BIAS = np.array([2.1, 0.0, 0.0]), float(np.log(0.02))


def depth_student_spec(name: str = 'tiny_depth', **depth: Any) -> StudentSpec:
    values: dict[str, Any] = {
        'focal_px': FOCAL_PX,
        'min_depth_m': 0.1,
        'max_depth_m': 50.0,
        'calibration': SigmaCalibration(SIGMA_SCALE, CONFIDENCE_SCALE, 'set by hand'),
    }
    return StudentSpec(
        name=name,
        architecture={'name': 'none'},
        classes=(),
        input=InputSpec(96, 128, 3, 'rgb', MEAN, DEVIATION),
        task='depth',
        depth=DepthSpec(**(values | depth)),
        provenance={'recipe': 'test', 'trained_on': 'nothing: weights are set by hand'},
    )


def save_depth_student(
    folder: Path, weights: np.ndarray = LOG_DEPTH_WEIGHTS, **depth: Any
) -> Path:
    """Save the student; its two maps are linear in the mean color of each 4x4 block."""
    spec = depth_student_spec(folder.name, **depth)
    graph = _linear_network(spec, weights)
    save_student(folder, spec, onnx=graph, weights=b'no torch form', model_card='# depth\n')
    return folder


def save_depth_pair(folder: Path, **depth: Any) -> Path:
    """Save the student with a second one, which tells other depth for another focal length."""
    other = folder.with_name(f'{folder.name}_other')
    focal = {'focal_px': SECOND_FOCAL_PX}
    second = load_student(save_depth_student(other, SECOND_LOG_DEPTH_WEIGHTS, **focal))
    values: dict[str, Any] = {
        'uncertainty_method': 'mutual',
        'calibration': SigmaCalibration(PAIR_SCALE, CONFIDENCE_SCALE, 'set by hand'),
        'second': SecondStudent(second.sha256, LEAST_SHARE),
    }
    spec = depth_student_spec(folder.name, **(values | depth))
    graph = _linear_network(spec, LOG_DEPTH_WEIGHTS)
    files = {'onnx': graph, 'weights': b'no torch form', 'model_card': '# pair'}
    save_student(folder, spec, **files, second=second)
    return folder


def save_thermal_depth_student(folder: Path) -> Path:
    """Save a student of thermal images: of the gray, log depth is 4, log (sigma / 0.02) 2.1."""
    spec = replace(depth_student_spec(folder.name), input=InputSpec(96, 128))
    graph = _linear_network(spec, LOG_DEPTH_WEIGHTS)
    save_student(folder, spec, onnx=graph, weights=b'no torch form', model_card='# depth\n')
    return folder


def _linear_network(spec: StudentSpec, log_depth_weights: np.ndarray) -> bytes:
    rows = np.stack([log_depth_weights, LOG_SIGMA_WEIGHTS])
    channels = spec.input.channels
    if channels == 1:
        rows = rows.sum(axis=1, keepdims=True)
    deviation = np.array(spec.input.standard_deviation or [1.0] * channels)
    mean = np.array(spec.input.mean or [0.0] * channels)
    weight = np.repeat(rows * deviation / 16.0, 16, axis=1).reshape(2, channels, 4, 4)
    bias = rows @ mean + np.array([0.0, LOG_SIGMA_BIAS])
    return blockwise_network(spec, weight, bias)


def color_ramp(seed: int = 0, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """An RGB scene, brighter to the right and redder below, with noise of the seed."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    x, y = columns / max(size[1] - 1, 1), rows / max(size[0] - 1, 1)
    noise = np.random.default_rng(seed).integers(0, 6, (*size, 3))
    image = np.stack([60 * x + 180 * y, 230 * x, 200 * x + 20 * y], axis=2) + noise
    return image.astype(np.uint8)


def expected_depth(rgb: np.ndarray, focal_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth [m], scale of its distribution as a share, and confidence 0 to 1, in float64.

    Only for images of the network's aspect: OpenCV's bilinear resizing is the independent form.
    """
    height, width = rgb.shape[:2]
    method = cv2.INTER_AREA if height > 96 else cv2.INTER_LINEAR
    small = rgb if height == 96 else cv2.resize(rgb, (128, 96), interpolation=method)
    blocks = small.reshape(24, 4, 32, 4, 3).mean((1, 3)) / 255.0
    maps = [blocks @ LOG_DEPTH_WEIGHTS, blocks @ LOG_SIGMA_WEIGHTS + LOG_SIGMA_BIAS]
    log_depth, log_sigma = (
        cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR) for m in maps
    )
    depth = np.exp(log_depth) * (focal_px * 128 / width) / FOCAL_PX
    share = np.exp(log_sigma)
    sure = 1.0 - np.exp(-0.1 / (CONFIDENCE_SCALE * share))
    return depth, SIGMA_SCALE * share, sure


def expected_disagreement(rgb: np.ndarray, least_share: float = LEAST_SHARE) -> np.ndarray:
    """Half of what the logarithms of both depths differ by, at least the least, in float64."""
    height, width = rgb.shape[:2]
    small = rgb if height == 96 else cv2.resize(rgb, (128, 96), interpolation=cv2.INTER_LINEAR)
    blocks = small.reshape(24, 4, 32, 4, 3).mean((1, 3)) / 255.0
    second = blocks @ SECOND_LOG_DEPTH_WEIGHTS + np.log(FOCAL_PX / SECOND_FOCAL_PX)
    share = np.maximum(np.abs(second - blocks @ LOG_DEPTH_WEIGHTS) / 2.0, least_share)
    return np.exp(cv2.resize(np.log(share), (width, height), interpolation=cv2.INTER_LINEAR))
