# SPDX-License-Identifier: Apache-2.0
"""NYU-Depth-v2: 1449 labeled indoor frames with depth, 480x640, 40 classes; three forms of it.

As converted by ESANet (src/datasets/nyuv2/prepare_dataset.py), for `NyuConverted`:

    <root>/{train,test}/rgb/%04d.png          RGB uint8
    <root>/{train,test}/depth/%04d.png        uint16 millimeters, holes filled in
    <root>/{train,test}/depth_raw/%04d.png    uint16 millimeters as measured, 0 = none
    <root>/{train,test}/labels_40/%04d.png    uint8, 0 = void, classes 1-40
    <root>/{train,test}.txt                   names, which are the 1-based indices of the .mat

As mmsegmentation expects it, depth only, for `NyuDepthImages`:

    <root>/images/{train,test}/<scene>/*.jpg
    <root>/annotations/{train,test}/<scene>/*.png    uint16 millimeters, 0 = none

The published nyu_depth_v2_labeled.mat: training/data/nyu_mat.py.

Labels come out as 0-39 and 255 for void. The splits are 795 / 654 frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.label_sets import NYU40
from training.data.folders import (
    DataSource,
    Frames,
    check_files,
    check_root,
    check_views,
    read_list,
)
from training.data.images import NYU_STEPS_PER_M, check_sizes, read_depth_m, read_label, read_rgb

Array = npt.NDArray[Any]

CONVERTED = DataSource(
    'NYU-Depth-v2 (converted)',
    """
    {train,test}/{rgb,depth,labels_40}/%04d.png
    {train,test}/depth_raw/%04d.png               for depth_raw
    train.txt, test.txt
    """,
    'run src/datasets/nyuv2/prepare_dataset.py of github.com/TUI-NICR/ESANet; it downloads '
    'nyu_depth_v2_labeled.mat (2.8 GB) and converts it.',
)
DEPTH_IMAGES = DataSource(
    'NYU-Depth-v2 (images and depth)',
    """
    images/{train,test}/<scene>/<...>.jpg
    annotations/{train,test}/<scene>/<...>.png
    """,
    'see "NYU" in docs/en/user_guides/2_dataset_prepare.md of '
    'github.com/open-mmlab/mmsegmentation.',
)

SPLITS = ('train', 'test')
VIEWS = ('label', 'depth_raw')
"""What may be asked for beside picture and depth."""


class NyuSample(NamedTuple):
    """A frame, all parts pixel on pixel.

    Attributes:
        name: of its files, or its 1-based index in the .mat as four digits.
        rgb: uint8 [h, w, 3].
        target_m: ground truth of depth, float32 [h, w], 0 = none.
        label: uint8 [h, w], 0 to 39, 255 = void; None where not asked for.
        depth_raw_m: float32 [h, w], as measured, 0 = none; None where not asked for.
    """

    name: str
    rgb: Array
    target_m: Array
    label: Array | None = None
    depth_raw_m: Array | None = None


class NyuConverted(Frames[NyuSample]):
    """A split of the converted form.

    Args:
        root: folder with train/, test/ and the lists.
        split: train or test.
        views: of VIEWS.

    Raises:
        ConfigError: split or a view is unknown.
        DatasetError: a list or a file of it is missing.
    """

    label_set = NYU40

    def __init__(
        self, root: Path | str, split: str = 'train', *, views: Sequence[str] = ('label',)
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(f'split must be one of {SPLITS}, got {split!r}')
        self.root, self.split, self.views = Path(root), split, check_views(views, VIEWS)
        check_root(self.root, CONVERTED)
        self.names = read_list(self.root / f'{split}.txt', CONVERTED)
        parts = ('rgb', 'depth', *self.views)
        self._folders = {part: 'labels_40' if part == 'label' else part for part in parts}
        files = (self._file(part, name) for part in self._folders for name in self.names)
        check_files(self.root, files, CONVERTED)

    def __len__(self) -> int:
        return len(self.names)

    def _read(self, index: int) -> NyuSample:
        name = self.names[index]
        files = {part: self.root / self._file(part, name) for part in self._folders}
        sample = NyuSample(
            name,
            read_rgb(files['rgb']),
            read_depth_m(files['depth'], NYU_STEPS_PER_M),
            read_label(files['label'], NYU40) if 'label' in files else None,
            read_depth_m(files['depth_raw'], NYU_STEPS_PER_M) if 'depth_raw' in files else None,
        )
        check_sizes(files['rgb'], sample_parts(sample))
        return sample

    def _file(self, part: str, name: str) -> str:
        return f'{self.split}/{self._folders[part]}/{name}.png'


class NyuDepthImages(Frames[NyuSample]):
    """A split of the form with depth only; names are <scene>/<stem>.

    Args:
        root: folder with images/ and annotations/.
        split: folder below these; None if the images lie right in them.

    Raises:
        DatasetError: an image has no depth or the other way round, or there is none.
    """

    def __init__(self, root: Path | str, split: str | None = 'train') -> None:
        self.root = Path(root)
        check_root(self.root, DEPTH_IMAGES)
        below = f'/{split}' if split else ''
        self._images, self._depths = f'images{below}', f'annotations{below}'
        names = self._stems(self._images, '.jpg') | self._stems(self._depths, '.png')
        self.names = tuple(sorted(names))
        files = [self._files(name) for name in self.names or ('<scene>/<...>',)]
        check_files(self.root, [file for pair in files for file in pair], DEPTH_IMAGES)

    def __len__(self) -> int:
        return len(self.names)

    def _read(self, index: int) -> NyuSample:
        image, depth = (self.root / file for file in self._files(self.names[index]))
        target_m = read_depth_m(depth, NYU_STEPS_PER_M)
        sample = NyuSample(self.names[index], read_rgb(image), target_m)
        check_sizes(image, sample_parts(sample))
        return sample

    def _files(self, name: str) -> tuple[str, str]:
        return f'{self._images}/{name}.jpg', f'{self._depths}/{name}.png'

    def _stems(self, folder: str, suffix: str) -> set[str]:
        base = self.root / folder
        paths = (path for path in base.rglob(f'*{suffix}') if path.name[0] != '.')
        return {path.relative_to(base).with_suffix('').as_posix() for path in paths}


def sample_parts(sample: NyuSample) -> dict[str, Array | None]:
    """The images of a sample by name."""
    return {name: part for name, part in sample._asdict().items() if name != 'name'}
