# SPDX-License-Identifier: Apache-2.0
"""The photometric error of Monodepth2 and its smoothness, pixel by pixel in NumPy."""

from __future__ import annotations

import numpy as np
import torch


def pictures(*shape, seed=0):
    """Noise of 0 to 1 with soft shapes in it, float64 [batch, channels, height, width]."""
    rng = np.random.default_rng(seed)
    height, width = shape[-2:]
    waves = np.sin(np.arange(height)[:, None] * rng.uniform(0.1, 1.0) + np.arange(width) * 0.3)
    image = 0.5 + 0.3 * waves + 0.2 * rng.uniform(-1.0, 1.0, shape)
    return torch.from_numpy(image.clip(0.0, 1.0))


def mirrored(index, size):
    """-1 is 1 and size is size - 2: the border itself is not repeated."""
    index = abs(index)
    return 2 * (size - 1) - index if index >= size else index


def ssim_error(x, y):
    """(1 - SSIM) / 2 of two images [height, width], by windows."""
    height, width = x.shape
    found = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            window = [
                (mirrored(row + down, height), mirrored(column + right, width))
                for down in (-1, 0, 1)
                for right in (-1, 0, 1)
            ]
            a = np.array([x[place] for place in window])
            b = np.array([y[place] for place in window])
            product = ((a - a.mean()) * (b - b.mean())).mean()
            likeness = (2 * a.mean() * b.mean() + 1e-4) * (2 * product + 9e-4)
            likeness /= (a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 9e-4)
            found[row, column] = min(max((1 - likeness) / 2, 0.0), 1.0)
    return found


def photometric_by_windows(image, warped, weight=0.85):
    """[batch, 1, height, width] of images [batch, channels, height, width]."""
    image, warped = np.asarray(image), np.asarray(warped)
    structure = [
        np.mean([ssim_error(*pair) for pair in zip(*both, strict=True)], axis=0)
        for both in zip(image, warped, strict=True)
    ]
    difference = np.abs(image - warped).mean(axis=1)
    return (weight * np.stack(structure) + (1 - weight) * difference)[:, None]


def smoothness_by_loops(inverse_depth, image):
    """The definition: neighbors one by one."""
    sums = {'x': [], 'y': []}
    for levels, colors in zip(np.asarray(inverse_depth)[:, 0], np.asarray(image), strict=True):
        level = levels / (levels.mean() + 1e-7)
        height, width = level.shape
        for y in range(height):
            for x in range(width):
                for name, (there_y, there_x) in {'x': (y, x + 1), 'y': (y + 1, x)}.items():
                    if there_y < height and there_x < width:
                        step = abs(level[y, x] - level[there_y, there_x])
                        edge = np.abs(colors[:, y, x] - colors[:, there_y, there_x]).mean()
                        sums[name].append(step * np.exp(-edge))
    return np.mean(sums['x']) + np.mean(sums['y'])


def smoothness_of_monodepth2(inverse_depth, image):
    """Its steps, array by array: means first over rows, then over columns; then forward steps."""
    levels, image = np.asarray(inverse_depth), np.asarray(image)
    levels = levels / (levels.mean(axis=2, keepdims=True).mean(axis=3, keepdims=True) + 1e-7)
    x = np.abs(levels[:, :, :, :-1] - levels[:, :, :, 1:])
    y = np.abs(levels[:, :, :-1, :] - levels[:, :, 1:, :])
    image_x = np.abs(image[:, :, :, :-1] - image[:, :, :, 1:]).mean(axis=1, keepdims=True)
    image_y = np.abs(image[:, :, :-1, :] - image[:, :, 1:, :]).mean(axis=1, keepdims=True)
    return (x * np.exp(-image_x)).mean() + (y * np.exp(-image_y)).mean()
