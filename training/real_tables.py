# SPDX-License-Identifier: Apache-2.0
"""Tables of a student on real frames, from its record."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from kd_perception.markdown import percent, table
from kd_perception.world.classes import CLASS_NAMES

FIRST_CLASSES = ('person', 'car', *(n for n in CLASS_NAMES if n not in ('person', 'car')))
"""All classes; those that heat shows best come first."""

_PAGE_WIDTH = 99


def real_images_section(record: Mapping[str, Any]) -> str:
    """The section of a student: scores of labeled frames, what was found in the others."""
    student, sets = record['student'], record['sets']
    title = f'## {student["name"]} on real frames'
    parts = [title, _paragraph(_introduction(record))]
    for name, found in sets.items():
        if 'scores' in found:
            note = record['notes'].get(name)
            parts.append(f'### {name}, labeled: intersection over union in percent')
            parts += [_paragraph(f'{note[0].upper()}{note[1:]}.')] if note else []
            parts.append(_scores_table(found))
    parts += ['### What the masks hold, and how sure they are', _shares_table(sets)]
    return '\n\n'.join(parts)


def _introduction(record: Mapping[str, Any]) -> str:
    student = record['student']
    return (
        'Written by `python -m training.real_images`. Bundle '
        f'`{student["sha256"][:16]}`, trained on: {student["trained_on"]}; {record["backend"]}, '
        'through the pipeline of the node, every frame by itself. A class that neither the label '
        'nor the mask of a frame has is a dash; `all` pools the pixels of the frames. In tables '
        'of shares and confidence each frame counts the same. Confidence was calibrated on '
        'synthetic frames: on real ones it is no probability.'
    )


def _scores_table(found: Mapping[str, Any]) -> str:
    lines = {name: image['scores'] for name, image in found['images'].items()}
    lines['all'] = found['scores']
    body = [
        [
            name,
            *(percent(scores['iou'][n]) for n in FIRST_CLASSES),
            percent(scores['miou_nanmean']),
            percent(scores['ece']),
        ]
        for name, scores in lines.items()
    ]
    pixels = [str(found['scores']['labeled_pixels'][n]) for n in FIRST_CLASSES]
    body.append(['labeled pixels', *pixels, '', ''])
    return table(['frame', *FIRST_CLASSES, 'mIoU', 'ECE'], body, right=True)


def _shares_table(sets: Mapping[str, Any]) -> str:
    body = [
        [
            name,
            str(found['frames']),
            *(percent(found['class_shares'][n]) for n in FIRST_CLASSES),
            f'{found["mean_confidence"]:.3f}',
            f'{found["mean_uncertainty"]:.3f}',
        ]
        for name, found in sets.items()
    ]
    head = ['set', 'frames', *FIRST_CLASSES, 'confidence', 'uncertainty']
    return table(head, body, right=True)


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _PAGE_WIDTH, break_on_hyphens=False)
