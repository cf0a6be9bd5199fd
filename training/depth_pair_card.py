# SPDX-License-Identifier: Apache-2.0
"""What stands before the card of the first student in that of a pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_perception.bundle import Student

_CARD = """\
# {name}

Two depth students: `{first}`, whose depth is told and whose card follows, and `{second}` in the
folder `second_student`, with a card of its own. Sigma is what both disagree about: the standard
deviation of the logarithms of both depths, {least:.1%} of the depth at least, times
{scale:.3f}. Two networks run on each frame.

The factor was fitted on the validation split. Without it, {before_1:.1%} and {before_2:.1%} of the
errors of the test split lie within one and two standard deviations; with it, {after_1:.1%} and
{after_2:.1%} (68 % and 95 % where sigma is right). It sorts errors with an AUSE of {ause:.4f} by
relative error, what `{first}` says of itself with {ause_predicted:.4f} (0 is perfect). For the
confidence sigma is multiplied by {confidence_scale:.3f} instead: it then says {stated:.1%} in the
mean where {observed:.1%} of the errors of the test split are below 10 %.

Where both students are wrong alike, sigma is small: they have seen the same kind of images. What
the card below says of sigma is about `{first}` alone.

"""


def pair_card(name: str, first: Student, second: Student, report: Mapping[str, Any]) -> str:
    """The beginning of the card, in Markdown.

    Args:
        name: of the pair.
        first: whose depth is told.
        second: who judges it.
        report: what was fitted, and how good it is.
    """
    before, after = report['sigma']['before'], report['sigma']['after']
    return _CARD.format(
        name=name,
        first=first.spec.name,
        second=second.spec.name,
        least=2**0.5 * report['least_share'],
        scale=report['sigma_scale'],
        before_1=before['coverage_1_sigma'],
        before_2=before['coverage_2_sigma'],
        after_1=after['coverage_1_sigma'],
        after_2=after['coverage_2_sigma'],
        ause=report['ause'],
        ause_predicted=report['ause_predicted'],
        confidence_scale=report['confidence_scale'],
        stated=report['confidence']['after']['stated'],
        observed=report['confidence']['after']['observed'],
    )
