# SPDX-License-Identifier: Apache-2.0
"""PST900: 894 aligned color, thermal and depth frames of underground rescue scenes, 720x1280.

    <root>/{train,test}/rgb/<stem>.png           RGB uint8
    <root>/{train,test}/thermal/<stem>.png       8-bit gray (the camera's AGC), 0 where no data is
    <root>/{train,test}/thermal_raw/<stem>.png   16-bit gray, raw counts
    <root>/{train,test}/depth/<stem>.png         16-bit gray, from stereo
    <root>/{train,test}/labels/<stem>.png        one channel, ids 0-4

There are no lists: all files of a folder are the split, in the order of their names, and the five
folders must hold the same names. The stems look like 31_bag1a_rect_rgb_frame0000000007.

The set's README gives 606 training and 288 test pairs, but its picture of the folders has the two
comments swapped: the larger one is the training split. Its toolkit divides depth by 2560; the unit
of that, and of the raw counts, is not stated, so both are handed out unscaled.

Label pictures made by the toolkit are BGR written as RGB is read elsewhere: a table of colors used
in the wrong order swaps the fire extinguisher and the hand drill. Labels here are read by id only.

Reference:
    S. S. Shivakumar et al., "PST900: RGB-Thermal Calibration, Dataset and Segmentation Network",
    ICRA 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from kd_perception.errors import DatasetError
from kd_perception.label_sets import PST900 as PST900_LABELS
from training.data.folders import (
    DataSource,
    Frames,
    check_files,
    check_root,
    check_views,
    file_names,
)
from training.data.images import check_sizes, read_gray, read_label, read_rgb, read_u16

Array = npt.NDArray[Any]

SOURCE = DataSource(
    'PST900',
    '{train,test}/{rgb,thermal,thermal_raw,depth,labels}/<stem>.png, the same stems everywhere',
    'take the link of the README of github.com/ShreyasSkandanS/pst900_thermal_rgb and unpack it, '
    'so that the folders train and test lie in the root.',
)

VIEWS = ('thermal_raw', 'depth_raw')
"""What may be asked for beside both 8-bit images and the label."""

_FOLDERS = {'thermal_raw': 'thermal_raw', 'depth_raw': 'depth'}
_NEEDED_PARTS = ('rgb', 'thermal', 'labels')


class PST900Sample(NamedTuple):
    """One frame, all parts pixel on pixel.

    Attributes:
        name: stem of its files.
        rgb: uint8 [h, w, 3], RGB order.
        thermal: uint8 [h, w], as the camera showed it; 0 where the other camera sees past it.
        label: uint8 [h, w], ids 0-4, 255 = ignore.
        thermal_raw: uint16 [h, w], counts; None where not asked for.
        depth_raw: uint16 [h, w], in the set's own unit; None where not asked for.
    """

    name: str
    rgb: Array
    thermal: Array
    label: Array
    thermal_raw: Array | None = None
    depth_raw: Array | None = None


class PST900(Frames[PST900Sample]):
    """A split of PST900.

    Args:
        root: folder of the set.
        split: 'train' or 'test'.
        views: of VIEWS; copies of the set that others have repackaged often lack them.

    Raises:
        ConfigError: a view is unknown.
        DatasetError: a folder is missing or empty, the folders hold different names, or the splits
            are swapped; when a sample is read, its file is damaged or not of the form above.
    """

    label_set = PST900_LABELS

    def __init__(
        self,
        root: Path | str,
        split: str = 'train',
        *,
        views: Sequence[str] = (),
    ) -> None:
        self.root, self.split, self.views = Path(root), split, check_views(views, VIEWS)
        check_root(self.root, SOURCE)
        self._check_order()
        folders = [
            f'{split}/{part}'
            for part in (*_NEEDED_PARTS, *(_FOLDERS[view] for view in self.views))
        ]
        files = sorted({name for f in folders for name in file_names(self.root / f, '.png')})
        # Without any name the check below would pass; with this one it says what is expected.
        check_files(
            self.root, [f'{f}/{name}' for f in folders for name in files or ['*.png']], SOURCE
        )
        self.names = tuple(file.removesuffix('.png') for file in files)

    def __len__(self) -> int:
        return len(self.names)

    def _read(self, index: int) -> PST900Sample:
        name = self.names[index]
        sample = PST900Sample(
            name,
            read_rgb(self._path('rgb', name)),
            read_gray(self._path('thermal', name)),
            read_label(self._path('labels', name), PST900_LABELS),
            *(
                read_u16(self._path(folder, name)) if view in self.views else None
                for view, folder in _FOLDERS.items()
            ),
        )
        parts = {key: value for key, value in sample._asdict().items() if key != 'name'}
        check_sizes(self._path('rgb', name), parts)
        return sample

    def _check_order(self) -> None:
        """Refuse a download whose two folders have each other's content."""
        train, test = (len(file_names(self.root / s / 'rgb', '.png')) for s in ('train', 'test'))
        if 0 < train < test:
            raise DatasetError(
                f'the training split of PST900 is the larger one (606 to 288); {self.root} has '
                f'{train} training and {test} test frames: swap the folders train and test'
            )

    def _path(self, part: str, name: str) -> Path:
        return self.root / self.split / part / f'{name}.png'
