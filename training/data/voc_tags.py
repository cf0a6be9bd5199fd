# SPDX-License-Identifier: Apache-2.0
"""Which of VOC's 20 foreground classes are in an image: from its mask, or from a file of tags."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import DatasetError
from kd_perception.label_sets import VOC21
from training.data.folders import DataSource, read_list

Array = npt.NDArray[Any]

NUM_TAGS = VOC21.num_classes - 1

_MAX_ARCHIVE_BYTES = 2**26
_SOURCE = DataSource(
    'A list of image tags',
    '<id> <class id> <class id> ...',
    'see the docstring of training/data/voc.py.',
)


def tags_from_label(label: Array) -> Array:
    """Classes with at least one pixel.

    Args:
        label: uint8 [h, w], ids 0-20, 255 = ignore.

    Returns:
        bool [20]; entry k stands for class id k + 1.
    """
    present = np.bincount(label.reshape(-1), minlength=256) > 0
    return np.asarray(present[1 : NUM_TAGS + 1])


def read_tags(path: Path, names: Sequence[str]) -> Array:
    """Tags of the named images.

    Args:
        path: `.npz` or `.txt`, as the docstring of `training.data.voc` has them.
        names: ids of images, all of which must be in the file.

    Returns:
        bool [len(names), 20], in the order of the names.

    Raises:
        DatasetError: the file is missing, damaged, of another form, or lacks images.
    """
    readers = {'.npz': _from_archive, '.txt': _from_text}
    if path.suffix not in readers:
        raise DatasetError(
            f'image tags must be a .npz or .txt file; received {path}. A .npy of EPS is a pickle, '
            'which runs code when it is loaded: the docstring of training/data/voc.py converts it'
        )
    tags = readers[path.suffix](path)
    missing = [name for name in names if name not in tags]
    if missing:
        raise DatasetError(
            f'{path} must have the tags of all {len(names)} images; {len(missing)} are missing: '
            f'{", ".join(missing[:5])}'
        )
    return np.stack([tags[name] for name in names])


def _from_text(path: Path) -> dict[str, Array]:
    tags = {}
    for line in read_list(path, _SOURCE):
        name, *classes = line.split()
        known = [
            int(c) for c in classes if c.isascii() and c.isdigit() and 1 <= int(c) <= NUM_TAGS
        ]
        if len(known) < len(classes):
            raise DatasetError(f'class ids must be 1 to {NUM_TAGS}; {path} has the line {line!r}')
        if name in tags:
            raise DatasetError(f'a list of tags must name each image once; {path} repeats {name}')
        tags[name] = np.isin(np.arange(1, NUM_TAGS + 1), known)
    return tags


def _from_archive(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MAX_ARCHIVE_BYTES:
            raise DatasetError(f'tags may have {_MAX_ARCHIVE_BYTES} bytes at most: {path}')
        with np.load(path, allow_pickle=False) as arrays:
            ids, tags = arrays['ids'], arrays['tags']
    except (OSError, KeyError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DatasetError(f'{path} must be a .npz with ids and tags: {error}') from error
    _require_table(path, ids, tags)
    return dict(zip(ids.tolist(), tags.astype(bool), strict=True))


def _require_table(path: Path, ids: Array, tags: Array) -> None:
    if ids.ndim != 1 or ids.dtype.kind != 'U' or tags.shape != (len(ids), NUM_TAGS):
        raise DatasetError(
            f'{path} must hold ids, text [n], and tags [n, {NUM_TAGS}]; it holds {ids.dtype} '
            f'{ids.shape} and {tags.shape}. VOC21 has 20 foreground classes, background is no tag'
        )
    if tags.dtype.kind not in 'biuf' or not np.isin(tags, (0, 1)).all():
        raise DatasetError(f'tags must be 0 or 1; {path} holds others')
    if len(set(ids.tolist())) < len(ids):
        raise DatasetError(f'each image must be tagged once; {path} repeats ids')
