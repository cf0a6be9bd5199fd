# SPDX-License-Identifier: Apache-2.0
"""The latency tables of the README are those of the committed records."""

from __future__ import annotations

from benchmarks.readme_tables import FRAMES, NODE, ROOT, frame_section, node_section, page, rows_of


def test_readme_shows_the_records():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert page(text) == text, 'run python -m benchmarks.readme_tables'


def test_every_stack_and_every_rate_has_its_line():
    rows = rows_of(FRAMES)
    section = frame_section(rows)
    first = next(row['student'] for row in rows if row['row'] == 'student')
    for row in rows:
        if row['row'] == 'stack' and (row['student'] == first or not row['busy_processes']):
            assert row['what'] in section
            assert f'**{row["stages_ms"]["whole"]["median"]:.1f}**' in section
    for row in rows_of(NODE):
        start = f'| {row["row"]} | {row["model"].split(" on ")[1].split(",")[0]} |'
        assert f'{start} {row["received"]} |' in node_section(rows_of(NODE))


def test_machines_are_named_by_their_instruction_sets_only():
    machine = next(row for row in rows_of(FRAMES) if row['row'] == 'machine')
    assert set(machine) == {
        'row', 'flags', 'cores', 'threads', 'load_average', 'governor', 'versions',
    }  # fmt: skip
