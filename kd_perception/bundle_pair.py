# SPDX-License-Identifier: Apache-2.0
"""What two depth students must have in common so that their disagreement means something."""

from __future__ import annotations

from kd_perception.bundle_schema import StudentSpec
from kd_perception.errors import BundleError


def check_pair(first: StudentSpec, second: StudentSpec) -> None:
    """Check that two students see the same image and tell of the same meters.

    Their reference focal lengths may differ: depth is scaled by each one's own.

    Raises:
        BundleError: They do not.
    """
    rules = {
        'tell depth': (first.task, second.task) == ('depth', 'depth'),
        'take the same input': first.input == second.input,
        'have the same output_stride': first.output_stride == second.output_stride,
        'be shown images by the same gain control': first.agc == second.agc,
    }
    if first.depth is not None and second.depth is not None:
        rules['know meters'] = first.depth.metric and second.depth.metric
        rules['not have a second one each'] = second.depth.second is None
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise BundleError(
            f'two students of which the second judges the first must {", ".join(broken)}; '
            f'{first.name} and {second.name} do not: join others'
        )
