# SPDX-License-Identifier: Apache-2.0
"""What a bag holds, as a hash; of a bag that was hashed before, without reading it again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tqdm import tqdm

from kd_perception.errors import BagError
from kd_perception.files import write_atomically

_SUFFIXES = ('.mcap', '.db3', '.zstd')
_BLOCK_BYTES = 2**22
_KNOWN = 'digests'


def bag_digest(path: Path, cache: Path) -> str:
    """SHA-256 of the files of a bag, in the order of their names; where it lies is no matter.

    Args:
        path: of a bag that can be opened: a folder or a file.
        cache: folder that remembers the hashes of files by path, size and time of change.

    Raises:
        BagError: a file cannot be read.
    """
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if _belongs(f))
    try:
        known = cache / _KNOWN / hashlib.sha256(_state(files).encode()).hexdigest()
        if not known.is_file():
            digest = _hash(files, path.name)
            known.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(known, lambda file: file.write(digest.encode()))
        return known.read_text()
    except OSError as error:
        raise BagError(f'every file of {path} must be readable: {error}') from error


def _belongs(file: Path) -> bool:
    return file.suffix in _SUFFIXES or file.name == 'metadata.yaml'


def _state(files: list[Path]) -> str:
    states = [(file.absolute(), file.stat()) for file in files]
    return '\n'.join(f'{file} {state.st_size} {state.st_mtime_ns}' for file, state in states)


def _hash(files: list[Path], name: str) -> str:
    digest, total = hashlib.sha256(), sum(file.stat().st_size for file in files)
    with tqdm(total=total, desc=f'hash of {name}', unit='B', unit_scale=True) as bar:
        for file in files:
            digest.update(f'{file.stat().st_size}\n'.encode())
            with open(file, 'rb') as stream:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
                    bar.update(len(block))
    return digest.hexdigest()
