# SPDX-License-Identifier: Apache-2.0
"""How near the world's thermal frames are to real ones: a page with a table, and a picture.

Both are brought to the size of the real tiles and through the robot's gain control; then gray
levels, fine detail and what sets persons and cars apart are compared. The world was fitted to
these very figures, so that their agreement proves nothing; the page says so.

    python -m training.realism --frames 400 --table docs/world.md --sheet runs/realism.png
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.markdown import replace_section
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


def frame_statistics(gray: Array) -> dict[str, float]:
    """Numbers of one frame, float32 [height, width], 0 to 1."""
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


class Summary(NamedTuple):
    """Statistics of several frames, and of how many things they are."""

    table: dict[str, float]
    frames: int
    persons: int
    cars: int


def summary(pairs: Iterable[Pair]) -> Summary:
    """Means over frames; medians, and the 90th percentile of sizes, over things."""
    frames: list[dict[str, float]] = []
    persons: list[dict[str, float]] = []
    cars: list[dict[str, float]] = []
    for gray, label in pairs:
        frames.append(frame_statistics(gray))
        persons += thing_statistics(gray, label, PERSON)
        cars += thing_statistics(gray, label, CAR)
    table = {name: float(np.mean([f[name] for f in frames])) for name in frames[0]}
    for name, found in (('person', persons), ('car', cars)):
        for key in found[0] if found else ():
            table[f'{name}: {key}'] = float(np.median([thing[key] for thing in found]))
        if found:
            sizes = [thing['share of the frame'] for thing in found]
            table[f'{name}: share, 90th percentile'] = float(np.percentile(sizes, 90))
    return Summary(table, len(frames), len(persons), len(cars))


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


_PAGE = """\
## Beside real frames

Written by `python -m training.realism --frames {world.frames} --table docs/world.md`.

Gray levels, heat contrasts and sizes of the world were **fitted to the column of real figures**:
that the columns agree shows that the fitting was done, not that the world is like the street. The
scores of students on these tiles are no test either, for the same reason.

Behind the real figures stand {real.frames} frames, {real.persons} persons and {real.cars} cars;
behind those of the world {world.frames}, {world.persons} and {world.cars}. A person or a car is a
connected part of the labels that covers at least {smallest:.2%} of its frame. Gray is 0 to 1,
after the robot's gain control, of frames as a camera with a gain of its own shows them.

| statistic | real | world | world / real |
|---|---|---|---|
{rows}
"""


def markdown(real: Summary, world: Summary) -> str:
    """The page: what stands behind the figures, and a table with the ratio of each line."""
    rows = []
    for name, value in real.table.items():
        ours = world.table.get(name, float('nan'))
        ratio = ours / value if value else float('nan')
        rows.append(f'| {name} | {value:.4f} | {ours:.4f} | {ratio:.2f} |')
    return _PAGE.format(real=real, world=world, smallest=_SMALLEST, rows='\n'.join(rows))


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
    parser.add_argument('--frames', type=int, default=400)
    parser.add_argument('--table', type=Path, help='page in Markdown to write it into')
    parser.add_argument(
        '--sheet', type=Path, help='picture to write; it holds real frames: for your eyes only'
    )
    own = parser.parse_args()
    real = real_pairs()
    if not real:
        raise SystemExit('the real tiles are absent: set KD_PERCEPTION_REAL_DATA')
    world = list(world_pairs(WorldConfig(), own.frames, real[0][0].shape))
    text = markdown(summary(real), summary(world))
    print(text)
    if own.table:
        page = own.table.read_text(encoding='utf-8') if own.table.exists() else ''
        own.table.write_text(replace_section(page, 'realism', text), encoding='utf-8')
    if own.sheet:
        cv2.imwrite(str(own.sheet), sheet(real, world[:12]), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == '__main__':
    main()
