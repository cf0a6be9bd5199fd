# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC 2012 segmentation, with the "trainaug" masks, image tags and saliency maps (EPS).

<root> is the folder VOC2012 of the development kit, <id> is like 2007_000032:

    <root>/JPEGImages/<id>.jpg
    <root>/SegmentationClass/<id>.png       palette image: index 0-20, 255 = border; 2913 files
    <root>/SegmentationClassAug/<id>.png    one channel, converted from SBD or ready-made
    <root>/ImageSets/Segmentation/{train,val,trainval,test}.txt    one id per line
    <root>/ImageSets/Segmentation/{aug,train_aug}.txt              not in the kit, see below
    <saliency>/<id>.png                     EPS: 8-bit gray or RGB; may lie anywhere
    <tags>.npz or <tags>.txt                EPS: which classes are in an image; may lie anywhere

1464 train, 1449 val, 1456 test (no masks are published), 10582 train_aug. `aug` is train_aug
without train. A mask of aug and train_aug is taken from SegmentationClass where it is there, which
has borders, else from SegmentationClassAug; SBD's own masks have no 255.

Tags are booleans of the 20 foreground classes: tags[k] says that class id k + 1 is in the image.
They are computed from the mask unless a file is given:

    .npz    arrays ids (text [n]) and tags (bool or 0/1 [n, 20])
    .txt    lines of `<id> <class id> <class id> ...`, class ids 1-20

The cls_labels.npy of the EPS repository is a pickle, which runs code when it is loaded; it is
refused. In a place that you trust, once:

    labels = np.load('cls_labels.npy', allow_pickle=True).item()
    np.savez('cls_labels.npz', ids=np.array(list(labels)), tags=np.stack(list(labels.values())))

Reference:
    M. Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010. B. Hariharan et
    al., "Semantic Contours from Inverse Detectors", ICCV 2011. S. Lee et al., "Railroad is not a
    Train: Saliency as Pseudo-pixel Supervision for Weakly Supervised Semantic Segmentation", CVPR
    2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.label_sets import VOC21
from training.data.folders import (
    DataSource,
    Frames,
    check_files,
    check_root,
    check_views,
    file_names,
    read_list,
)
from training.data.images import check_sizes, read_label, read_pixels, read_rgb
from training.data.voc_tags import read_tags, tags_from_label

Array = npt.NDArray[Any]

SOURCE = DataSource(
    'PASCAL VOC 2012',
    'JPEGImages/<id>.jpg, SegmentationClass/<id>.png, ImageSets/Segmentation/<split>.txt\n'
    'and for aug and train_aug: SegmentationClassAug/<id>.png',
    'take the development kit at http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ and give its '
    'folder VOCdevkit/VOC2012 as root; convert the masks of SBD (VOCaug/dataset/cls/<id>.mat) to '
    'SegmentationClassAug, and copy train_aug.txt of github.com/halbielee/EPS, metadata/voc12.',
)
SALIENCY_SOURCE = DataSource(
    'The saliency maps',
    '<id>.png',
    'the README of github.com/halbielee/EPS links to them (SALImages).',
)

_AUGMENTED = ('aug', 'train_aug')


VIEWS = ('label', 'tags', 'saliency')
"""What may be asked for beside the picture."""


class VOCSample(NamedTuple):
    """One image.

    Attributes:
        name: id of the image.
        rgb: uint8 [h, w, 3], RGB order.
        label: uint8 [h, w], ids 0-20, 255 = ignore; None where not asked for.
        tags: bool [20], tags[k]: class k + 1 is there; None where not asked for.
        saliency: float32 [h, w], 0 to 1; None where not asked for.
    """

    name: str
    rgb: Array
    label: Array | None = None
    tags: Array | None = None
    saliency: Array | None = None


