# SPDX-License-Identifier: Apache-2.0
"""The picture of docs/world.md: rendered frames of every preset, in color, in heat and as labels.

python -m training.contact_sheet --file docs/images/world_contact_sheet.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from kd_perception.world import CLASS_COLORS, PRESETS, WorldFrame, preset, render_frame

Array = npt.NDArray[Any]

TILE = (256, 192)
COLUMNS = 2


def tile(frame: WorldFrame) -> Array:
    """One frame: color, heat as the robot normalizes it, and labels in lightened colors."""
    gray = normalize(frame.thermal, *agc_limits(frame.thermal, AgcConfig()))
    thermal = cv2.cvtColor((gray * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    colors = np.minimum(np.array(CLASS_COLORS) * 1.6, 255).astype(np.uint8)[frame.label]
    parts = [(frame.rgb[..., ::-1], cv2.INTER_AREA), (thermal, cv2.INTER_AREA)]
    parts.append((colors[..., ::-1], cv2.INTER_NEAREST))
    return np.hstack([cv2.resize(image, TILE, interpolation=how) for image, how in parts])


def row(name: str, seed: int) -> Array:
    """Frames of one preset side by side, with its name."""
    world = preset(name)
    # The weather of a preset has a stream of its own and moves no house: with the same frames,
    # rows of the same kind of street would look alike. Each shows frames of its own.
    first = COLUMNS * PRESETS.index(name)
    frames = [render_frame(world, seed, first + k, ('thermal', 'rgb')) for k in range(COLUMNS)]
    image = np.hstack([tile(frame) for frame in frames])
    for color, width in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(image, name, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.7, color, width, cv2.LINE_AA)
    return image


def main() -> None:
    """Render and write the sheet."""
    parser = argparse.ArgumentParser(description='Render frames of every preset side by side.')
    parser.add_argument('--file', type=Path, required=True)
    parser.add_argument('--seed', type=int, default=1000)
    own = parser.parse_args()
    own.file.parent.mkdir(parents=True, exist_ok=True)
    sheet = np.vstack([row(name, own.seed) for name in PRESETS])
    cv2.imwrite(str(own.file), sheet, [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == '__main__':
    main()
