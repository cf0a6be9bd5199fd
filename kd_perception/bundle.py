# SPDX-License-Identifier: Apache-2.0
"""The student bundle: the one thing that passes from training to the robot.

A folder with ``student.yaml`` (what the student is, and the SHA-256 of every other file),
``student.onnx`` (graph), ``student.safetensors`` (the same weights for torch), ``MODEL_CARD.md``
and, where it passed its gate, ``student_int8.onnx`` (the graph in 8 bit integers). Loading reads
each file once, bounded in size, and checks its hash; what is run later is what was checked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kd_perception.bundle_schema import StudentSpec, spec_from_mapping
from kd_perception.errors import BundleError
from kd_perception.files import replace_folder
from kd_perception.frames import ByteImage

FORMAT_VERSION = 1
DESCRIPTION_FILE = 'student.yaml'
GRAPH_FILE = 'student.onnx'
INT8_GRAPH_FILE = 'student_int8.onnx'
WEIGHTS_FILE = 'student.safetensors'
CARD_FILE = 'MODEL_CARD.md'

_MAX_BYTES = {
    DESCRIPTION_FILE: 2**20,
    GRAPH_FILE: 2**30,
    INT8_GRAPH_FILE: 2**30,
    WEIGHTS_FILE: 2**30,
    CARD_FILE: 2**20,
}


@dataclass(frozen=True)
class Student:
    """A loaded and verified bundle.

    Attributes:
        spec: What the student is.
        onnx: The graph, static shape (1, channels, height, width) to (1, classes, h, w).
        weights: The safetensors file.
        sha256: Hash of ``student.yaml``, which holds the hashes of the other files.
        folder: Where it was loaded from.
        onnx_int8: The graph in 8 bit integers; empty where the bundle has none.
    """

    spec: StudentSpec
    onnx: bytes
    weights: bytes
    sha256: str
    folder: Path
    onnx_int8: bytes = b''

    @property
    def palette(self) -> ByteImage:
        """Color of every mask value, 256x3 uint8 RGB; black where no class is."""
        palette = np.zeros((256, 3), np.uint8)
        for info in self.spec.classes:
            palette[info.id] = info.color
        return palette


def save_student(
    folder: Path,
    spec: StudentSpec,
    *,
    onnx: bytes,
    weights: bytes,
    model_card: str,
    onnx_int8: bytes = b'',
) -> str:
    """Write a bundle; an existing one at the same place is replaced only by a complete one.

    Args:
        folder: Bundle folder to make.
        spec: What the student is.
        onnx: Graph file.
        weights: safetensors file.
        model_card: What it was trained on, how good it is and where it fails (Markdown).
        onnx_int8: Graph file in 8 bit integers; goes with ``spec.quantization``.

    Returns:
        The bundle's SHA-256.

    Raises:
        BundleError: The folder exists and is not a bundle, a file is too large, or an int8 graph
            comes without its measurement or the reverse.
    """
    if folder.exists() and not (folder / DESCRIPTION_FILE).is_file():
        raise BundleError(f'{folder} must be new or a bundle; it is something else: name another')
    contents = {GRAPH_FILE: onnx, WEIGHTS_FILE: weights, CARD_FILE: model_card.encode()}
    if onnx_int8:
        contents[INT8_GRAPH_FILE] = onnx_int8
    _check_quantization(spec, bool(onnx_int8))
    files = {name: {'sha256': _sha256(data)} for name, data in contents.items()}
    document = {'format_version': FORMAT_VERSION, **_plain(asdict(spec)), 'files': files}
    description = yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode()
    contents[DESCRIPTION_FILE] = description
    for name, data in contents.items():
        _check_size(name, len(data))
    for graph in (onnx, onnx_int8):
        _check_self_contained(graph)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _replace_folder(folder, contents)
    return _sha256(description)


def _replace_folder(folder: Path, contents: dict[str, bytes]) -> None:
    staging = Path(tempfile.mkdtemp(prefix=f'.{folder.name}.', dir=folder.parent))
    try:
        for name, data in contents.items():
            (staging / name).write_bytes(data)
        staging.chmod(0o755)
        replace_folder(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def load_student(folder: Path, *, sha256: str = '') -> Student:
    """Load and verify a bundle.

    Args:
        folder: Bundle folder.
        sha256: The bundle's expected hash; not checked when empty.

    Raises:
        BundleError: A file is missing, unreadable, too large, damaged, or outside the folder, the
            description does not follow the schema, or the hash is another than expected.
    """
    description = _read(folder, DESCRIPTION_FILE)
    actual = _sha256(description)
    if sha256 and sha256.lower() != actual:
        raise BundleError(
            f'the bundle {folder} must have the SHA-256 {sha256}; it has {actual}: check '
            'model.path and model.sha256'
        )
    document = _parse(description, folder)
    hashes = document.pop('files')
    spec = spec_from_mapping(document)
    _check_quantization(spec, INT8_GRAPH_FILE in hashes)
    graphs = [GRAPH_FILE, *([INT8_GRAPH_FILE] if spec.quantization else [])]
    contents = {name: _read_verified(folder, name, hashes) for name in (*graphs, WEIGHTS_FILE)}
    for name in graphs:
        _check_self_contained(contents[name])
    _read_verified(folder, CARD_FILE, hashes)
    return Student(
        spec,
        contents[GRAPH_FILE],
        contents[WEIGHTS_FILE],
        actual,
        folder,
        contents.get(INT8_GRAPH_FILE, b''),
    )


def _parse(description: bytes, folder: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(description)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BundleError(f'{folder / DESCRIPTION_FILE} must be YAML; {error}') from error
    if not isinstance(document, dict):
        raise BundleError(f'{folder / DESCRIPTION_FILE} must hold a mapping: export it again')
    version = document.pop('format_version', None)
    if version != FORMAT_VERSION:
        raise BundleError(
            f'format_version must be {FORMAT_VERSION}; received {version!r}: export the student '
            'with this version of the package'
        )
    if not isinstance(document.get('files'), dict):
        raise BundleError('student.yaml must list the files and their hashes: export it again')
    return document


def _read_verified(folder: Path, name: str, hashes: dict[str, Any]) -> bytes:
    entry = hashes.get(name)
    expected = entry.get('sha256') if isinstance(entry, dict) else None
    data = _read(folder, name)
    if _sha256(data) != expected:
        raise BundleError(
            f'{folder / name} must have the SHA-256 {expected}; it has {_sha256(data)}: the file '
            'is damaged or was changed, copy the bundle again'
        )
    return data


def _read(folder: Path, name: str) -> bytes:
    """Read one file of the bundle; links that leave the folder are refused."""
    path = folder / name
    try:
        if path.resolve(strict=True).parent != folder.resolve(strict=True):
            raise BundleError(f'{path} must lie in the bundle; it leads to {path.resolve()}')
        with path.open('rb') as stream:
            _check_size(name, os.fstat(stream.fileno()).st_size)
            return stream.read()
    except (OSError, RuntimeError) as error:
        raise BundleError(f'{path} must be a readable file of the bundle; {error}') from error


def _check_size(name: str, size: int) -> None:
    if size > _MAX_BYTES[name]:
        raise BundleError(f'{name} may have {_MAX_BYTES[name]} bytes at most; received {size}')


def _check_quantization(spec: StudentSpec, has_graph: bool) -> None:
    if (spec.quantization is not None) != has_graph:
        raise BundleError(
            f'{INT8_GRAPH_FILE} and its measurement in student.yaml (quantization) must come '
            'together: quantize the student again'
        )


def _check_self_contained(onnx: bytes) -> None:
    """Refuse a graph whose weights lie in other files, which no hash here covers."""
    if b'location' in onnx:  # the key that every tensor with external data has
        raise BundleError(
            'a graph must hold its weights itself; it has tensors (or names) with '
            '"location": export it with external_data=False'
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any) -> Any:
    """Turn tuples into lists so that the YAML is readable by any safe loader."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
