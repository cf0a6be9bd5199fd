# SPDX-License-Identifier: Apache-2.0
"""The video snippets of Cityscapes, for training on motion without labels.

    <root>/leftImg8bit_sequence/{train,val,test}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    <root>/camera/<split>/<city>/<city>_<sequence>_<frame>_camera.json

A snippet has 30 frames at 17 frames/s and one camera.json, at its labeled frame; in some cities
one sequence number holds many snippets, so a frame takes the camera with the nearest frame number.
The car's hood fills the bottom: loaders of SfMLearner and manydepth cut the lowest quarter off.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from training.data.cityscapes import SOURCE, neighbor_name
from training.data.cityscapes_formats import CityscapesCamera, read_camera
from training.data.folders import check_root, check_sizes, file_names, read_rgb

Array = npt.NDArray[Any]

SPLITS = ('train', 'val', 'test')

_IMAGE_END, _CAMERA_END = '_leftImg8bit.png', '_camera.json'


class CityscapesVideoSample(NamedTuple):
    """A frame with both neighbors.

    Attributes:
        name: <city>_<sequence>_<frame>.
        image, previous, next: uint8 [h, w, 3] RGB; the others `step` frames earlier and later.
        camera: of the snippet.
    """

    name: str
    image: Array
    previous: Array
    next: Array
    camera: CityscapesCamera


class CityscapesVideo(Sequence[CityscapesVideoSample]):
    """All frames of a split that have both neighbors; the ends of snippets are neighbors only.

    Args:
        root: folder of leftImg8bit_sequence and camera.
        split: train, val or test.
        step: distance of the neighbors in frames of 1/17 s; see `Cityscapes`.

    Raises:
        ConfigError: an argument is unknown.
        DatasetError: there is no frame with neighbors, or a frame's sequence has no camera.
    """

    def __init__(self, root: Path | str, split: str = 'train', *, step: int = 2) -> None:
        if split not in SPLITS or step < 1:
            raise ConfigError(f'split must be of {SPLITS} and step >= 1, got {split}, {step}')
        self.root, self.split, self.step = Path(root), split, step
        check_root(self.root, SOURCE)
        there = set(self._stems('leftImg8bit_sequence', _IMAGE_END))
        offsets = (-step, step)
        self.names = tuple(
            name for name in sorted(there) if {neighbor_name(name, o) for o in offsets} <= there
        )
        if not self.names:
            raise DatasetError(
                f'{self.root}/leftImg8bit_sequence/{split} must hold frames with neighbors at a '
                f'distance of {step}; of {len(there)} frames none has.\n'
                f'How to get it: {SOURCE.how_to_get}'
            )
        self._cameras: dict[str, list[int]] = {}
        for name in self._stems('camera', _CAMERA_END):
            sequence, number = _parts(name)
            self._cameras.setdefault(sequence, []).append(number)
        self._require_cameras()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> CityscapesVideoSample:  # type: ignore[override]
        """Read a frame and its neighbors.

        Raises:
            DatasetError: a file is damaged, or sizes differ.
        """
        if not 0 <= index < len(self):
            raise IndexError(f'index must be 0 to {len(self) - 1}, got {index}')
        name = self.names[index]
        views = {'image': 0, 'previous': -self.step, 'next': self.step}
        images = {view: self._image(neighbor_name(name, o)) for view, o in views.items()}
        check_sizes(Path(name), images)
        return CityscapesVideoSample(name=name, camera=read_camera(self._camera(name)), **images)

    def _image(self, name: str) -> Array:
        return read_rgb(self._folder('leftImg8bit_sequence', name) / f'{name}{_IMAGE_END}')

    def _camera(self, name: str) -> Path:
        sequence, number = _parts(name)
        nearest = min(self._cameras[sequence], key=lambda other: abs(other - number))
        return self._folder('camera', name) / f'{sequence}_{nearest:06d}{_CAMERA_END}'

    def _folder(self, folder: str, name: str) -> Path:
        return self.root / folder / self.split / name.rsplit('_', 2)[0]

    def _stems(self, folder: str, end: str) -> list[str]:
        cities = self.root / folder / self.split
        files = (file for city in file_names(cities) for file in file_names(cities / city, end))
        return [file.removesuffix(end) for file in files]

    def _require_cameras(self) -> None:
        missing = {_parts(name)[0] for name in self.names} - {*self._cameras}
        if missing:
            raise DatasetError(
                f'{self.root}/camera/{self.split}/<city> must hold a <name>{_CAMERA_END} of each '
                f'sequence; {len(missing)} have none, such as {min(missing)}.\n'
                f'How to get it: {SOURCE.how_to_get}'
            )


def _parts(name: str) -> tuple[str, int]:
    """<city>_<sequence>, and the number of the frame."""
    sequence, _, number = neighbor_name(name, 0).rpartition('_')
    return sequence, int(number)
