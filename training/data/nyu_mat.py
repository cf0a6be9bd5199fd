# SPDX-License-Identifier: Apache-2.0
"""NYU-Depth-v2 as published: one HDF5 file of MATLAB, and the small files that go with it.

    nyu_depth_v2_labeled.mat    images [n, 3, w, h] uint8, depths and rawDepths [n, w, h] float
                                meters, labels [n, w, h] uint16 ids 0 to 894, 0 = unlabeled
    splits.mat                  trainNdxs (795), testNdxs (654): 1-based indices into the above
    classMapping40.mat          mapClass [1, 894]: class 1-40 of the ids 1 to 894
    {train,val,test}.txt        lists of FCN (data/nyud): 5000 + index; 381, 414 and 654 frames

MATLAB stores arrays transposed, so that width comes before height. The first file needs h5py, the
two small .mat files, which are of an older format, scipy; the lists need neither.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.label_sets import NYU40
from training.data.folders import DataSource, Frames, check_views, read_list
from training.data.images import MAX_IMAGE_PIXELS
from training.data.nyu import VIEWS, NyuSample

Array = npt.NDArray[Any]

SOURCE = DataSource(
    'NYU-Depth-v2',
    'nyu_depth_v2_labeled.mat',
    'download it (2.8 GB) from https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html; splits.mat '
    'and classMapping40.mat are in the toolbox there and in github.com/VainF/nyuv2-python-toolkit,'
    ' the lists in github.com/shelhamer/fcn.berkeleyvision.org, data/nyud.',
)

FRAMES = 1449
SOURCE_CLASSES = 894

_FCN_OFFSET = 5000
_MAX_SMALL_BYTES = 2**22
_ARRAYS: dict[str, tuple[int, np.dtype[Any]]] = {
    'images': (4, np.dtype(np.uint8)),
    'depths': (3, np.dtype(np.float32)),
    'rawDepths': (3, np.dtype(np.float32)),
    'labels': (3, np.dtype(np.uint16)),
}


class NyuMat(Frames[NyuSample]):
    """Frames of nyu_depth_v2_labeled.mat.

    The file is opened per frame, so that worker processes do not share a handle.

    Args:
        path: of the .mat.
        indices: 1-based, of `read_splits` or `read_fcn_list`; None takes all.
        classes: of `read_class_mapping`; needed for labels.
        views: label, depth_raw.

    Raises:
        ConfigError: a view is unknown, or labels are asked for without classes.
        DatasetError: h5py is not installed; the file is missing, cut off or has other arrays; an
            index is beyond it.
    """

    label_set = NYU40

    def __init__(
        self,
        path: Path | str,
        indices: Sequence[int] | None = None,
        *,
        classes: Array | None = None,
        views: Sequence[str] = (),
    ) -> None:
        self.path, self.views = Path(path), check_views(views, VIEWS)
        if 'label' in self.views and classes is None:
            raise ConfigError('classes must be given where label is among the views')
        self._classes = None if classes is None else _checked_mapping(classes, 'classes')
        self._arrays = {'rgb': 'images', 'depth': 'depths'}
        self._arrays |= {'label': 'labels'} if 'label' in self.views else {}
        self._arrays |= {'depth_raw': 'rawDepths'} if 'depth_raw' in self.views else {}
        count = self._check()
        self.indices = tuple(range(1, count + 1) if indices is None else indices)
        if not self.indices or not 1 <= min(self.indices) <= max(self.indices) <= count:
            raise DatasetError(f'indices must be 1 to {count}, the frames of {self.path}')

    def __len__(self) -> int:
        return len(self.indices)

    def _read(self, index: int) -> NyuSample:
        number = self.indices[index]
        with self._opened() as file:
            parts = {p: self._frame(file, array, number) for p, array in self._arrays.items()}
        return NyuSample(
            f'{number:04d}',
            parts['rgb'],
            self._meters(parts['depth'], number),
            self._label(parts['label'], number) if 'label' in parts else None,
            self._meters(parts['depth_raw'], number) if 'depth_raw' in parts else None,
        )

    def _opened(self) -> Any:
        """The open file.

        Raises:
            DatasetError: it is missing, cut off, or no HDF5 file.
        """
        # Not kept: worker processes get this object pickled, a module cannot be.
        h5py = _library('h5py', self.path)
        if not self.path.is_file():
            raise DatasetError(
                f'{SOURCE.name} must be at {self.path}; there is no such file.\n'
                f'How to get it: {SOURCE.how_to_get}'
            )
        try:
            return h5py.File(self.path, 'r')
        except OSError as error:
            raise DatasetError(
                f'{self.path} must be a whole HDF5 file: {error}. Download it again.'
            ) from error

    def _check(self) -> int:
        """Number of frames, if all arrays are there and fit."""
        with self._opened() as file:
            shapes = {name: _shape(file, name, self.path) for name in self._arrays.values()}
        frames, width, height = shapes['depths']
        plain = (frames, width, height)
        wanted = {**dict.fromkeys(shapes, plain), 'images': (frames, 3, width, height)}
        if shapes != wanted or not 0 < width * height <= MAX_IMAGE_PIXELS:
            raise DatasetError(f'arrays of {self.path} must be {wanted}, they are {shapes}')
        return int(frames)

    def _frame(self, file: Any, array: str, number: int) -> Array:
        try:
            stored = np.asarray(file[array][number - 1])
        except OSError as error:
            raise DatasetError(
                f'{array} of frame {number} in {self.path} is damaged: {error}. Download it again.'
            ) from error
        # After the frame's own axis is gone, all the others are reversed.
        return np.ascontiguousarray(stored.T)

    def _meters(self, depth: Array, number: int) -> Array:
        if not np.isfinite(depth).all() or depth.min() < 0:
            raise DatasetError(f'depths of frame {number} in {self.path} must be >= 0 m: damaged?')
        return depth.astype(np.float32)

    def _label(self, ids: Array, number: int) -> Array:
        assert self._classes is not None
        if ids.max() > SOURCE_CLASSES:
            raise DatasetError(
                f'labels of frame {number} in {self.path} must be 0 to {SOURCE_CLASSES}, there is '
                f'{ids.max()}: damaged?'
            )
        return NYU40.train_ids_from_file_ids(self._classes[ids])


def read_splits(path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """1-based indices of the training and the test frames, from splits.mat.

    Raises:
        DatasetError: scipy is not installed, or the file is not as described.
    """
    arrays = _read_small_mat(path, ('trainNdxs', 'testNdxs'))
    train, test = (tuple(int(number) for number in array.ravel()) for array in arrays)
    both = {*train, *test}
    if len(both) < len(train) + len(test) or not all(1 <= n <= FRAMES for n in both):
        raise DatasetError(f'{path} must hold indices 1 to {FRAMES}, each in one split only')
    return train, test


def read_class_mapping(path: Path) -> Array:
    """Ids of the .mat -> 40 classes: uint8 [895], 0 = void, from classMapping40.mat.

    Raises:
        DatasetError: scipy is not installed, or the file is not as described.
    """
    (array,) = _read_small_mat(path, ('mapClass',))
    return _checked_mapping(np.concatenate([[0], array.ravel()]), str(path))


def read_fcn_list(path: Path) -> tuple[int, ...]:
    """1-based indices of a list of FCN, which counts from 5001.

    Raises:
        DatasetError: the list is missing or holds other numbers.
    """
    lines = read_list(path, SOURCE)
    bad = [n for n in lines if not n.isdecimal() or not 1 <= int(n) - _FCN_OFFSET <= FRAMES]
    if bad:
        raise DatasetError(
            f'{path} must hold the numbers {_FCN_OFFSET + 1} to {_FCN_OFFSET + FRAMES}, it has '
            f'{bad[:5]}'
        )
    return tuple(int(line) - _FCN_OFFSET for line in lines)


def _checked_mapping(mapping: Array, name: str) -> Array:
    whole = np.asarray(mapping).shape == (SOURCE_CLASSES + 1,) and mapping[0] == 0
    if not whole or not np.isin(mapping, range(NYU40.num_classes + 1)).all():
        raise DatasetError(
            f'{name} must map the ids 0 to {SOURCE_CLASSES} to 0-{NYU40.num_classes}, 0 to 0'
        )
    return np.asarray(mapping, np.uint8)


def _read_small_mat(path: Path, names: tuple[str, ...]) -> list[Array]:
    io = _library('scipy.io', path)
    if not path.is_file() or path.stat().st_size > _MAX_SMALL_BYTES:
        raise DatasetError(
            f'{path} must be a file of {_MAX_SMALL_BYTES} bytes at most.\n'
            f'How to get it: {SOURCE.how_to_get}'
        )
    try:
        content = io.loadmat(path, variable_names=names)
        return [np.asarray(content[name], np.float64) for name in names]
    except Exception as error:  # scipy raises whatever damage leads it to
        raise DatasetError(f'{path} must be a .mat file with {names}: {error!r}') from error


def _shape(file: Any, name: str, path: Path) -> tuple[int, ...]:
    dimensions, dtype = _ARRAYS[name]
    array = file.get(name)
    if getattr(array, 'ndim', 0) != dimensions or array.dtype.kind != dtype.kind:
        raise DatasetError(
            f'{path} must hold {name} of {dimensions} dimensions and type {dtype}; it has '
            f'{sorted(file)}, and there {array}'
        )
    return tuple(array.shape)


def _library(name: str, path: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition('.')[0]
        raise DatasetError(
            f'{package} must be installed to read {path}: pip install {package}'
        ) from None
