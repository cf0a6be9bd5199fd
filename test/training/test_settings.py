# SPDX-License-Identifier: Apache-2.0
"""Settings as values: what older runs did not have."""

from __future__ import annotations

from training.settings import without_later

LATER = {'new': 0, 'group.new': 'as before', 'absent.new': 1}


def test_settings_that_came_later_are_left_out_where_they_change_nothing():
    older = {'seed': 3, 'group': {'other': 1}}
    unchanged = {'seed': 3, 'new': 0, 'group': {'other': 1, 'new': 'as before'}}
    assert without_later(unchanged, LATER) == older == without_later(older, LATER)
    assert unchanged['new'] == 0 and 'new' in unchanged['group']  # a copy
    changed = {'seed': 3, 'new': 1, 'group': {'other': 1, 'new': 'otherwise'}}
    assert without_later(changed, LATER) == changed
