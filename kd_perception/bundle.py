# SPDX-License-Identifier: Apache-2.0
"""The student bundle: the one thing that passes from training to the robot.

A folder with ``student.yaml`` (what the student is, and the SHA-256 of every other file),
``student.onnx`` (graph), ``student.safetensors`` (the same weights for torch), ``MODEL_CARD.md``
and, where it passed its gate, ``student_int8.onnx`` (the graph in 8 bit integers). A depth student
may hold another whole bundle, ``second_student``. Loading reads each file once, bounded in size,
and checks its hash; what is run later is what was checked.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kd_perception.bundle_files import (
    CARD_FILE,
    DESCRIPTION_FILE,
    GRAPH_FILE,
    INT8_GRAPH_FILE,
    MAX_BYTES,
    SECOND_FOLDER,
    WEIGHTS_FILE,
    check_self_contained,
    check_size,
    read_file,
    read_verified,
    sha256_of,
)
from kd_perception.bundle_pair import check_pair
from kd_perception.bundle_schema import StudentSpec, spec_from_mapping
from kd_perception.errors import BundleError
from kd_perception.files import replace_folder
from kd_perception.frames import ByteImage

FORMAT_VERSION = 1


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
        second: The other student of ``spec.depth.second``.
    """

    spec: StudentSpec
    onnx: bytes
    weights: bytes
    sha256: str
    folder: Path
    onnx_int8: bytes = b''
    second: Student | None = None

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
    second: Student | None = None,
) -> str:
    """Write a bundle; an existing one at the same place is replaced only by a complete one.

    Args:
        folder: Bundle folder to make.
        spec: What the student is.
        onnx: Graph file.
        weights: safetensors file.
        model_card: What it was trained on, how good it is and where it fails (Markdown).
        onnx_int8: Graph file in 8 bit integers; goes with ``spec.quantization``.
        second: Goes with ``spec.depth.second``; its bundle is copied.

    Returns:
        The bundle's SHA-256.

    Raises:
        BundleError: The folder exists and is not a bundle, a file is too large, an int8 graph
            comes without its measurement or the reverse, or the second student is another than
            the description says, or none that can be compared with the first.
    """
    if folder.exists() and not (folder / DESCRIPTION_FILE).is_file():
        raise BundleError(f'{folder} must be new or a bundle; it is something else: name another')
    contents = {GRAPH_FILE: onnx, WEIGHTS_FILE: weights, CARD_FILE: model_card.encode()}
    if onnx_int8:
        contents[INT8_GRAPH_FILE] = onnx_int8
    _check_quantization(spec, bool(onnx_int8))
    _check_second(spec, second)
    files = {name: {'sha256': sha256_of(data)} for name, data in contents.items()}
    document = {'format_version': FORMAT_VERSION, **_plain(asdict(spec)), 'files': files}
    description = yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode()
    contents[DESCRIPTION_FILE] = description
    for name, data in contents.items():
        check_size(name, len(data))
    for graph in (onnx, onnx_int8):
        check_self_contained(graph)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if second is not None:
        contents |= _files_of_second(second)
    _replace_folder(folder, contents, spec)
    return sha256_of(description)


def _files_of_second(second: Student) -> dict[str, bytes]:
    names = [name for name in MAX_BYTES if (second.folder / name).is_file()]
    return {f'{SECOND_FOLDER}/{name}': read_file(second.folder, name) for name in names}


def _replace_folder(folder: Path, contents: dict[str, bytes], spec: StudentSpec) -> None:
    staging = Path(tempfile.mkdtemp(prefix=f'.{folder.name}.', dir=folder.parent))
    try:
        for name, data in contents.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(data)
        _load_second(staging, spec)
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
    description = read_file(folder, DESCRIPTION_FILE)
    actual = sha256_of(description)
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
    contents = {name: read_verified(folder, name, hashes) for name in (*graphs, WEIGHTS_FILE)}
    for name in graphs:
        check_self_contained(contents[name])
    read_verified(folder, CARD_FILE, hashes)
    return Student(
        spec,
        contents[GRAPH_FILE],
        contents[WEIGHTS_FILE],
        actual,
        folder,
        contents.get(INT8_GRAPH_FILE, b''),
        _load_second(folder, spec),
    )


def _load_second(folder: Path, spec: StudentSpec) -> Student | None:
    expected = None if spec.depth is None else spec.depth.second
    inner = folder / SECOND_FOLDER
    if expected is None:
        return None
    if inner.is_symlink():
        raise BundleError(f'{inner} must lie in the bundle; it leads to {inner.resolve()}')
    second = load_student(inner, sha256=expected.sha256)
    check_pair(spec, second.spec)
    return second


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


def _check_quantization(spec: StudentSpec, has_graph: bool) -> None:
    if (spec.quantization is not None) != has_graph:
        raise BundleError(
            f'{INT8_GRAPH_FILE} and its measurement in student.yaml (quantization) must come '
            'together: quantize the student again'
        )


def _check_second(spec: StudentSpec, second: Student | None) -> None:
    if second is not None:
        check_pair(spec, second.spec)
    if (spec.depth is not None and spec.depth.second is not None) != (second is not None):
        raise BundleError(
            f'{SECOND_FOLDER} and its entry in student.yaml (depth.second) must come together: '
            'join the students again'
        )


def _plain(value: Any) -> Any:
    """Turn tuples into lists so that the YAML is readable by any safe loader."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
