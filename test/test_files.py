# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kd_perception.files import replace_folder, unfinished_files, write_atomically


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


def test_a_file_is_written_for_all_to_read(tmp_path: Path) -> None:
    write_atomically(tmp_path / 'a', lambda file: file.write(b'old'))
    write_atomically(tmp_path / 'a', lambda file: file.write(b'new'))
    assert (tmp_path / 'a').read_bytes() == b'new'
    assert (tmp_path / 'a').stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ['a']


@pytest.mark.parametrize('error', [OSError('no space left'), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / 'a'
    target.write_bytes(b'old')

    def failing(file: object) -> None:
        file.write(b'half')  # type: ignore[attr-defined]
        raise error

    with pytest.raises(type(error)):
        write_atomically(target, failing)
    assert target.read_bytes() == b'old'
    assert [path.name for path in tmp_path.iterdir()] == ['a']


def test_bytes_are_on_the_disk_before_the_file_is_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda handle: (events.append('sync'), sync(handle)))
    monkeypatch.setattr(os, 'replace', lambda *names: (events.append('move'), replace(*names)))
    write_atomically(tmp_path / 'a', lambda file: file.write(b'content'))
    assert events == ['sync', 'move']


def test_what_a_killed_process_left_is_found(tmp_path: Path) -> None:
    code = (
        'import os, signal; from pathlib import Path\n'
        'from kd_perception.files import write_atomically\n'
        f'write_atomically(Path({str(tmp_path / "a")!r}), '
        'lambda file: os.kill(os.getpid(), signal.SIGKILL))'
    )
    subprocess.run([sys.executable, '-c', code], check=False, timeout=60)
    write_atomically(tmp_path / 'ab', lambda file: file.write(b'other'))
    (left,) = unfinished_files(tmp_path / 'a')
    assert left.exists() and not (tmp_path / 'a').exists()
    assert unfinished_files(tmp_path / 'ab') == []
