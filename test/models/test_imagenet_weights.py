# SPDX-License-Identifier: Apache-2.0
"""Files that hold no weights, hold too much, or would run code."""

from __future__ import annotations

import os

import pytest
import torch

from kd_perception.errors import ConfigError
from kd_perception.models.imagenet_weights import read_weights


class Intruder:
    """Creates a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({'conv1.weight': Intruder(str(tmp_path / 'ran'))}, tmp_path / 'weights.pth')
    with pytest.raises(ConfigError, match='tensors only'):
        read_weights(tmp_path / 'weights.pth')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('name', ['weights.pth', 'weights.safetensors'])
@pytest.mark.parametrize('content', [b'', b'not a tensor in sight', b'PK\x03\x04', bytes(100)])
def test_damaged_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match='weights'):
        read_weights(tmp_path / name)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'model': {'conv1.weight': torch.zeros(1)}}, r"dict with the keys \['model'\]"),
        (torch.zeros(3), 'a Tensor'),
        ({}, 'a dict'),
        ({1: torch.zeros(1)}, r'keys \[1\]'),
    ],
)
def test_other_contents_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / 'weights.pth')
    with pytest.raises(ConfigError, match=message):
        read_weights(tmp_path / 'weights.pth')


def test_size_is_bounded(tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save({'a': torch.zeros(8)}, path)
    size = path.stat().st_size
    assert read_weights(path, max_bytes=size).keys() == {'a'}
    with pytest.raises(ConfigError, match=f'at most {size - 1} bytes'):
        read_weights(path, max_bytes=size - 1)


def test_missing_file_and_folder_are_refused(tmp_path):
    for path in (tmp_path / 'absent.pth', tmp_path):
        with pytest.raises(ConfigError, match='local file'):
            read_weights(path)
