# SPDX-License-Identifier: Apache-2.0
"""Weights of MXNet: its binary files, without MXNet, and its names of Wide ResNet-38.

A `.params` file is a list of arrays and of their names, all little-endian:

    u64 0x112, u64 reserved
    u64 count, then per array: shape, i32 device, i32 number, i32 type, the values in C order
    u64 count, then per name: u64 length, bytes

and a shape is one of three: u32 dimensions (at most 32) and as many u32 sides; or a first word
0xF993FAC8, u32 dimensions and i64 sides; or 0xF993FAC9, i32 0 (dense), u32 dimensions and i64
sides. Nothing in such a file can run, unlike in a pickle.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_perception.errors import ConfigError
from kd_perception.models.imagenet_weights import bounded_bytes, check_fit, read_weights

MAX_BYTES = 2**30
"""Twice what the weights of Wide ResNet-38 take."""

_LIST_MAGIC, _FIRST_MAGIC, _DENSE_MAGIC = 0x112, 0xF993FAC8, 0xF993FAC9
_TYPES = {0: '<f4', 1: '<f8', 2: '<f2'}
_MAX_DIMENSIONS, _MAX_ENTRIES, _MAX_NAME = 32, 100_000, 1000

_NAME = re.compile(
    r'(?:arg:|aux:)?(?:res|bn)(?P<stage>[2-7])(?P<block>a|b\d+)_(?P<branch>branch[a-z0-9]+)_'
    r'(?P<kind>weight|gamma|beta|moving_mean|moving_var)'
)
_ENDS = re.compile(
    r'(?:arg:|aux:)?(?P<layer>conv1a|bn7)_'
    r'(?P<kind>weight|gamma|beta|moving_mean|moving_var)'
)
_KINDS = {
    'weight': 'weight',
    'gamma': 'weight',
    'beta': 'bias',
    'moving_mean': 'running_mean',
    'moving_var': 'running_var',
}


def read_mxnet_params(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, Tensor]:
    """Read a `.params` file.

    Args:
        path: of the file.
        max_bytes: a larger file is refused, >= 1.

    Returns:
        Tensors of float32 by their names in the file.

    Raises:
        ConfigError: the file cannot be read, is too large, or is no such file.
    """
    data = bounded_bytes(path, max_bytes)
    try:
        return _Parser(data).weights()
    except (struct.error, ValueError, UnicodeDecodeError, OverflowError) as error:
        raise ConfigError(f'{path} must be a .params file of MXNet: {error}') from error


class _Parser:
    """A file and the place in it."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def weights(self) -> dict[str, Tensor]:
        magic, _ = self._numbers('<QQ')
        if magic != _LIST_MAGIC:
            raise ValueError(f'it begins with {magic:#x}, not {_LIST_MAGIC:#x}')
        arrays = [self._array() for _ in range(self._count())]
        names = [self._name() for _ in range(self._count())]
        if len(names) != len(arrays) or len(set(names)) < len(names):
            raise ValueError(f'it has {len(arrays)} arrays and the names {names[:4]} ...')
        return dict(zip(names, arrays, strict=True))

    def _numbers(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._data, self._place)
        self._place += struct.calcsize(form)
        return values

    def _bytes(self, size: int) -> bytes:
        part = self._data[self._place : self._place + size]
        if len(part) < size:
            raise ValueError(f'it ends within {size} bytes at {self._place}')
        self._place += size
        return part

    def _count(self) -> int:
        (count,) = self._numbers('<Q')
        if count > _MAX_ENTRIES:
            raise ValueError(f'it claims to have {count} entries')
        return int(count)

    def _name(self) -> str:
        (length,) = self._numbers('<Q')
        if length > _MAX_NAME:
            raise ValueError(f'a name of {length} bytes')
        return self._bytes(length).decode()

    def _shape(self) -> tuple[int, ...]:
        (first,) = self._numbers('<I')
        if first == _DENSE_MAGIC:
            (storage,) = self._numbers('<i')
            if storage != 0:
                raise ValueError(f'an array is not dense but of kind {storage}')
        named = first in (_FIRST_MAGIC, _DENSE_MAGIC)
        dimensions = self._numbers('<I')[0] if named else first
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise ValueError(f'an array of {dimensions} dimensions')
        return self._numbers(f'<{dimensions}{"q" if named else "I"}')

    def _array(self) -> Tensor:
        shape = self._shape()
        _, _, kind = self._numbers('<iii')
        if kind not in _TYPES or min(shape) < 1:
            raise ValueError(f'an array of type {kind} and shape {shape}')
        dtype = np.dtype(_TYPES[kind])
        values = np.frombuffer(self._bytes(math.prod(shape) * dtype.itemsize), dtype)
        return torch.from_numpy(values.astype(np.float32).reshape(shape))


def resnet38_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of Wide ResNet-38 under the names of `ResNet38`.

    Args:
        weights: under MXNet's names, such as `arg:res4b2_branch2a_weight`, or already under those
            of `ResNet38`, which stay.
    """
    renamed = {}
    for name, value in weights.items():
        if found := _NAME.fullmatch(name):
            block = found['block'].removeprefix('b') if found['block'] != 'a' else ''
            place = f'b{found["stage"]}' + (f'_{block}' if block else '')
            layer = 'bn' if found['kind'] != 'weight' else 'conv'
            renamed[f'{place}.{layer}_{found["branch"]}.{_KINDS[found["kind"]]}'] = value
        elif found := _ENDS.fullmatch(name):
            renamed[f'{found["layer"]}.{_KINDS[found["kind"]]}'] = value
        else:
            renamed[name] = value
    return renamed


def read_resnet38_weights(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that a `ResNet38` needs out of a file, without the classifier in it.

    Args:
        path: `.params` of MXNet, `.safetensors`, or a file of `torch.save`.
        expected: state dict of the network. One with one input channel gets the mean of the three
            kernels of the first convolution.

    Raises:
        ConfigError: the file cannot be read, or a weight is missing, unknown or of another shape.
    """
    read = read_mxnet_params if path.suffix == '.params' else read_weights
    weights = resnet38_names(read(path, max_bytes=MAX_BYTES))
    selected = {k: v for k, v in weights.items() if not k.startswith(_CLASSIFIERS)}
    first = selected.get('conv1a.weight')
    if first is not None and first.dim() == 4 and expected['conv1a.weight'].shape[1] == 1:
        selected['conv1a.weight'] = first.mean(dim=1, keepdim=True)
    for key, value in expected.items():
        if key.endswith('num_batches_tracked'):  # MXNet does not count batches
            selected.setdefault(key, value)
    check_fit(selected, expected, str(path))
    return selected


_CLASSIFIERS = ('arg:linear1000', 'linear1000', 'fc8', 'fc.')
