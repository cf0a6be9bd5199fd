# SPDX-License-Identifier: Apache-2.0
"""Tables of tags: read as they are written, by a page or a spreadsheet too; or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.tagging import TagTable, read_tag_table
from kd_perception.tagging.tag_table import changed_classes


@st.composite
def tables(draw):
    classes = draw(
        st.lists(
            st.from_regex(r'[A-Za-z][A-Za-z0-9 _-]{0,8}[a-z]', fullmatch=True),
            min_size=1, max_size=4, unique=True,
        )
    )  # fmt: skip
    names = draw(st.lists(st.from_regex(r'[0-9_]{1,12}', fullmatch=True), unique=True, max_size=6))
    tags = st.none() | st.tuples(*[st.booleans()] * len(classes))
    return TagTable(tuple(classes), {name: draw(tags) for name in names})


@given(tables())
def test_tables_are_read_as_they_were_written(tmp_path_factory, table):
    path = tmp_path_factory.mktemp('tags') / 'tags.csv'
    table.write(path)
    assert read_tag_table(path) == table


def read(tmp_path, text):
    path = tmp_path / 'tags.csv'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_tag_table(path)


def test_what_a_spreadsheet_writes_is_read(tmp_path):
    lines = ('frame,looked_at,car,traffic cone', ' 17 ,1,x,', '18,,X,0', '19,,,', '', '20,1,0,0')
    table = read(tmp_path, b'\xef\xbb\xbf' + '\r\n'.join(lines).encode())
    assert table.classes == ('car', 'traffic cone')
    assert table.rows == {
        '17': (True, False), '18': (True, False), '19': None, '20': (False, False),
    }  # fmt: skip
    assert list(table.tagged()) == ['17', '18', '20']


@pytest.mark.parametrize('mark', [';', '\t'])
def test_other_marks_and_empty_columns_are_read(tmp_path, mark):
    lines = ('frame,looked_at,car,bus,,', 't17,1,x,,,', 't18,1,,,,,,', ',,,,,', 't19,,,1,,')
    table = read(tmp_path, '\n'.join(lines).replace(',', mark))
    assert table.classes == ('car', 'bus')
    assert table.rows == {'t17': (True, False), 't18': (False, False), 't19': (False, True)}


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'must begin with frame,looked_at'),
        ('frame,car\n', 'must begin with frame,looked_at'),
        ('frame,looked_at\n', 'classes must be 1 to 64'),
        ('frame,looked_at,car,car\n', 'distinct names'),
        ('frame,looked_at,background\n', 'other than background'),
        ('frame,looked_at,car\n17,1,1,1\n', 'line 2 must have 2 cells .* it has 3'),
        ('frame,looked_at,car\n17,1,2\n', "line 2 must say 1, x, 0 or nothing of car, .* '2'"),
        ('frame,looked_at,car\n17,TRUE,1\n', "nothing of looked_at, it says 'TRUE'"),
        ('frame,looked_at,car\n17,1,1\n17,1,0\n', 'line 3 must name another frame'),
        ('frame,looked_at,car\n../17,1,1\n', 'by letters, digits'),
        ('frame,looked_at,car\n1.7E+18,1,1\n', r'frame 1\.7E\+18: a spreadsheet took its name'),
        ('frame;looked_at;car\n1,7E+18;1;1\n', 'a spreadsheet took its name'),
        ('frame,looked_at,car\n"17,1,1\n', 'table of tags'),
        (b'\xff\xfe\x00', 'table of tags'),
    ],
)
def test_broken_tables_are_refused(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, text)


def test_a_missing_table_says_how_it_is_made(tmp_path):
    with pytest.raises(DatasetError, match='kd-perception tag BAG --out'):
        read_tag_table(tmp_path / 'tags.csv')


@pytest.mark.parametrize('name', ['', 'a,b', '=SUM(1)', 'frame', 'x' * 51, ' car'])
def test_impossible_class_names_are_refused(name):
    with pytest.raises(ConfigError, match='distinct names'):
        TagTable((name,))


def test_older_tags_are_kept_by_class_name_and_newer_ones_win():
    older = TagTable(('person', 'car'), {'1': (True, False), '2': (True, True), '9': (True, True)})
    newer = TagTable(('car', 'bike'), {'1': None, '2': (False, True), '3': None})
    merged = newer.merged(['1', '2', '3'], older)
    assert merged.classes == ('car', 'bike')
    assert merged.rows == {'1': (False, False), '2': (False, True), '3': None}


def test_changed_classes_are_told_where_frames_were_tagged_before():
    older = TagTable(
        ('person', 'car'), {'1': (True, False), '2': (False, False), '3': None, '4': (True, False)}
    )
    newer = TagTable(('person', 'bike', 'bus'), {'9': None}).merged(['1', '2', '3', '9'], older)
    (new,) = changed_classes(older, newer)
    assert new.startswith('2 frames were tagged before bike, bus came: they count as frames')
    fewer = TagTable(('car',)).merged(['1', '2'], older)
    assert changed_classes(older, fewer) == ['tags of person are left out of the table']
    same = TagTable(('car', 'person')).merged(['1'], older)
    assert changed_classes(older, same) == []
    untagged = TagTable(('person',), {'1': None})
    assert changed_classes(untagged, TagTable(('bike',)).merged(['1'], untagged)) == []
