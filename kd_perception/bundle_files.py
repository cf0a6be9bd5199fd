# SPDX-License-Identifier: Apache-2.0
"""The files of a student bundle: their names, how large they may be, and how they are read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from kd_perception.errors import BundleError

DESCRIPTION_FILE = 'student.yaml'
GRAPH_FILE = 'student.onnx'
INT8_GRAPH_FILE = 'student_int8.onnx'
WEIGHTS_FILE = 'student.safetensors'
CARD_FILE = 'MODEL_CARD.md'
SECOND_FOLDER = 'second_student'

MAX_BYTES = {
    DESCRIPTION_FILE: 2**20,
    GRAPH_FILE: 2**30,
    INT8_GRAPH_FILE: 2**30,
    WEIGHTS_FILE: 2**30,
    CARD_FILE: 2**20,
}


def read_verified(folder: Path, name: str, hashes: dict[str, Any]) -> bytes:
    """Read one file of a bundle, and hold it against the list of hashes.

    Raises:
        BundleError: As :func:`read_file`, or the hash is another.
    """
    entry = hashes.get(name)
    expected = entry.get('sha256') if isinstance(entry, dict) else None
    data = read_file(folder, name)
    if sha256_of(data) != expected:
        raise BundleError(
            f'{folder / name} must have the SHA-256 {expected}; it has {sha256_of(data)}: the '
            'file is damaged or was changed, copy the bundle again'
        )
    return data


def read_file(folder: Path, name: str) -> bytes:
    """Read one file of a bundle.

    Raises:
        BundleError: It cannot be read, is too large, or is a link that leaves the folder.
    """
    path = folder / name
    try:
        if path.resolve(strict=True).parent != folder.resolve(strict=True):
            raise BundleError(f'{path} must lie in the bundle; it leads to {path.resolve()}')
        with path.open('rb') as stream:
            check_size(name, os.fstat(stream.fileno()).st_size)
            return stream.read()
    except (OSError, RuntimeError) as error:
        raise BundleError(f'{path} must be a readable file of the bundle; {error}') from error


def check_size(name: str, size: int) -> None:
    """Check that a file of a bundle is small enough.

    Raises:
        BundleError: It is not.
    """
    if size > MAX_BYTES[name]:
        raise BundleError(f'{name} may have {MAX_BYTES[name]} bytes at most; received {size}')


def check_self_contained(onnx: bytes) -> None:
    """Check that no weights of a graph lie in other files, which no hash here covers.

    Raises:
        BundleError: Some do.
    """
    if b'location' in onnx:  # the key that every tensor with external data has
        raise BundleError(
            'a graph must hold its weights itself; it has tensors (or names) with '
            '"location": export it with external_data=False'
        )


def sha256_of(data: bytes) -> str:
    """Give the hash of a file's content."""
    return hashlib.sha256(data).hexdigest()
