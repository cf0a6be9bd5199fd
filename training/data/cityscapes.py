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

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.label_sets import CITYSCAPES
from training.data.cityscapes_formats import (
    TRAIN_IDS,
    CityscapesCamera,
    read_camera,
    read_disparity_px,
    read_instances,
)
from training.data.cityscapes_tree import (
    IMAGE_END,
    SEQUENCE_FOLDER,
    SOURCE,
    file_of,
    names_in,
    neighbor_name,
    sequence_and_number,
)
from training.data.folders import Frames, check_files, check_views
from training.data.images import check_sizes, read_label, read_rgb

Array = npt.NDArray[Any]

VIEWS = ('label', 'instance', 'camera', 'disparity', 'right', 'previous', 'next')
"""What may be asked for beside the image; disparity brings the camera."""

SPLITS = {'gtFine': ('train', 'val', 'test'), 'gtCoarse': ('train', 'train_extra', 'val')}


class CityscapesSample(NamedTuple):
    """An image with the views that were asked for; the others are None.

    Attributes:
        name: <city>_<sequence>_<frame>.
        rgb: uint8 [h, w, 3].
        label: uint8 [h, w] train ids 0 to 18, 255 = void.
        instance: int32 [h, w], 1000 * label id + number, 0 = none.
        camera: of this image.
        disparity_px: float32 [h, w], 0 = invalid.
        target_m: float32 [h, w], depth of the disparity, 0 = invalid or at infinity.
        right: uint8 [h, w, 3], the right camera.
        previous, next: uint8 [h, w, 3], the left camera `step` video frames earlier and later.
    """

    name: str
    rgb: Array
    label: Array | None = None
    instance: Array | None = None
    camera: CityscapesCamera | None = None
    disparity_px: Array | None = None
    target_m: Array | None = None
    right: Array | None = None
    previous: Array | None = None
    next: Array | None = None


class Cityscapes(Frames[CityscapesSample]):
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
        if step < 1:
            raise ConfigError(f'step must be >= 1, got {step}')
        self.root, self.split, self.views = Path(root), split, check_views(views, VIEWS)
        self._annotation, self._step = annotation, step
        self._label_kind = self._find_label_kind()
        self.names = self._find_names()
        check_files(self.root, (file for n in self.names for file in self._files(n)), SOURCE)

    def __len__(self) -> int:
        return len(self.names)

    def _read(self, index: int) -> CityscapesSample:
        name = self.names[index]
        files = {view: self.root / self._file(view, name) for view in self._needed()}
        parts: dict[str, Array] = {'rgb': read_rgb(files['rgb'])}
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
            parts['target_m'] = camera.depth_m(parts['disparity_px'])
        check_sizes(files['rgb'], parts)
        return CityscapesSample(name=name, camera=camera, **parts)

    def _needed(self) -> list[str]:
        camera = ['camera'] if 'disparity' in self.views and 'camera' not in self.views else []
        return ['rgb', *self.views, *camera]

    def _files(self, name: str) -> Iterator[str]:
        return (self._file(view, name) for view in self._needed())

    def _file(self, view: str, name: str) -> str:
        """Path of a view below the root."""
        if view in ('previous', 'next'):
            name = neighbor_name(name, self._step if view == 'next' else -self._step)
        folder, end = {
            'rgb': ('leftImg8bit', IMAGE_END),
            'previous': (SEQUENCE_FOLDER, IMAGE_END),
            'next': (SEQUENCE_FOLDER, IMAGE_END),
            'right': ('rightImg8bit', '_rightImg8bit.png'),
            'disparity': ('disparity', '_disparity.png'),
            'camera': ('camera', '_camera.json'),
            'label': (self._annotation, f'_{self._annotation}_{self._label_kind}.png'),
            'instance': (self._annotation, f'_{self._annotation}_instanceIds.png'),
        }[view]
        return file_of(folder, self.split, name, end)

    def _find_label_kind(self) -> str:
        """Which label images there are; the set's own where there are both."""
        for kind in ('labelIds', 'labelTrainIds'):
            if self._names_in(self._annotation, f'_{self._annotation}_{kind}.png'):
                return kind
        return 'labelIds'

    def _find_names(self) -> tuple[str, ...]:
        """All that have an image or, if asked for, a label: a missing half is then noticed."""
        names = self._names_in('leftImg8bit', IMAGE_END)
        if 'label' in self.views:
            end = f'_{self._annotation}_{self._label_kind}.png'
            names |= self._names_in(self._annotation, end)
        if not names:
            check_files(self.root, [f'leftImg8bit/{self.split}/<city>/<...>{IMAGE_END}'], SOURCE)
        for name in names:
            sequence_and_number(name)  # Refuses other names.
        return tuple(sorted(names))

    def _names_in(self, folder: str, end: str) -> set[str]:
        return names_in(self.root, folder, self.split, end)
