# SPDX-License-Identifier: Apache-2.0
"""The README tells the truth about parameters and files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kd_perception.parameters.table import PARAMETERS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / 'README.md', *ROOT.glob('docs/*.md'), ROOT / 'training' / 'README.md'])
MARKS = {'start': ' ¹', 'active': '', 'configure': ' ²', 'reload': ' ³'}


def default_text(default: object) -> str:
    if default == '':
        return 'empty'
    return f'`{str(default).lower() if isinstance(default, bool) else default}`'


@pytest.mark.parametrize('spec', PARAMETERS, ids=lambda spec: spec.name)
def test_every_parameter_has_its_row(spec) -> None:
    text = (ROOT / 'README.md').read_text()
    start = f'| `{spec.name}`{MARKS[spec.applied]} | {default_text(spec.default)} |'
    rows = [line for line in text.splitlines() if line.startswith(start)]
    assert len(rows) == 1, f'README.md must have one row that starts with {start}'
    assert rows[0].endswith(f'| {spec.description} |')
    for choice in spec.choices:
        assert f'`{choice}`' in rows[0]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r'\]\(([^)#]+)\)', page.read_text()):
        if '://' not in target:
            assert (page.parent / target).exists(), f'{page.name}: {target}'
