# SPDX-License-Identifier: Apache-2.0
"""A camera, planes and smooth pictures, for the tests of view synthesis."""

from __future__ import annotations

import numpy as np
import torch

MATRIX = torch.tensor([[[40.0, 0.0, 23.5], [0.0, 42.0, 15.5], [0.0, 0.0, 1.0]]])
SIZE = (32, 48)


def plane(depth_m, size=SIZE):
    return torch.full((1, 1, *size), depth_m)


def smooth_image(size=SIZE, channels=3, seed=0, dtype=torch.float32):
    noise = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, channels, 6, 8)))
    image = torch.nn.functional.interpolate(noise, size, mode='bicubic', align_corners=True)
    return image.to(dtype)
