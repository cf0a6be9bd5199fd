# SPDX-License-Identifier: Apache-2.0
"""A robot's own recording as training data, without any label: pairs of thermal and color images.

Both topics of a rosbag2 recording (mcap or sqlite3) are images or compressed images, as the robot
reads them (`kd_perception.encodings`: thermal of 8 or 16 bits, color rgb, bgr, rgba or bgra, PNG
and JPEG, Bayer patterns and YUV; no temperatures in 32FC1). Images are paired by header stamps,
the nearest with the nearest, each once.

**The cameras must show the same view.** They are registered once, by the driver, by mounting them
behind one beam splitter, or by `rgb_to_thermal`, a homography that holds for far scenes or for one
distance. Both are then resized plainly to `image_size`, each side by its own factor.

Images are stored in a folder of the cache that is named by a hash of the bag's content, of these
settings and of the code that makes the images. An extraction that was interrupted goes on with the
chunk of 50 pairs that it was at. Any number of processes may ask for the same folder, but not
threads of one process: one of them fills it, the others wait.

    python -m training.data.bag drive_2024 --max-gap-ms 15 --stride 3
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.bags import BagReader
from kd_perception.errors import ConfigError
from training.data.bag_chunks import CHUNK_PAIRS, KINDS, array_path
from training.data.bag_digest import bag_digest
from training.data.bag_extraction import extract, write_index
from training.data.bag_report import BagReport
from training.data.bag_views import check_homography
from training.data.folders import Frames
from training.data.locks import locked
from training.data.source_digest import source_digest

Array = npt.NDArray[Any]

_INDEX, _LOCK = 'pairs.json', 'lock'
_FORMAT = 1
_MAX_SIDE_PX = 8192

_SOURCES = tuple(
    source_digest(name)
    for name in (
        'kd_perception.encodings', 'training.data.bag_pairing', 'training.data.bag_views',
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PairingConfig:
    """How the images of any bag are paired and registered; all that a recipe leaves to its user.

    Args:
        thermal_topic: '' for the only one with images of one channel of 8 or 16 bits, or the only
            one of these that is named image_raw.
        rgb_topic: the same with color images.
        max_gap_ms: largest difference of header stamps within a pair, 0 to 1000.
        stride: every how many-th pair is taken, >= 1.
        max_frames: pairs at most, the first of the recording; 0 for all.
        rgb_to_thermal: nine numbers, the rows of the homography from pixels (x, y) of the recorded
            color image to pixels of the recorded thermal image; empty if both show the same view
            from edge to edge, whatever their sizes.
        max_gb: largest size of the folder.
    """

    thermal_topic: str = ''
    rgb_topic: str = ''
    max_gap_ms: float = 20.0
    stride: int = 1
    max_frames: int = 0
    rgb_to_thermal: tuple[float, ...] = ()
    max_gb: float = 40.0

    def __post_init__(self) -> None:
        """Check ranges; lists become tuples."""
        object.__setattr__(self, 'rgb_to_thermal', tuple(self.rgb_to_thermal))
        if not 0.0 <= self.max_gap_ms <= 1000.0:
            raise ConfigError(f'max_gap_ms must be 0 to 1000, got {self.max_gap_ms}')
        if self.stride < 1 or self.max_frames < 0:
            raise ConfigError(
                f'stride must be >= 1 and max_frames >= 0, got {self.stride}, {self.max_frames}'
            )
        if not 0.0 < self.max_gb < math.inf:
            raise ConfigError(f'max_gb must be above 0 and finite, got {self.max_gb}')
        check_homography(self.rgb_to_thermal)


@dataclass(frozen=True)
class BagPairsConfig(PairingConfig):
    """Which pairs of a bag, and how they are stored.

    Args:
        bag: folder with metadata.yaml, or a .mcap or .db3 file.
        image_size: (height, width) of both images; empty for that of the thermal image, which then
            is stored as it was recorded.

    The others, by name alone, are those of `PairingConfig`.
    """

    bag: Path
    image_size: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check ranges; lists become tuples."""
        super().__post_init__()
        object.__setattr__(self, 'bag', Path(self.bag))
        object.__setattr__(self, 'image_size', tuple(self.image_size))
        if self.image_size and not (
            len(self.image_size) == 2
            and all(1 <= side <= _MAX_SIDE_PX for side in self.image_size)
        ):
            raise ConfigError(
                f'image_size must be height and width, 1 to {_MAX_SIDE_PX}, or empty, got '
                f'{self.image_size}'
            )

    def key(self, cache: Path) -> str:
        """Name of the cache folder: a hash of what the stored pixels depend on.

        Args:
            cache: folder that remembers the hash of a bag.

        Raises:
            BagError: there is no such bag.
        """
        with BagReader(self.bag):  # says what is wrong with a path that is none
            pass
        settings = {k: v for k, v in asdict(self).items() if k not in ('bag', 'max_gb')}
        description = {
            'format': _FORMAT,
            'bag': bag_digest(self.bag, cache),
            'settings': settings,
            'sources': _SOURCES,
            'opencv': cv2.__version__,
        }
        text = json.dumps(description, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class BagSample(NamedTuple):
    """A pair, pixel on pixel; read-only views of files.

    Attributes:
        stamp_ns: of the thermal image.
        thermal: raw, uint16 or uint8 [height, width].
        rgb: uint8 [height, width, 3], black where the color camera does not look.
        label: None: nobody has said what is seen.
    """

    stamp_ns: int
    thermal: Array
    rgb: Array
    label: None = None


class BagPairs(Frames[BagSample]):
    """Extracted pairs by thermal stamp, memory-mapped.

    Args:
        folder: of the cache, whole.

    Attributes:
        report: What became of the images of the bag.
        stamps_ns: Of both images, int64 [pairs, 2]: thermal, color.
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / _INDEX).read_text())
        self.folder, self.report = folder, BagReport.from_plain(index['report'])
        self.stamps_ns = np.array(index['stamps_ns'], np.int64)
        self._rows: list[int] = index['rows']
        self._chunks = {
            chunk: [np.load(array_path(folder, kind, chunk), mmap_mode='r') for kind in KINDS]
            for chunk in sorted({row // CHUNK_PAIRS for row in self._rows})
        }

    def __len__(self) -> int:
        return len(self._rows)

    def _read(self, index: int) -> BagSample:
        chunk, row = divmod(self._rows[index], CHUNK_PAIRS)
        thermal, rgb = self._chunks[chunk]
        return BagSample(int(self.stamps_ns[index, 0]), thermal[row], rgb[row])

    def digest(self) -> str:
        """SHA-256 of all pixels in order, of each pair the thermal ones first."""
        digest = hashlib.sha256()
        for sample in self:
            digest.update(np.ascontiguousarray(sample.thermal).data)
            digest.update(np.ascontiguousarray(sample.rgb).data)
        return digest.hexdigest()


def load_bag(config: BagPairsConfig, cache: Path) -> BagPairs:
    """Extract what the cache lacks, with progress bars, then map it.

    Args:
        config: what to extract.
        cache: folder of all extracted bags.

    Raises:
        BagError: there is no such bag, it is damaged, or a named topic is not in it.
        ConfigError: the topics are not clear, too much is to be stored, or no pair is left.
        OSError: the disk is full, or the cache cannot be written.
    """
    folder = cache / config.key(cache)
    if not (folder / _INDEX).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / _LOCK, 0, wait=True):
            if not (folder / _INDEX).is_file():
                write_index(folder / _INDEX, extract(folder, config))
    return BagPairs(folder)


def main(arguments: Iterable[str] | None = None) -> None:
    """Extract a bag and say what became of its images."""
    parser = argparse.ArgumentParser(description='Extract the RGB-thermal pairs of a bag.')
    parser.add_argument('bag', type=Path)
    parser.add_argument('--thermal-topic', default='')
    parser.add_argument('--rgb-topic', default='')
    parser.add_argument('--max-gap-ms', type=float, default=20.0)
    parser.add_argument('--stride', type=int, default=1)
    parser.add_argument('--max-frames', type=int, default=0)
    parser.add_argument('--image-size', type=int, nargs=2, default=(), metavar=('H', 'W'))
    parser.add_argument('--rgb-to-thermal', type=float, nargs=9, default=())
    parser.add_argument('--max-gb', type=float, default=40.0)
    parser.add_argument('--cache', type=Path, default=Path('runs/bags'))
    own = vars(parser.parse_args(None if arguments is None else list(arguments)))
    data = load_bag(cache=own.pop('cache'), config=BagPairsConfig(**own))
    print(f'{data.report.text()}\nin {data.folder}, digest {data.digest()}')


if __name__ == '__main__':
    main()
