# SPDX-License-Identifier: Apache-2.0
"""The page of tags: what it starts from, what its class does, and that its script runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import kd_perception.tagging
from kd_perception.errors import DatasetError
from kd_perception.tagging import TagTable, read_tag_table
from kd_perception.tagging.page import page_data, write_page

SCRIPT = Path(kd_perception.tagging.__file__).parent / 'templates' / 'tags.js'
NODE = shutil.which('node')
needs_node = pytest.mark.skipif(NODE is None, reason='node is not installed')

WHOLE = TagTable(('car', 'person'), {'t17': (True, False), 't18': None, 't19': None})
CUT = TagTable(('car',), {f't{image}_0_{x}': None for image in (9, 10) for x in (0, 1)})

# As much of a browser as the script asks for.
BROWSER = """
const made = [];
class Element {
  constructor(tag) { this.tag = tag; this.children = []; this.style = {}; made.push(this); }
  append(...parts) { this.children.push(...parts); }
  replaceChildren(...parts) { this.children = parts; }
  get firstChild() { return this.children[0]; }
  get lastChild() { return this.children[this.children.length - 1]; }
  querySelector() { return this.button || (this.button = new Element('button')); }
}
const byId = {}, listeners = {}, memory = {};
const document = {
  getElementById: (id) => byId[id] || (byId[id] = new Element(id)),
  createElement: (tag) => new Element(tag),
  addEventListener: (kind, act) => { listeners[kind] = act; },
};
const location = { pathname: '/tags' };
const localStorage = {
  getItem: (key) => (key in memory ? memory[key] : null),
  setItem: (key, text) => { memory[key] = text; },
};
const press = (key) => listeners.keydown({ key, preventDefault() {} });
const down = (figure) => figure.onpointerdown({ preventDefault() {} });
const up = () => listeners.pointerup();
"""


def run(code):
    result = subprocess.run([NODE, '-e', code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def tagging(table, code, kept=None):
    """What a script says that uses the class of the page."""
    start = f'new Tagging({json.dumps(page_data(table))}, {json.dumps(kept)})'
    return run(
        f'const {{ Tagging }} = require({json.dumps(str(SCRIPT))}); const tagging = {start};'
        f'console.log(JSON.stringify((() => {{ {code} }})()));'
    )


def rows(tmp_path, text):
    path = tmp_path / 'tags.csv'
    path.write_text(text)
    return read_tag_table(path).rows


def test_tiles_of_one_place_follow_each_other():
    data = page_data(CUT)
    assert [frame['name'] for frame in data['frames']] == [
        't9_0_0', 't10_0_0', 't9_0_1', 't10_0_1',
    ]  # fmt: skip
    assert data['frames'][1] == {'name': 't10_0_0', 'image': 't10', 'place': (0, 0), 'tags': None}
    assert data['grid'] == (1, 2) and page_data(WHOLE)['grid'] == (1, 1)
    other = TagTable(WHOLE.classes, {**WHOLE.rows, 't19': (True, True)})
    assert page_data(other)['digest'] != page_data(WHOLE)['digest']
    with pytest.raises(DatasetError, match='some are whole'):
        page_data(TagTable(('car',), {'t17': None, 't18_0_0': None}))


@needs_node
def test_the_page_writes_the_table_that_is_read(tmp_path):
    code = """
    const seen = [tagging.name, tagging.done];
    tagging.toggle(1); tagging.toggle(7);        // t18: person
    tagging.next(); tagging.back();              // t19 was looked at before
    const first = tagging.csv();
    tagging.copy();                              // t18: as t17
    tagging.place = 2; tagging.clear(); tagging.next();
    return [seen, first, tagging.csv(), tagging.name];
    """
    seen, first, second, name = tagging(WHOLE, code, kept={'t19': [1, 0], 't18': [1], 't5': None})
    assert (seen, name) == (['t18', 2], 't19')
    assert rows(tmp_path, first) == {
        't17': (True, False), 't18': (False, True), 't19': (True, False),
    }  # fmt: skip
    assert rows(tmp_path, second) == {
        't17': (True, False), 't18': (True, False), 't19': (False, False),
    }  # fmt: skip
    assert read_tag_table(tmp_path / 'tags.csv').text() == second


@needs_node
def test_what_was_said_to_be_not_looked_at_is_remembered():
    assert tagging(WHOLE, 'return [...tagging.rows]', kept={'t17': None})[0] == ['t17', None]
    remembered = tagging(WHOLE, 'tagging.place = 0; tagging.clear(); return tagging.memory();')
    assert json.loads(remembered) == {'t17': None, 't18': None, 't19': None}


@needs_node
def test_a_tile_is_copied_from_its_own_place_in_the_image_before():
    code = """
    tagging.place = 0; tagging.toggle(0);
    tagging.place = 1; tagging.copy();
    tagging.place = 2; tagging.copy();           // the first of its place
    return [...tagging.rows];
    """
    assert tagging(CUT, code) == [
        ['t9_0_0', [True]], ['t10_0_0', [True]], ['t9_0_1', None], ['t10_0_1', None],
    ]  # fmt: skip


@needs_node
def test_the_rest_holds_nothing_and_what_is_known_stays(tmp_path):
    text = tagging(WHOLE, "tagging.set('t18', 1, true); tagging.rest(); return tagging.csv();")
    assert rows(tmp_path, text) == {
        't17': (True, False), 't18': (False, True), 't19': (False, False),
    }  # fmt: skip


@pytest.fixture
def script(tmp_path):
    """The scripts of a page of tiles, in what stands for a browser."""
    write_page(tmp_path / 'index.html', CUT, title='<b>')
    page = (tmp_path / 'index.html').read_text()
    assert '<b>' not in page.split('<body>')[1] and 'http' not in page.split('<body>')[1]
    return BROWSER + '\n'.join(re.findall(r'<script>(.*?)</script>', page, re.DOTALL))


@needs_node
def test_a_class_is_painted_over_images(script):
    found = run(
        script
        + """
    const [look, paintCar] = brushes;
    down(figures[2]); up();                      // shows the third tile
    const shown = [tagging.name, byId.image.children.map((tile) => tile.className)];
    paintCar.onclick();
    down(figures[0]); figures[1].onpointerenter(); up(); figures[3].onpointerenter();
    const painted = JSON.parse(JSON.stringify([...tagging.rows]));
    down(figures[1]); figures[0].onpointerenter(); up();
    const classes = figures.map((figure) => figure.className.trim());
    look.onclick(); byId.rest.onclick();
    console.log(JSON.stringify([shown, painted, [...tagging.rows], classes, Object.keys(memory)]));
    """
    )
    shown, painted, rows, classes, keys = found
    assert shown == ['t9_0_1', ['', 'here']], 'the tile within its image'
    assert painted == [
        ['t9_0_0', [True]], ['t10_0_0', [True]], ['t9_0_1', None], ['t10_0_1', None],
    ]  # fmt: skip
    assert [tags for _, tags in rows] == [[False]] * 4
    assert classes == ['', '', 'here open', 'open']
    assert keys == [f'tags /tags {page_data(CUT)["digest"]}']


@needs_node
def test_keys_tag_and_go_on(script):
    found = run(
        script
        + """
    press('1'); press('ArrowRight'); press('c'); press('Enter'); press('Delete'); press('q');
    console.log(JSON.stringify([tagging.name, [...tagging.rows], byId.state.textContent]));
    """
    )
    assert found == [
        't9_0_1',
        [['t9_0_0', [True]], ['t10_0_0', [True]], ['t9_0_1', None], ['t10_0_1', None]],
        '2 of 4 looked at',
    ]
