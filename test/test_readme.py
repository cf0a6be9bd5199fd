# SPDX-License-Identifier: Apache-2.0
"""The README tells the truth about parameters and files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.parameters.table import PARAMETERS, THERMAL_SEG

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / 'README.md', *ROOT.glob('docs/*.md'), ROOT / 'training' / 'README.md'])
MARKS = {'start': ' ¹', 'active': '', 'configure': ' ²', 'reload': ' ³'}


def default_text(default: object) -> str:
    if default == '':
        return 'empty'
    return f'`{str(default).lower() if isinstance(default, bool) else default}`'


OF_DEPTH = [spec for spec in MONO_DEPTH.rows if spec.name not in THERMAL_SEG.by_name]


@pytest.mark.parametrize('spec', [*PARAMETERS, *OF_DEPTH], ids=lambda spec: spec.name)
def test_every_parameter_has_its_row(spec) -> None:
    text = (ROOT / 'README.md').read_text()
    start = f'| `{spec.name}`{MARKS[spec.applied]} | {default_text(spec.default)} |'
    rows = [line for line in text.splitlines() if line.startswith(start)]
    assert len(rows) == 1, f'README.md must have one row that starts with {start}'
    assert rows[0].endswith(f'| {spec.description} |')
    for choice in spec.choices:
        assert f'`{choice}`' in rows[0]


def test_what_differs_between_the_nodes_is_told() -> None:
    text = ' '.join((ROOT / 'README.md').read_text().split())
    shared = [spec for spec in MONO_DEPTH.rows if spec.name in THERMAL_SEG.by_name]
    others = [s.name for s in shared if s.default != THERMAL_SEG.by_name[s.name].default]
    assert others == ['model.path', 'ffc.source']
    assert '`model.path` is `mono_depth_s` and `ffc.source` is `none`' in text
    absent = [spec.name for spec in PARAMETERS if spec.name not in MONO_DEPTH.by_name]
    assert absent == ['min_confidence']
    assert 'All parameters of `thermal_seg` but `min_confidence` hold here' in text


def test_topics_of_depth_are_those_that_the_node_makes() -> None:
    outputs = pytest.importorskip(
        'kd_perception.nodes.depth_outputs', reason='rclpy is not installed'
    )
    text = (ROOT / 'README.md').read_text()
    told = set(re.findall(r'`/camera/mono_depth/([a-z_/]+)`', text))
    assert told == {*outputs._NEEDS, 'points'}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r'\]\(([^)#]+)\)', page.read_text()):
        if '://' not in target:
            assert (page.parent / target).exists(), f'{page.name}: {target}'
