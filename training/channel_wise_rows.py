# SPDX-License-Identifier: Apache-2.0
"""The rows of channel-wise distillation: names, pairs and differences."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from training.mutual_tables import Rows

ALONE = 'alone'
METHODS = {
    'at': ('AT', 'no', 'h w c^p'),
    'pi': ('PI', 'no', 'h w c'),
    'local': ('LOCAL', 'yes', '8 h w c'),
    'pa': ('PA', 'yes', '(h w)² c'),
    'ifvd': ('IFVD', 'yes', 'h w c n'),
    'ho': ('HO', 'yes', 'of the discriminator'),
    'cwd': ('CWD', 'yes', 'h w c'),
}
"""Rows of the paper's table: title, whether structure is seen, operations."""

PLACES = ('features', 'logits')
_TABLE = tuple(f'{short}_{place}' for short in METHODS for place in PLACES)
ROWS = (ALONE, *(name for name in _TABLE if name != 'ho_features'))
"""Of the paper's table, which has no discriminator on features."""

SAME = 'rgb_teacher_'
"""Before the names of rows whose teacher sees color alone, as the student does."""

_COMPARED = ('pi_logits', 'local_features', 'cwd_features', 'cwd_logits', 'cekd')
SAME_ROWS = (ALONE, *(f'{SAME}{name}' for name in _COMPARED))
"""The student alone, and what that teacher was compared by."""

OTHERS = ('cekd',)
"""Questions beyond the paper's table; rows of their own."""

THERMAL_ALONE = 'thermal_alone'
THERMAL = (
    THERMAL_ALONE,
    *('thermal_pi_logits', 'thermal_cwd_features', 'thermal_cwd_logits', 'thermal_cekd'),
    'thermal_teacher_cwd_logits',
)
"""Students of heat."""

TEACHERS = ('teacher', 'rgb_teacher', 'thermal_teacher')

STUDENTS = {
    'color to color': (ALONE, SAME),
    'color and heat to color': (ALONE, ''),
    'heat to heat': (THERMAL_ALONE, 'thermal_teacher_'),
    'color and heat to heat': (THERMAL_ALONE, 'thermal_'),
}
"""The student alone, and what stands before the name of a loss, by what both networks see."""

PAIRS = (
    *((f'{short}_features', f'{short}_logits') for short in METHODS if short != 'ho'),
    (f'{SAME}cwd_features', f'{SAME}cwd_logits'),
    *((f'{before}cwd_logits', f'{before}{own}') for before in (SAME, '', 'thermal_')
      for own in ('pi_logits', 'cekd')),
    ('thermal_cwd_features', 'thermal_cwd_logits'),
    (f'{SAME}cwd_logits', 'cwd_logits'),
    ('thermal_teacher_cwd_logits', 'thermal_cwd_logits'),
)  # fmt: skip
"""Runs that are compared with each other, not with the student alone."""

DEPTH = (
    Rows(('small_lidar', 'small_lidar_and_places'), 'small_lidar'),
    Rows(('small_labels', 'small_labels_and_places'), 'small_labels'),
)
"""Rows of depth students without and with channel-wise distillation."""

_HEAT, _SEEN, _STEPS = 'student.modality', 'teacher.modality', 'student.loop.steps'
MAY_DIFFER: Mapping[str, Collection[str]] = {
    **dict.fromkeys(ROWS, ()),
    **dict.fromkeys(SAME_ROWS[1:], (_SEEN,)),
    'cekd': (_STEPS,),
    f'{SAME}cekd': (_STEPS, _SEEN),
    **dict.fromkeys(THERMAL, (_HEAT,)),
    'thermal_cekd': (_HEAT, _STEPS),
    'thermal_teacher_cwd_logits': (_HEAT, _SEEN),
    'teacher': (),
    'rgb_teacher': (_SEEN,),
    'thermal_teacher': (_SEEN,),
}
"""In which settings rows differ from the student alone, beside their terms."""

CLASSES = ('car', 'person', 'color_cone')
"""Whose things are told by size."""
