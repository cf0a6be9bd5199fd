# SPDX-License-Identifier: Apache-2.0
"""Loss against the shift of a perfect boundary map: cross-entropy beside InverseForm.

    python -m training.inverse_form_shifts --file docs/images/inverse_form_shifts.svg \
        --config_path training/configs/inverse_form/shifts.yaml

Boundary maps of held-out frames are shifted by whole pixels and compared with themselves. Writes
a record with both losses, and a figure in which each is divided by its largest value. An inverse
network that stage 2 would refuse is refused here, too. The record is that of the run `shifts`;
with the settings of another run it is `<name>_shifts`, beside its own. The figure gets the seed
into its name, `inverse_form_shifts_seed0.svg`: each seed has one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from kd_perception.errors import ConfigError
from kd_perception.evaluation.report_charts import Axes, Line, line_chart
from kd_perception.files import write_atomically
from training.distributed import launch
from training.inverse_networks import InverseNetwork
from training.losses import balanced_edge_loss, inverse_form_loss
from training.recipes.inverse_form import check_inverse, class_weight
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_modules import distance_of
from training.recipes.inverse_form_pretraining import trained_inverse
from training.recipes.inverse_form_tiles import boundary_map, stage_frames, tile_corners
from training.records import versions, write_record
from training.settings import load_config, plain

SHIFTS_PX = (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16)
CERTAINTY = 0.98
"""Probability of a boundary on a predicted one, and 1 minus it elsewhere."""

RECORD = 'shifts'
_FRAME = 2**20
_CURVES = (
    ('cross_entropy', 'balanced cross-entropy', '#8a8f98'),
    ('inverse_form', 'InverseForm', '#2563a8'),
)
_STYLE = (
    '<style>text{font:11px sans-serif;fill:#333}.grid{stroke:#ddd}.axis{stroke:#333}'
    '.end{text-anchor:end}.middle,.name{text-anchor:middle}</style>'
    '<rect width="100%" height="100%" fill="white"/>'
)


def shifted_pairs(config: InverseFormConfig, shift_px: int, count: int) -> tuple[Tensor, Tensor]:
    """Tiles of boundaries, shifted to a random side and not; float32 [tiles, 1, tile, tile].

    Args:
        config: of the run; tiles are those of held-out frames.
        shift_px: pixels, >= 0; what comes in is taken from beyond the tile.
        count: tiles; frames that show too little boundary for one are passed over.

    Raises:
        ConfigError: no frame shows enough boundary.
    """
    frames, chosen = stage_frames(config, held_out=True)
    own, pairs = config.inverse, []
    tile = own.network.tile
    for number in range(count):
        rng = np.random.default_rng([_FRAME, number])
        label = np.asarray(frames[chosen[number % len(chosen)]].label)
        height, width = config.image_size
        label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        edges = boundary_map(label, config.boundary_radius_px, own.tiling_size, tile)
        corners = tile_corners(edges, tile, own.min_edge_pixels)
        if not len(corners):
            continue
        row, column = corners[int(rng.integers(len(corners)))]
        angle = rng.uniform(0.0, 2.0 * np.pi)
        offset = np.rint(shift_px * np.array([np.sin(angle), np.cos(angle)]))
        move = np.array([[1.0, 0.0, offset[1] - column], [0.0, 1.0, offset[0] - row]])
        moved = cv2.warpAffine(edges, move, (tile, tile), flags=cv2.INTER_NEAREST)
        pairs.append((moved, edges[row : row + tile, column : column + tile]))
    if not pairs:
        raise ConfigError(
            f'some held-out frame must have a tile with at least {own.min_edge_pixels} pixels of '
            'boundary, got none: lower inverse.min_edge_pixels'
        )
    moved_tiles, true = (
        torch.from_numpy(np.stack(part))[:, None] for part in zip(*pairs, strict=True)
    )
    return moved_tiles, true


@torch.no_grad()
def losses_at(
    network: InverseNetwork, config: InverseFormConfig, shift_px: int, count: int
) -> dict[str, float]:
    """Mean losses of shifted boundaries, `cross_entropy` and `inverse_form`, and their `tiles`.

    Args:
        network: frozen, on the CPU.
        config: of its run.
        shift_px: pixels, >= 0.
        count: tiles.
    """
    moved, true = shifted_pairs(config, shift_px, count)
    low = 1.0 - CERTAINTY
    logits = torch.logit(low + (CERTAINTY - low) * moved.clamp(0.0, 1.0))
    target = (true > 0.5)[:, 0].to(torch.uint8)
    inverse = inverse_form_loss(
        logits,
        target,
        network,
        tile=config.inverse.network.tile,
        distance=distance_of(config.student.distance, config.inverse.ranges),
    )
    plain_loss = balanced_edge_loss(logits, target, per_image=False)
    return {
        'tiles': len(true),
        'cross_entropy': float(plain_loss),
        'inverse_form': float(inverse),
    }


def measure(
    network: InverseNetwork, config: InverseFormConfig, shifts_px: Sequence[int], count: int
) -> dict[str, Any]:
    """Both losses by shift: `shift_px`, `tiles`, and a list of values for each loss."""
    found = [losses_at(network, config, shift, count) for shift in shifts_px]
    values = {name: [round(each[name], 5) for each in found] for name, *_ in _CURVES}
    return {'shift_px': list(shifts_px), 'tiles': found[0]['tiles'], **values}


def drawn(curves: dict[str, Any]) -> str:
    """Both losses against the shift, each as a share of its largest value: a picture as SVG."""
    end = float(curves['shift_px'][-1])
    name = 'loss, as a share of its largest'
    axes = Axes('shift of the boundary [px]', name, end, 1.0, x_percent=False)
    lines = []
    for part, title, color in _CURVES:
        values = curves[part]
        shares = [value / max(values) for value in values]
        lines.append(Line(title, list(zip(curves['shift_px'], shares, strict=True)), color))
    chart = str(line_chart(axes, lines))
    return chart.replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(
        '>', f'>{_STYLE}', 1
    )


def record_name(config: InverseFormConfig) -> str:
    """Of the record of these losses: that of the run itself, which may hold a student, stays."""
    return config.name if config.name == RECORD else f'{config.name}_{RECORD}'


def figure_path(file: Path, seed: int) -> Path:
    """The figure of a seed, beside those of the others."""
    return file.with_name(f'{file.stem}_seed{seed}{file.suffix}')


def main(arguments: list[str] | None = None) -> None:
    """Measure one seed, write its record and the figure; trains the network if it is not there."""
    parser = argparse.ArgumentParser(description='Measure losses against shifts of boundaries.')
    parser.add_argument(
        '--file', type=Path, required=True,
        help='figure to write, SVG; _seed and the number are added to its name',
    )  # fmt: skip
    parser.add_argument('--tiles', type=int, default=400)
    own, rest = parser.parse_known_args(arguments)
    config = load_config(InverseFormConfig, rest)
    fabric = launch(config.launch)
    module = trained_inverse(config, fabric, class_weight(config))
    check_inverse(module, config, fabric)
    if not fabric.is_global_zero:
        return
    curves = measure(module.network.cpu(), config, SHIFTS_PX, own.tiles)
    figure = figure_path(own.file, config.seed)
    figure.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(figure, lambda file: file.write(drawn(curves).encode()))
    name = record_name(config)
    record = {
        'recipe': 'inverse_form',
        'name': name,
        'seed': config.seed,
        'trained_on': 'synthetic' if config.rendered else 'real',
        'metrics': {'inverse': module.report, 'shifts': curves},
        'versions': versions(),
        'config': plain(config),
    }
    path = config.results / f'{name}_seed{config.seed}.json'
    write_record(path, record)
    print(figure, path, sep='\n')


if __name__ == '__main__':
    main()
