# SPDX-License-Identifier: Apache-2.0
"""The picture of docs/world.md: rendered frames beside their labels.

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
from kd_perception.world import CLASS_COLORS, WorldConfig, WorldFrame, render_frame

Array = npt.NDArray[Any]

TILE = (320, 240)
COLUMNS = 3


def tile(frame: WorldFrame) -> Array:
    """One frame as the robot normalizes it, and its label; the colors are lightened to show."""
    gray = normalize(frame.thermal, *agc_limits(frame.thermal, AgcConfig()))
    thermal = cv2.cvtColor((gray * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    colors = np.minimum(np.array(CLASS_COLORS) * 1.6, 255).astype(np.uint8)[frame.label][..., ::-1]
    return np.hstack(
        [
            cv2.resize(thermal, TILE, interpolation=cv2.INTER_AREA),
            cv2.resize(colors, TILE, interpolation=cv2.INTER_NEAREST),
        ]
    )


def main() -> None:
    """Render and write the sheet."""
    parser = argparse.ArgumentParser(description='Render frames of the world side by side.')
    parser.add_argument('--file', type=Path, required=True)
    parser.add_argument('--seed', type=int, default=1000)
    parser.add_argument('--first', type=int, default=40)
    parser.add_argument('--rows', type=int, default=6)
    own = parser.parse_args()
    indices = range(own.first, own.first + COLUMNS * own.rows)
    tiles = [tile(render_frame(WorldConfig(), own.seed, index)) for index in indices]
    rows = [np.hstack(tiles[k : k + COLUMNS]) for k in range(0, len(tiles), COLUMNS)]
    own.file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(own.file), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == '__main__':
    main()
