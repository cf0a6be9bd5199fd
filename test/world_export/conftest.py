# SPDX-License-Identifier: Apache-2.0
"""A frame made by hand: every pixel of it can be predicted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kd_perception.world.frame import WorldFrame

HEIGHT, WIDTH = 48, 64
BOX = 8


def make_frame(time_s: float = 0.0) -> WorldFrame:
    """Sky above, ground below, and a box of each class in a row at 5, 6 ... 12 m.

    Two persons stand side by side without a gap. The lidar hits every eighth pixel of what is
    known, and the camera flies along a bend.
    """
    rng = np.random.default_rng(round(time_s * 1000) + 1)
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    instance = np.zeros((HEIGHT, WIDTH), np.int32)
    depth_m = np.full((HEIGHT, WIDTH), 80.0, np.float32)
    sky = np.zeros((HEIGHT, WIDTH), bool)
    sky[:12], depth_m[:12] = True, 0.0
    depth_m[30:] = np.linspace(60.0, 3.0, HEIGHT - 30, dtype=np.float32)[:, None]
    for class_id in range(1, 9):
        box = np.s_[20 : 20 + BOX, BOX * (class_id - 1) : BOX * class_id]
        label[box], instance[box], depth_m[box] = class_id, 100_000_000 + class_id, 4 + class_id
    instance[20:28, 12:16] += 1000  # the right half of the second box is another person
    color = rng.integers(0, 256, (3, HEIGHT, WIDTH, 3)).astype(np.uint8)
    known = (depth_m > 0) & (depth_m < 80)
    hit = known & (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 8 == 3)
    angle = 0.3 * time_s
    pose = np.eye(4)
    pose[:3, :3] = _turn_right(angle) @ _tilt(0.05)
    pose[:3, 3] = 20 * (1 - np.cos(angle)), -1.5, 20 * np.sin(angle)
    focal_px = 60.0
    return WorldFrame(
        label=label,
        instance=instance,
        depth_m=depth_m,
        sky=sky,
        glass=label == 1,
        saliency=np.where(label > 0, 200, 10).astype(np.uint8),
        tags=np.array([True, True, False, True, True, True, True, True]),
        camera_matrix=np.array([[focal_px, 0, 31.5], [0, focal_px, 23.5], [0, 0, 1]]),
        camera_pose=pose,
        previous_from_camera=np.eye(4),
        next_from_camera=np.eye(4),
        baseline_m=0.5,
        time_s=time_s,
        thermal=(29_000 + 10 * np.arange(WIDTH) + rng.normal(0, 3, (HEIGHT, WIDTH))).astype(
            np.uint16
        ),
        rgb=color[0],
        right=color[1],
        previous=None,
        next=color[2],
        lidar_m=np.where(hit, depth_m, np.float32(0)),
    )


def _turn_right(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _tilt(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


@pytest.fixture
def frame() -> WorldFrame:
    """The frame at the start."""
    return make_frame()


@pytest.fixture
def frame_at() -> Callable[..., WorldFrame]:
    """Makes the frame of a time."""
    return make_frame
