# SPDX-License-Identifier: Apache-2.0
"""Cityscapes: street scenes with labels, instances, stereo disparity and video neighbors.

    <root>/leftImg8bit/{train,val,test}/<city>/<name>_leftImg8bit.png        RGB, 1024x2048
    <root>/rightImg8bit/<split>/<city>/<name>_rightImg8bit.png
    <root>/disparity/<split>/<city>/<name>_disparity.png                     uint16
    <root>/camera/<split>/<city>/<name>_camera.json
    <root>/leftImg8bit_sequence/<split>/<city>/<name>_leftImg8bit.png        30 frames per snippet
    <root>/gtFine/<split>/<city>/<name>_gtFine_{labelIds,labelTrainIds,instanceIds}.png
    <root>/gtCoarse/{train,train_extra,val}/<city>/<name>_gtCoarse_....png

<name> is <city>_<sequence>_<frame>, both of six digits: ulm_000064_000019. labelTrainIds are made
by csCreateTrainIdLabelImgs and are taken where labelIds are absent. Disparity p > 0 means
(p - 1) / 256 px, p = 0 invalid; depth is baseline * fx / disparity. An instance image holds
1000 * label id + number for things and the label id for the rest. Labels of the test split are
all void.

2975 / 500 / 1525 images are labeled finely, 19,998 more coarsely.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.label_sets import CITYSCAPES
from training.data.cityscapes_formats import (
    TRAIN_IDS,
    CityscapesCamera,
    depth_from_disparity_m,
    read_camera,
    read_disparity_px,
    read_instances,
)
from training.data.folders import (
    DataSource,
    check_files,
    check_sizes,
    file_names,
    read_label,
    read_rgb,
)

Array = npt.NDArray[Any]

SOURCE = DataSource(
    'Cityscapes',
    """
    leftImg8bit/{train,val,test}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    gtFine/<split>/<city>/<...>_gtFine_labelIds.png or _gtFine_labelTrainIds.png     for labels
    gtFine/<split>/<city>/<...>_gtFine_instanceIds.png                               for instances
    disparity/<split>/<city>/<...>_disparity.png                                     for disparity
    camera/<split>/<city>/<...>_camera.json                             for disparity and camera
    rightImg8bit/<split>/<city>/<...>_rightImg8bit.png                               for right
    leftImg8bit_sequence/<split>/<city>/<...>_leftImg8bit.png           for previous and next
    """,
    'register at https://www.cityscapes-dataset.com, download leftImg8bit_trainvaltest, '
    'gtFine_trainvaltest, disparity_trainvaltest, camera_trainvaltest, '
    'rightImg8bit_trainvaltest or leftImg8bit_sequence_trainvaltest (.zip) as needed, unpack all '
    'in one folder.',
)

VIEWS = ('label', 'instance', 'camera', 'disparity', 'right', 'previous', 'next')
"""What may be asked for beside the image; disparity brings the camera."""

SPLITS = {'gtFine': ('train', 'val', 'test'), 'gtCoarse': ('train', 'train_extra', 'val')}

_IMAGE_END = '_leftImg8bit.png'
_NAME = re.compile(r'(.+_\d{6})_(\d{6})')


class CityscapesSample(NamedTuple):
    """An image with the views that were asked for; the others are None.

    Attributes:
        name: <city>_<sequence>_<frame>.
        image: uint8 [h, w, 3] RGB.
        label: uint8 [h, w] train ids 0 to 18, 255 = void.
        instance: int32 [h, w], 1000 * label id + number, 0 = none.
        camera: of this image.
        disparity_px: float32 [h, w], 0 = invalid.
        depth_m: float32 [h, w] of the disparity, 0 = invalid or at infinity.
        right: uint8 [h, w, 3], the right camera.
        previous, next: uint8 [h, w, 3], the left camera `step` video frames earlier and later.
    """

    name: str
    image: Array
    label: Array | None = None
    instance: Array | None = None
    camera: CityscapesCamera | None = None
    disparity_px: Array | None = None
    depth_m: Array | None = None
    right: Array | None = None
    previous: Array | None = None
    next: Array | None = None


class Cityscapes(Sequence[CityscapesSample]):
    """A split.

    Args:
        root: folder of leftImg8bit and the others.
        split: train, val or test; with gtCoarse also train_extra.
        views: of VIEWS.
        annotation: gtFine or gtCoarse.
        step: distance of video neighbors in frames of 1/17 s; 2 as SfMLearner and manydepth have
            it, so that the car's motion is near that in KITTI.

    Raises:
        ConfigError: an argument is unknown.
        DatasetError: an image has no label, neighbor or whatever the views need, or the other way
            round; or there is no image.
    """

    label_set = CITYSCAPES

    def __init__(
        self,
        root: Path | str,
        split: str = 'train',
        *,
        views: Sequence[str] = ('label',),
        annotation: str = 'gtFine',
        step: int = 2,
    ) -> None:
        if annotation not in SPLITS or split not in SPLITS[annotation]:
            raise ConfigError(
                f'annotation and split must be of {SPLITS}, got {annotation} {split}'
            )
        if not set(views) <= set(VIEWS) or step < 1:
            raise ConfigError(f'views must be of {VIEWS} and step >= 1, got {views}, {step}')
        self.root, self.split, self.views = Path(root), split, tuple(views)
        self._annotation, self._step = annotation, step
        self._label_kind = self._find_label_kind()
        self.names = self._find_names()
        check_files(self.root, (file for n in self.names for file in self._files(n)), SOURCE)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> CityscapesSample:  # type: ignore[override]
        """Read an image and its views.

        Raises:
            DatasetError: a file is damaged, or sizes differ.
        """
        if not 0 <= index < len(self):
            raise IndexError(f'index must be 0 to {len(self) - 1}, got {index}')
        name = self.names[index]
        files = {view: self.root / self._file(view, name) for view in self._needed()}
        parts: dict[str, Array] = {'image': read_rgb(files['image'])}
        for view in ('right', 'previous', 'next'):
            parts |= {view: read_rgb(files[view])} if view in files else {}
        if 'label' in files:
            ids = CITYSCAPES if self._label_kind == 'labelIds' else TRAIN_IDS
            parts['label'] = read_label(files['label'], ids)
        if 'instance' in files:
            parts['instance'] = read_instances(files['instance'])
        camera = read_camera(files['camera']) if 'camera' in files else None
        if camera and 'disparity' in files:
            parts['disparity_px'] = read_disparity_px(files['disparity'])
            parts['depth_m'] = depth_from_disparity_m(parts['disparity_px'], camera)
        check_sizes(files['image'], parts)
        return CityscapesSample(name=name, camera=camera, **parts)

    def _needed(self) -> list[str]:
        camera = ['camera'] if 'disparity' in self.views and 'camera' not in self.views else []
        return ['image', *self.views, *camera]

    def _files(self, name: str) -> Iterator[str]:
        return (self._file(view, name) for view in self._needed())

    def _file(self, view: str, name: str) -> str:
        """Path of a view below the root."""
        if view in ('previous', 'next'):
            name = neighbor_name(name, self._step if view == 'next' else -self._step)
        folder, end = {
            'image': ('leftImg8bit', _IMAGE_END),
            'previous': ('leftImg8bit_sequence', _IMAGE_END),
            'next': ('leftImg8bit_sequence', _IMAGE_END),
            'right': ('rightImg8bit', '_rightImg8bit.png'),
            'disparity': ('disparity', '_disparity.png'),
            'camera': ('camera', '_camera.json'),
            'label': (self._annotation, f'_{self._annotation}_{self._label_kind}.png'),
            'instance': (self._annotation, f'_{self._annotation}_instanceIds.png'),
        }[view]
        return f'{folder}/{self.split}/{_city(name)}/{name}{end}'

    def _find_label_kind(self) -> str:
        """Which label images there are; the set's own where there are both."""
        for kind in ('labelIds', 'labelTrainIds'):
            if self._stems(self._annotation, f'_{self._annotation}_{kind}.png'):
                return kind
        return 'labelIds'

    def _find_names(self) -> tuple[str, ...]:
        """All that have an image or, if asked for, a label: a missing half is then noticed."""
        names = self._stems('leftImg8bit', _IMAGE_END)
        if 'label' in self.views:
            names |= self._stems(self._annotation, f'_{self._annotation}_{self._label_kind}.png')
        if not names:
            check_files(self.root, [f'leftImg8bit/{self.split}/<city>/<...>{_IMAGE_END}'], SOURCE)
        for name in names:
            neighbor_name(name, 0)
        return tuple(sorted(names))

    def _stems(self, folder: str, end: str) -> set[str]:
        cities = self.root / folder / self.split
        files = (file for city in file_names(cities) for file in file_names(cities / city, end))
        return {file.removesuffix(end) for file in files}


def neighbor_name(name: str, offset: int) -> str:
    """Name of the video frame that many frames later in the same sequence.

    Raises:
        DatasetError: the name is not <city>_<sequence>_<frame>.
    """
    found = _NAME.fullmatch(name)
    if not found:
        raise DatasetError(
            f'a Cityscapes image must be named <city>_<sequence>_<frame>{_IMAGE_END} with six '
            f'digits each, got {name}'
        )
    return f'{found[1]}_{int(found[2]) + offset:06d}'


def _city(name: str) -> str:
    return name.rsplit('_', 2)[0]
