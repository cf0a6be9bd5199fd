# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown, and sections of a page that a program writes again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], body: Iterable[Sequence[str]], *, right: bool = False) -> str:
    """A table, one cell per string.

    Args:
        head: Titles of the columns.
        body: Lines.
        right: Whether all columns but the first are set to the right, as figures are.
    """
    rule = ['---', *['---:' if right else '---'] * (len(head) - 1)]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in (head, rule, *body))


def percent(share: float | None) -> str:
    """A share as a cell: in percent with one digit, a dash where there is none."""
    return '-' if share is None else f'{100.0 * share:.1f}'


def replace_section(text: str, name: str, section: str) -> str:
    """Put a section between its two marks, at the end of a text that has none.

    Args:
        text: The page.
        name: Of the section; the marks are the comments ``begin`` and ``end`` with it.
        section: What stands between them afterwards.
    """
    first, last = f'<!-- begin {name} -->', f'<!-- end {name} -->'
    own = f'{first}\n{section}\n{last}'
    pattern = re.compile(f'{re.escape(first)}.*?{re.escape(last)}', re.DOTALL)
    if pattern.search(text):
        return pattern.sub(lambda _: own, text)
    return f'{text.rstrip()}\n\n{own}\n'
