# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from kd_perception.files import replace_folder


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / 'content').write_text(text)
    return path


def test_the_new_replaces_the_old(tmp_path: Path) -> None:
    target = folder(tmp_path / 'target', 'old')
    replace_folder(folder(tmp_path / 'staged', 'new'), target)
    assert (target / 'content').read_text() == 'new'
    assert [path.name for path in tmp_path.iterdir()] == ['target']


@pytest.mark.parametrize('step', [1, 2])
def test_an_interrupt_leaves_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    target, staged = folder(tmp_path / 'target', 'old'), folder(tmp_path / 'staged', 'new')
    rename, calls = Path.rename, []

    def interrupted(self: Path, other: Path) -> Path:
        calls.append(other)
        if len(calls) == step:
            raise KeyboardInterrupt
        return rename(self, other)

    monkeypatch.setattr(Path, 'rename', interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(staged, target)
    assert (target / 'content').read_text() == 'old'
    assert (staged / 'content').read_text() == 'new'
