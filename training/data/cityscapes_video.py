# SPDX-License-Identifier: Apache-2.0
"""The video snippets of Cityscapes, for training on motion without labels.

    <root>/leftImg8bit_sequence/{train,val,test}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    <root>/camera/<split>/<city>/<city>_<sequence>_<frame>_camera.json

A snippet has 30 frames at 17 frames/s and one camera.json, at its labeled frame; in some cities
one sequence number holds many snippets, so a frame takes the camera with the nearest frame number.
The car's hood fills the bottom: loaders of SfMLearner and manydepth cut the lowest quarter off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from training.data.cityscapes_formats import CityscapesCamera, read_camera
from training.data.cityscapes_tree import (
    CAMERA_END,
    IMAGE_END,
    SEQUENCE_FOLDER,
    SOURCE,
    file_of,
    names_in,
    neighbor_name,
    sequence_and_number,
)
from training.data.folders import Frames, check_root
from training.data.images import check_sizes, read_rgb

Array = npt.NDArray[Any]

SPLITS = ('train', 'val', 'test')


class CityscapesVideoSample(NamedTuple):
    """A frame with both neighbors.

    Attributes:
        name: <city>_<sequence>_<frame>.
        rgb, previous, next: uint8 [h, w, 3]; the others `step` frames earlier and later.
        camera: of the snippet.
    """

    name: str
    rgb: Array
    previous: Array
    next: Array
    camera: CityscapesCamera


class CityscapesVideo(Frames[CityscapesVideoSample]):
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
        there = names_in(self.root, SEQUENCE_FOLDER, split, IMAGE_END)
        offsets = (-step, step)
        self.names = tuple(
            name for name in sorted(there) if {neighbor_name(name, o) for o in offsets} <= there
        )
        if not self.names:
            raise DatasetError(
                f'{self.root}/{SEQUENCE_FOLDER}/{split} must hold frames with neighbors at a '
                f'distance of {step}; of {len(there)} frames none has.\n'
                f'How to get it: {SOURCE.how_to_get}'
            )
        self._cameras: dict[str, list[int]] = {}
        for name in names_in(self.root, 'camera', split, CAMERA_END):
            sequence, number = sequence_and_number(name)
            self._cameras.setdefault(sequence, []).append(number)
        self._require_cameras()

    def __len__(self) -> int:
        return len(self.names)

    def _read(self, index: int) -> CityscapesVideoSample:
        name = self.names[index]
        views = {'rgb': 0, 'previous': -self.step, 'next': self.step}
        images = {view: self._image(neighbor_name(name, o)) for view, o in views.items()}
        check_sizes(Path(name), images)
        return CityscapesVideoSample(name=name, camera=read_camera(self._camera(name)), **images)

    def _image(self, name: str) -> Array:
        return read_rgb(self.root / file_of(SEQUENCE_FOLDER, self.split, name, IMAGE_END))

    def _camera(self, name: str) -> Path:
        sequence, number = sequence_and_number(name)
        nearest = min(self._cameras[sequence], key=lambda other: abs(other - number))
        labeled = f'{sequence}_{nearest:06d}'
        return self.root / file_of('camera', self.split, labeled, CAMERA_END)

    def _require_cameras(self) -> None:
        missing = {sequence_and_number(name)[0] for name in self.names} - {*self._cameras}
        if missing:
            raise DatasetError(
                f'{self.root}/camera/{self.split}/<city> must hold a <name>{CAMERA_END} of each '
                f'sequence; {len(missing)} have none, such as {min(missing)}.\n'
                f'How to get it: {SOURCE.how_to_get}'
            )
