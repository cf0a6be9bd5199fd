# SPDX-License-Identifier: Apache-2.0
"""How near the world's thermal frames are to real ones: a table of statistics, and a picture.

Both are brought to the size of the real tiles and through the robot's gain control; then gray
levels, fine detail and what sets persons and cars apart are compared.

    python -m training.realism --frames 200 --table docs/realism.md --sheet docs/images/realism.jpg
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from kd_perception.world import WorldConfig, WorldFrame, render_frame, split_seed
from kd_perception.world.classes import CAR, PERSON
from training.data.real_tiles import load_real_tiles

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]

_SMALLEST = 0.0004
"""Things that cover less of the frame tell little; they are left out on both sides."""
_RING_PX = 7
_DISPLAY_LOW, _DISPLAY_HIGH = 1.0, 99.95
_DISPLAY_MARGIN = 100.0


def gray_image(thermal: Array) -> Array:
    """An 8-bit frame as the network sees it, float32 0 to 1."""
    return normalize(thermal, *agc_limits(thermal, AgcConfig()))


def display_image(frame: WorldFrame, size: tuple[int, int]) -> Array:
    """What a camera whose gain leaves the sky aside makes of a frame, uint8 at `size`.

    The real tiles come from such a camera: their sky is black, and the scene has the gray levels.
    """
    thermal = cv2.resize(frame.thermal, size[::-1], interpolation=cv2.INTER_AREA)
    sky = cv2.resize(frame.sky.astype(np.uint8), size[::-1], interpolation=cv2.INTER_AREA) > 0
    scene = thermal[~sky] if (~sky).any() else thermal.ravel()
    low, high = np.percentile(scene, (_DISPLAY_LOW, _DISPLAY_HIGH))
    gray = normalize(thermal, float(low - _DISPLAY_MARGIN), float(high + _DISPLAY_MARGIN))
    return np.round(255 * gray).astype(np.uint8)


def frame_statistics(gray: Array, label: Array) -> dict[str, float]:
    """Numbers of one frame.

    Args:
        gray: float32 [height, width], 0 to 1.
        label: class ids, uint8, same shape; 255 is ignored.
    """
    height, width = gray.shape
    smooth = cv2.GaussianBlur(gray, (0, 0), 1.0)
    middle = gray[int(0.35 * height) : int(0.55 * height)]
    road = gray[int(0.8 * height) :, int(0.3 * width) : int(0.7 * width)]
    return {
        'median gray': float(np.median(gray)),
        'spread of gray': float(gray.std()),
        'detail finer than 2 px': float((gray - smooth).std() / max(gray.std(), 1e-6)),
        'road minus middle': float(np.median(road) - np.median(middle)),
        'upper third': float(np.median(gray[: height // 3])),
    }


def thing_statistics(gray: Array, label: Array, class_id: int) -> list[dict[str, float]]:
    """Contrast to the surroundings, inner spread and share of the frame of every thing."""
    mask = (label == class_id).astype(np.uint8)
    count, parts = cv2.connectedComponents(mask)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RING_PX + 1,) * 2)
    things = []
    for k in range(1, count):
        inside = parts == k
        share = float(inside.mean())
        if share < _SMALLEST:
            continue
        ring = cv2.dilate(inside.astype(np.uint8), kernel).astype(bool) & (label == 0)
        if not ring.any():
            continue
        things.append(
            {
                'contrast': float(gray[inside].mean() - np.median(gray[ring])),
                'inner spread': float(gray[inside].std()),
                'share of the frame': share,
            }
        )
    return things


def summary(pairs: Iterable[Pair]) -> dict[str, float]:
    """Means over frames; medians, and the 90th percentile of sizes, over things."""
    frames, things = [], {'person': [], 'car': []}
    for gray, label in pairs:
        frames.append(frame_statistics(gray, label))
        for name, class_id in (('person', PERSON), ('car', CAR)):
            things[name] += thing_statistics(gray, label, class_id)
    table = {name: float(np.mean([f[name] for f in frames])) for name in frames[0]}
    for name, found in things.items():
        for key in found[0] if found else ():
            table[f'{name}: {key}'] = float(np.median([thing[key] for thing in found]))
        if found:
            sizes = [thing['share of the frame'] for thing in found]
            table[f'{name}: share, 90th percentile'] = float(np.percentile(sizes, 90))
    return table


def real_pairs() -> list[Pair]:
    """The labeled real tiles."""
    return [(gray_image(tile.thermal), tile.label) for tile in load_real_tiles()]


def world_pairs(config: WorldConfig, count: int, size: tuple[int, int]) -> Iterable[Pair]:
    """Frames of the validation split."""
    seed = split_seed('val', 7)
    for index in tqdm(range(count), 'world', unit='frame'):
        frame = render_frame(config, seed, index, ('thermal',))
        label = cv2.resize(frame.label, size[::-1], interpolation=cv2.INTER_NEAREST)
        yield gray_image(display_image(frame, size)), label


def markdown(real: dict[str, float], world: dict[str, float]) -> str:
    """The table, with the ratio of each line."""
    lines = ['| statistic | real | world | world / real |', '|---|---|---|---|']
    for name, value in real.items():
        ours = world.get(name, float('nan'))
        lines.append(f'| {name} | {value:.3f} | {ours:.3f} | {ours / value:.2f} |')
    return '\n'.join(lines) + '\n'


def sheet(real: Sequence[Pair], world: Sequence[Pair], columns: int = 4) -> Array:
    """Real frames in the first row, the world's below."""
    grays = [gray for gray, _ in [*real[:columns], *world]]
    size = (372, 280)
    tiles = [cv2.resize((255 * gray).astype(np.uint8), size) for gray in grays]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)]
    rows.insert(1, np.full((6, rows[0].shape[1]), 255, np.uint8))
    return np.vstack(rows)


def main() -> None:
    """Compare, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description='Compare the world with real thermal frames.')
    parser.add_argument('--frames', type=int, default=200)
    parser.add_argument('--table', type=Path)
    parser.add_argument('--sheet', type=Path)
    own = parser.parse_args()
    real = real_pairs()
    if not real:
        raise SystemExit('the real tiles are absent: set KD_PERCEPTION_REAL_DATA')
    world = list(world_pairs(WorldConfig(), own.frames, real[0][0].shape))
    text = markdown(summary(real), summary(world))
    print(text)
    if own.table:
        own.table.write_text(text, encoding='utf-8')
    if own.sheet:
        cv2.imwrite(str(own.sheet), sheet(real, world[:12]), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == '__main__':
    main()