class VOC(Frames[VOCSample]):
    """A split of VOC 2012.

    Args:
        root: the folder VOC2012.
        split: name of a list without '.txt'.
        views: of VIEWS; 'test' has no label. Training with tags from a file alone needs no masks.
        tags_file: image tags; default: they follow from the label, which must be a view then.
        saliency_folder: of saliency maps; needed for that view.

    Raises:
        ConfigError: a view is unknown, or cannot be read from what is given.
        DatasetError: the list or any file of the split is not there, or the file of tags is not
            readable or lacks images; when a sample is read, its file is damaged or not of the form
            above.
    """

    label_set = VOC21

    def __init__(
        self,
        root: Path | str,
        split: str = 'train',
        *,
        views: Sequence[str] = ('label', 'tags'),
        tags_file: Path | str | None = None,
        saliency_folder: Path | str | None = None,
    ) -> None:
        self.root, self.split, self.views = Path(root), split, check_views(views, VIEWS)
        self._check_sources(tags_file, saliency_folder)
        self._saliency = None if saliency_folder is None else Path(saliency_folder)
        check_root(self.root, SOURCE)
        self.names = read_list(self.root / 'ImageSets' / 'Segmentation' / f'{split}.txt', SOURCE)
        self._masks = self._mask_files() if 'label' in self.views else None
        images = (f'JPEGImages/{name}.jpg' for name in self.names)
        check_files(self.root, [*images, *(self._masks or ())], SOURCE)
        if self._saliency is not None:
            check_files(self._saliency, (f'{name}.png' for name in self.names), SALIENCY_SOURCE)
        self._tags = None if tags_file is None else read_tags(Path(tags_file), self.names)

    def __len__(self) -> int:
        return len(self.names)

    def _read(self, index: int) -> VOCSample:
        name = self.names[index]
        path = self.root / 'JPEGImages' / f'{name}.jpg'
        rgb = read_rgb(path)
        label = read_label(self.root / self._masks[index], VOC21) if self._masks else None
        saliency = read_saliency(self._saliency / f'{name}.png') if self._saliency else None
        check_sizes(path, {'image': rgb, 'mask': label, 'saliency': saliency})
        return VOCSample(name, rgb, label, self._tags_of(index, label), saliency)

    def tags(self) -> Array | None:
        """Tags of the whole split from the file of tags, bool [n, 20]; None without one."""
        return self._tags

    def _tags_of(self, index: int, label: Array | None) -> Array | None:
        if self._tags is not None:
            return np.array(self._tags[index])
        return tags_from_label(label) if label is not None and 'tags' in self.views else None

    def _check_sources(
        self, tags_file: Path | str | None, saliency_folder: Path | str | None
    ) -> None:
        if self.split == 'test' and 'label' in self.views:
            raise ConfigError("the test split has no masks: leave 'label' out of the views")
        if 'tags' in self.views and tags_file is None and 'label' not in self.views:
            raise ConfigError("tags must come from a tags_file, or from 'label' among the views")
        sources = {'tags': tags_file, 'saliency': saliency_folder}
        unread = [view for view, s in sources.items() if s is not None and view not in self.views]
        if unread or ('saliency' in self.views and saliency_folder is None):
            raise ConfigError(
                'saliency_folder must be given where saliency is a view, and neither it nor '
                f'tags_file elsewhere; views are {self.views}'
            )

    def _mask_files(self) -> tuple[str, ...]:
        fine = 'SegmentationClass'
        if self.split not in _AUGMENTED:
            return tuple(f'{fine}/{name}.png' for name in self.names)
        there = set(file_names(self.root / fine, '.png'))
        return tuple(
            f'{fine if f"{name}.png" in there else "SegmentationClassAug"}/{name}.png'
            for name in self.names
        )


def lacks_masks(root: Path, split: str) -> bool:
    """Whether a mask of the images of a split is missing.

    Raises:
        DatasetError: the list of the split is not there.
    """
    check_root(root, SOURCE)
    folders = ('SegmentationClass', 'SegmentationClassAug')[: 1 + (split in _AUGMENTED)]
    there = {name for folder in folders for name in file_names(root / folder, '.png')}
    names = read_list(root / 'ImageSets' / 'Segmentation' / f'{split}.txt', SOURCE)
    return any(f'{name}.png' not in there for name in names)


def read_saliency(path: Path) -> Array:
    """Saliency map as float32 [h, w], 0 to 1: the mean of its channels, as EPS takes it.

    Raises:
        DatasetError: the file is missing, damaged, too large or not of 8-bit gray or RGB.
    """
    pixels = read_pixels(path, ('L', 'RGB'), 'a saliency map of 8-bit gray or RGB')
    levels = pixels if pixels.ndim == 2 else pixels.mean(axis=2, dtype=np.float32)
    return np.asarray(levels / np.float32(255), np.float32)
