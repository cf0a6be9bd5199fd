# SPDX-License-Identifier: Apache-2.0
"""What all loaders share: samples by index, listings and split lists."""

from __future__ import annotations

import pytest

from kd_perception.errors import ConfigError, DatasetError
from training.data import folders
from training.data.folders import (
    DataSource,
    Frames,
    check_files,
    check_root,
    check_views,
    file_names,
    read_list,
)

SOURCE = DataSource('Toy', 'a/<stem>.png\nb/<stem>.png', 'draw it yourself.')


@pytest.fixture
def tree(tmp_path):
    for folder in 'ab':
        (tmp_path / folder).mkdir()
        for stem in range(6):
            (tmp_path / folder / f'{stem}.png').touch()
    return tmp_path


FILES = [f'{folder}/{stem}.png' for folder in 'ab' for stem in range(6)]


def test_whole_tree_passes(tree):
    (tree / 'top.txt').touch()
    check_files(tree, [*FILES, 'top.txt'], SOURCE)


def test_message_says_what_is_missing_where_and_how_to_get_it(tree):
    (tree / 'b/4.png').unlink()
    with pytest.raises(DatasetError) as caught:
        check_files(tree, FILES, SOURCE)
    text = str(caught.value)
    assert '1 of 12 files are missing: b/4.png.' in text
    assert str(tree) in text and 'a/<stem>.png' in text
    assert 'a: 6, b: 5' in text and 'draw it yourself' in text


def test_layout_may_be_indented_in_the_source(tmp_path):
    source = DataSource('Toy', '''
        a/<stem>.png
          b.txt
        ''', 'draw it.')  # fmt: skip
    with pytest.raises(DatasetError, match=r'as\n    a/<stem>\.png\n      b\.txt\nbut'):
        check_root(tmp_path / 'none', source)


def test_many_missing_files_are_counted_and_only_some_named(tree):
    for file in (tree / 'a').iterdir():
        file.unlink()
    with pytest.raises(DatasetError, match=r'6 of 12 .*: a/0\.png, .*a/4\.png, \.\.\.') as caught:
        check_files(tree, FILES, SOURCE)
    assert 'a/5.png' not in str(caught.value)


def test_wrong_root_shows_what_is_there(tree):
    with pytest.raises(DatasetError, match=r'12 of 12(.|\n)*the root holds 0\.png, 1\.png'):
        check_files(tree / 'a', FILES, SOURCE)
    with pytest.raises(DatasetError, match='no such folder'):
        check_root(tree / 'c', SOURCE)


def test_each_folder_is_listed_once(tree, monkeypatch):
    listed = []

    def listing(folder, suffix=''):
        listed.append(folder.name)
        return file_names(folder, suffix)

    monkeypatch.setattr(folders, 'file_names', listing)
    check_files(tree, FILES * 50, SOURCE)
    assert sorted(listed) == ['a', 'b']


def test_hidden_files_are_no_samples(tree):
    (tree / 'a/._0.png').touch()
    assert file_names(tree / 'a', '.png') == [f'{stem}.png' for stem in range(6)]
    assert file_names(tree / 'c') == []


@pytest.mark.parametrize('text', ['x\ny\n', 'x\r\n\r\ny', '\ufeffx \n\ty'])
def test_list_is_read_from_any_editor(tmp_path, text):
    (tmp_path / 'train.txt').write_bytes(text.encode())
    assert read_list(tmp_path / 'train.txt', SOURCE) == ('x', 'y')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'\n \n', 'is empty'),
        (b'x\ny\nx\n', 'once.*repeats x$'),
        (b'../x\n', 'name files of its set'),
        (b'/etc/x\n', 'name files of its set'),
        (b'\x89PNG\r\n', 'must be text'),
    ],
)
def test_faulty_lists_are_refused(tmp_path, content, message):
    path = tmp_path / 'train.txt'
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_list(path, SOURCE)


def test_repeated_lines_may_be_allowed(tmp_path):
    (tmp_path / 'train.txt').write_text('x\nx\n')
    assert read_list(tmp_path / 'train.txt', SOURCE, unique=False) == ('x', 'x')


def test_missing_list_names_those_that_are_there(tmp_path):
    (tmp_path / 'test.txt').write_text('x')
    with pytest.raises(DatasetError, match=r'train\.txt; lists found there: test\.txt'):
        read_list(tmp_path / 'train.txt', SOURCE)


class Letters(Frames[str]):
    """Three samples."""

    def __len__(self):
        return 3

    def _read(self, index):
        return 'abc'[index]


def test_samples_are_those_of_indices_from_zero():
    letters = Letters()
    assert list(letters) == ['a', 'b', 'c']
    assert letters[2] == 'c'
    for index in (-1, 3):
        with pytest.raises(IndexError, match=f'0 to 2, got {index}'):
            letters[index]


def test_views_are_those_offered():
    assert check_views(['b', 'a'], ('a', 'b')) == ('b', 'a')
    assert check_views('ab', ('ab', 'c')) == ('ab',)
    with pytest.raises(ConfigError, match=r"of \('a', 'b'\), got \('a', 'c'\)"):
        check_views(['a', 'c'], ('a', 'b'))
