# SPDX-License-Identifier: Apache-2.0
"""The hash of code: what it follows and what it must not follow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from training.data.source_digest import imported_modules

ROOT = Path(__file__).resolve().parents[2]

RENDER = '''"""Renders."""

from math import pi

from street.color import shade  # colors
from street.parts import WHEEL


def render(x):
    """Make a frame."""
    from street import late
    # The sum.
    return shade(x) + WHEEL + late.LATE + pi
'''
COLOR = """from typing import Any
GAIN = 2
Number = Any


def shade(x: Number, tint=0):
    return GAIN * x + tint


def tint(x):
    return x
"""
FILES = {
    'render.py': RENDER,
    'color.py': COLOR,
    'dark.py': 'GAIN = 1\n\n\ndef shade(x):\n    return 0 * x\n',
    'parts.py': 'from street import dark, deep\nGAIN = 1\nWHEEL = GAIN * deep.DEEP\n'
    '"""A wheel."""\n',
    'deep.py': 'DEEP = 1\n',
    'late.py': 'LATE = 3\n',
    'unused.py': 'UNUSED = 4\n',
    '__init__.py': '',
}


def digest(folder, changes=None):
    """The digest of street.render as a fresh process sees it."""
    package = folder / 'street'
    package.mkdir(exist_ok=True)
    for name, text in {**FILES, **(changes or {})}.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text)
    code = 'from training.data.source_digest import source_digest as d; print(d("street.render"))'
    path = f'import sys; sys.path[:0] = [{str(ROOT)!r}, {str(folder)!r}]; '
    run = subprocess.run(
        [sys.executable, '-c', path + code], capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    return digest(tmp_path_factory.mktemp('original'))


@pytest.mark.parametrize(
    'changes',
    [
        {'render.py': RENDER.replace('+ WHEEL', '- WHEEL')},
        {'color.py': COLOR.replace('2', '2.0')},
        {'render.py': RENDER.replace('street.color', 'street.dark')},
        {'render.py': RENDER.replace('street.color', 'street.dark').replace('dark', 'color', 1)}
        | {'color.py': FILES['dark.py'], 'dark.py': COLOR},
        {'render.py': RENDER.replace('from math import pi', 'from cmath import pi')},
        # The values of two constants of one name are exchanged; the set of values stays the same.
        {
            'color.py': COLOR.replace('GAIN = 2', 'GAIN = 1'),
            'parts.py': FILES['parts.py'].replace('GAIN = 1', 'GAIN = 2'),
        },
        {'deep.py': 'DEEP = 2\n'},
        {'late.py': 'LATE = 4\n'},
        {'parts.py': FILES['parts.py'].replace('WHEEL', 'WHEEL = WIDE')},
    ],
)
def test_it_follows_every_statement_that_is_imported(tmp_path, original, changes):
    assert digest(tmp_path, changes) != original


@pytest.mark.parametrize(
    'changes',
    [
        {'render.py': RENDER.replace('# The sum.', '# Everything.')},
        {'render.py': RENDER.replace('"""Make a frame."""', '"""Make one\n\n    frame."""')},
        {'render.py': RENDER.replace('"""Renders."""\n', '')},
        {'parts.py': FILES['parts.py'].replace('A wheel', 'Wheels')},
        {'color.py': COLOR.replace('(x: Number, tint=0)', '(\n    x: Number, tint=0\n)')},
        {'color.py': "__all__ = ['shade']\n" + COLOR},
        {'color.py': COLOR.replace('import Any', 'import TYPE_CHECKING, Any, Final')},
        {'color.py': '\n'.join(reversed(COLOR.split('\n\n\n')))},
        {'unused.py': 'UNUSED = 5\n'},
        {'__init__.py': 'NAME = 1\n'},
    ],
)
def test_it_does_not_follow_texts_and_layout(tmp_path, original, changes):
    assert digest(tmp_path, changes) == original


MOVED = {
    'render.py': RENDER.replace('street.color', 'street.paint.shades'),
    'color.py': '',
    'paint/shades.py': 'from typing import Any\nfrom street.paint.gain import GAIN\nNumber = Any\n'
    'def shade(x: Number, tint=0):\n    return GAIN * x + tint\n',
    'paint/gain.py': 'from typing import Any\nNumber = Any\nGAIN = 2\n',
    'parts.py': 'from street.paint import tints\n' + FILES['parts.py'],
    'paint/tints.py': 'def tint(x):\n    return x\n',
}


def test_it_does_not_follow_definitions_to_other_modules(tmp_path, original):
    assert digest(tmp_path, MOVED) == original
    edited = MOVED['paint/gain.py'].replace('GAIN = 2', 'GAIN = 3')
    assert digest(tmp_path, MOVED | {'paint/gain.py': edited}) != original


def test_renderer_depends_on_no_other_part_of_the_package():
    """What the world imports from outside itself is not in the hash: it must not draw anything."""
    outside = {
        name
        for path in (ROOT / 'kd_perception' / 'world').rglob('*.py')
        for name in imported_modules(path.read_text())
        if name.startswith('kd_perception.') and not name.startswith('kd_perception.world')
    }
    assert {name.split('.')[1] for name in outside} <= {'errors'}
