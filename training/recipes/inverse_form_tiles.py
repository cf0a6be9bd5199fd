# SPDX-License-Identifier: Apache-2.0
"""The tiles of stage 1: true boundaries, the same warped and worn, and the transform between.

A view of a label is drawn as stage 2 draws it, its boundaries are scaled as the loss scales them,
and tiles are cut wherever there is enough boundary. A warped tile is looked up in the whole map,
so that boundaries come in from beyond the true tile, as they do where a prediction is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from kd_perception.errors import ConfigError
from training.data.augmentation import Sample, augment_sample
from training.data.modality import LabeledFrame
from training.losses import boundary_target, tiling_size
from training.plane_transforms import matrices_from_parameters, pixel_matrices
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_data import labeled_count, split_frames
from training.recipes.inverse_form_settings import InverseConfig

Array = npt.NDArray[Any]
Rng = np.random.Generator

_LINEAR = cv2.INTER_LINEAR
_FAINTEST_BLUR_PX = 0.3
_VIEWS = 10
"""How often another view is drawn of a frame that shows too little boundary."""


class TransformSampler:
    """Draws parameters as shares of their ranges.

    Args:
        count: of parameters.
        table: float [transforms, count], that are drawn from; None for all within the ranges.
        jitter: deviation that is added to those of the table.
    """

    def __init__(self, count: int, table: Array | None = None, jitter: float = 0.0) -> None:
        self._count, self._table, self._jitter = count, table, jitter

    def draw(self, rng: Rng) -> Array:
        """Parameters float32 [count], -1 to 1."""
        if self._table is None:
            return rng.uniform(-1.0, 1.0, self._count).astype(np.float32)
        row = self._table[int(rng.integers(len(self._table)))]
        worn = row + self._jitter * rng.normal(size=self._count)
        return np.asarray(worn.clip(-1.0, 1.0), np.float32)


def boundary_map(label: Array, radius: float, size: tuple[int, int] | None, tile: int) -> Array:
    """Boundaries of a label at the size of the tiling, float32 [height, width], 0 to 1."""
    known = torch.from_numpy(np.array(label))  # a copy: torch warns of arrays that are read only
    edges = boundary_target(known[None], radius=radius)
    found = (edges[0].numpy() == 1).astype(np.float32)
    height, width = tiling_size((label.shape[0], label.shape[1]), tile) if size is None else size
    scaled: Array = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
    return scaled


def tile_corners(edges: Array, tile: int, least: float) -> Array:
    """Corners (row, column) of the tiles with enough boundary, int64 [tiles, 2].

    Args:
        edges: float32 [height, width].
        tile: side in pixels.
        least: sum of a tile.
    """
    sums = cv2.integral(edges)
    inside = sums[tile:, tile:] - sums[:-tile, tile:] - sums[tile:, :-tile] + sums[:-tile, :-tile]
    return np.argwhere(inside >= least)


def warped_tiles(edges: Array, corners: Array, matrices: Array, tile: int) -> Array:
    """Tiles of boundaries after transforms of the whole map about the center of each tile.

    Args:
        edges: float32 [height, width].
        corners: (row, column) of the tiles, [tiles, 2].
        matrices: [tiles, 3, 3], in units of a tile.
        tile: side in pixels.

    Returns:
        float32 [tiles, tile, tile]; bilinear, 0 beyond the map.
    """
    from_map = np.tile(np.eye(3), (len(corners), 1, 1))
    from_map[:, :2, 2] = -corners[:, ::-1]
    whole = pixel_matrices(matrices, tile) @ from_map
    size = (tile, tile)
    return np.stack([cv2.warpPerspective(edges, each, size, flags=_LINEAR) for each in whole])


def worn(tiles: Array, rng: Rng, config: InverseConfig) -> Array:
    """Tiles that look more like predictions: blurred, with holes; float32 [tiles, tile, tile]."""
    sigmas_px = rng.uniform(0.0, config.blur_sigma_px, len(tiles))
    blurred = [
        cv2.GaussianBlur(tile, (0, 0), sigma_px) if sigma_px > _FAINTEST_BLUR_PX else tile
        for tile, sigma_px in zip(tiles, sigmas_px, strict=True)
    ]
    share = rng.uniform(0.0, config.dropout, (len(tiles), 1, 1))
    kept = rng.random(tiles.shape, dtype=np.float32) >= share
    return np.asarray(np.stack(blurred) * kept, np.float32)


def draw_tiles(
    label: Array, rng: Rng, config: InverseFormConfig, sampler: TransformSampler, count: int
) -> tuple[Array, Array]:
    """Tiles of a frame.

    Args:
        label: class ids [height, width], 255 where not known.
        rng: consumed.
        config: of the run.
        sampler: of the transforms.
        count: tiles.

    Returns:
        float32 [count, 2, tile, tile], warped and true, and parameters float32 [count, ...].
    """
    own, tile = config.inverse, config.inverse.network.tile
    for _ in range(_VIEWS):
        view = augment_sample(Sample(label=label), rng, config.augmentation.view)
        edges = boundary_map(
            np.asarray(view.label), config.boundary_radius_px, own.tiling_size, tile
        )
        corners = tile_corners(edges, tile, own.min_edge_pixels)
        if len(corners):
            break
    else:
        corners = np.zeros((1, 2), np.int64)
    parameters = np.stack([sampler.draw(rng) for _ in range(count)])
    matrices = matrices_from_parameters(torch.from_numpy(parameters).double(), own.ranges).numpy()
    chosen = corners[rng.integers(len(corners), size=count)]
    warped = worn(warped_tiles(edges, chosen, matrices, tile), rng, own)
    true = np.stack([edges[y : y + tile, x : x + tile] for y, x in chosen])
    return np.stack([warped, true], axis=1), parameters


def stage_frames(
    config: InverseFormConfig, *, held_out: bool
) -> tuple[Sequence[LabeledFrame], range]:
    """Training frames and which of those with labels stage 1 learns from, or is tested on.

    Raises:
        ConfigError: none would be left to learn from.
    """
    frames = split_frames(config, 'train')
    count = labeled_count(config, frames)
    learnt = count - max(1, round(config.inverse.held_out * count))
    if learnt < 1:
        raise ConfigError(
            'frames with labels must be enough to learn from some and hold out others, got '
            f'{count} with held_out {config.inverse.held_out}'
        )
    return frames, range(learnt, count) if held_out else range(learnt)


class TileDrawing:
    """The samples of stage 1, by step and index; to another process go its settings alone.

    Args:
        config: of the run.
        sampler: of the transforms.
    """

    def __init__(self, config: InverseFormConfig, sampler: TransformSampler) -> None:
        self._config, self._sampler = config, sampler
        self._source: tuple[Sequence[LabeledFrame], range] | None = None

    def __getstate__(self) -> tuple[InverseFormConfig, TransformSampler]:
        return self._config, self._sampler

    def __setstate__(self, state: tuple[InverseFormConfig, TransformSampler]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __call__(self, step: int, index: int) -> tuple[Array, Array]:
        """Tiles of one frame, see `draw_tiles`: a pure function of seed, step and index."""
        if self._source is None:
            self._source = stage_frames(self._config, held_out=False)
        frames, chosen = self._source
        config = self._config
        rng = np.random.default_rng([config.seed, 1, step, index])
        label = np.asarray(frames[chosen[int(rng.integers(len(chosen)))]].label)
        return draw_tiles(label, rng, config, self._sampler, config.inverse.tiles_per_frame)


def held_out_tiles(
    config: InverseFormConfig, sampler: TransformSampler
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tiles of frames that stage 1 does not learn from, the same ones for every seed of a run.

    Returns:
        float32 [tiles, 2, tile, tile] and parameters float32 [tiles, ...].
    """
    frames, chosen = stage_frames(config, held_out=True)
    own, drawn = config.inverse, []
    each = -(-own.held_out_tiles // len(chosen))
    for number in chosen[: own.held_out_tiles]:
        rng = np.random.default_rng([2**20, number])
        drawn.append(draw_tiles(np.asarray(frames[number].label), rng, config, sampler, each))
    tiles, parameters = (
        torch.from_numpy(np.concatenate(part)) for part in zip(*drawn, strict=True)
    )
    return tiles[: own.held_out_tiles], parameters[: own.held_out_tiles]
