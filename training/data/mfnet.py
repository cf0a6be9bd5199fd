# SPDX-License-Identifier: Apache-2.0
"""MFNet ("MF dataset"): 1569 aligned color and thermal frames of streets, day and night, 480x640.

As published, and as RTFNet and CEKD use it; <stem> is five digits and D (day) or N (night):

    <root>/images/<stem>.png      RGBA uint8: red, green, blue, thermal (the camera's 8-bit AGC)
    <root>/labels/<stem>.png      one channel, ids 0-8
    <root>/edge_4x/<stem>.png     for edge (CEKD): edges between classes, 0 where there is none
    <root>/{train,val,test,test_day,test_night,val_test,most_wanted}.txt    one stem per line

Re-organized, as CMX and its descendants use it:

    <root>/RGB/<stem>.png    <root>/Thermal/<stem>.png    <root>/Label/<stem>.png
    <root>/{train,val,test}.txt

Which of the two it is shows in the folders. Nothing is resized: the size of labels is that of the
images, and edges have the size they were stored with. OpenCV's default reading drops the fourth
channel of the first form without a word, so such files are read by Pillow.

Reference:
    Q. Ha et al., "MFNet: Towards Real-Time Semantic Segmentation for Autonomous Vehicles with
    Multi-Spectral Scenes", IROS 2017. Y. Sun et al., "RTFNet", RA-L 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.label_sets import MFNET
from training.data.folders import (
    DataSource,
    Frames,
    check_files,
    check_root,
    check_views,
    read_list,
)
from training.data.images import check_sizes, read_gray, read_label, read_pixels, read_rgb

Array = npt.NDArray[Any]

SOURCE = DataSource(
    'MFNet',
    'images/<stem>.png (RGBA), labels/<stem>.png and <split>.txt\n'
    'or RGB/<stem>.png, Thermal/<stem>.png, Label/<stem>.png and <split>.txt',
    'ask for it at https://www.mi.t.u-tokyo.ac.jp/static/projects/mil_multispectral/ or take the '
    'repackaged set that the README of github.com/yuxiangsun/RTFNet links to; unpack it so that '
    'the split lists lie in the root.',
)


VIEWS = ('edge',)
"""What may be asked for beside both images and the label."""


class MFNetSample(NamedTuple):
    """One frame; all parts but the edges are pixel on pixel.

    Attributes:
        name: stem of its files.
        rgb: uint8 [h, w, 3], RGB order.
        thermal: uint8 [h, w], as the camera showed it.
        label: uint8 [h, w], ids 0-8, 255 = ignore.
        edge: bool as stored, [h/4, w/4] if made so; None where edges were not asked for.
    """

    name: str
    rgb: Array
    thermal: Array
    label: Array
    edge: Array | None = None


class MFNet(Frames[MFNetSample]):
    """A split of MFNet.

    Args:
        root: folder of the set, in either form.
        split: name of the list without '.txt'.
        views: of VIEWS.

    Raises:
        ConfigError: a view is unknown.
        DatasetError: the list or any file of the split is not there; when a sample is read, its
            file is damaged or not of the form above.
    """

    label_set = MFNET

    def __init__(
        self, root: Path | str, split: str = 'train', *, views: Sequence[str] = ()
    ) -> None:
        self.root, self.split, self.views = Path(root), split, check_views(views, VIEWS)
        check_root(self.root, SOURCE)
        self.names = read_list(self.root / f'{split}.txt', SOURCE)
        self.reorganized = not (self.root / 'images').is_dir() and (self.root / 'RGB').is_dir()
        folders = ('RGB', 'Thermal', 'Label') if self.reorganized else ('images', 'labels')
        folders = (*folders, 'edge_4x') if 'edge' in self.views else folders
        files = (f'{folder}/{name}.png' for folder in folders for name in self.names)
        check_files(self.root, files, SOURCE)

    def __len__(self) -> int:
        return len(self.names)

    def _read(self, index: int) -> MFNetSample:
        name = self.names[index]
        rgb, thermal = self._images(name)
        path = self._path('Label' if self.reorganized else 'labels', name)
        label = read_label(path, MFNET)
        check_sizes(path, {'color': rgb, 'thermal': thermal, 'label': label})
        edge = self._edge(name) if 'edge' in self.views else None
        return MFNetSample(name, rgb, thermal, label, edge)

    def _images(self, name: str) -> tuple[Array, Array]:
        if self.reorganized:
            return read_rgb(self._path('RGB', name)), read_gray(self._path('Thermal', name))
        wanted = 'an image of 4 channels of 8 bits: red, green, blue, thermal'
        pixels = read_pixels(self._path('images', name), ('RGBA',), wanted)
        return np.ascontiguousarray(pixels[:, :, :3]), np.ascontiguousarray(pixels[:, :, 3])

    def _edge(self, name: str) -> Array:
        path, wanted = self._path('edge_4x', name), 'a mask of edges of one channel'
        return np.asarray(read_pixels(path, ('L', 'P', '1'), wanted) != 0)

    def _path(self, folder: str, name: str) -> Path:
        return self.root / folder / f'{name}.png'
