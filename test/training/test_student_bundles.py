# SPDX-License-Identifier: Apache-2.0
"""What exporters share; their own tests load what they write."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_perception.errors import ConfigError
from training.student_bundles import check_finished


@pytest.mark.parametrize('step', [0, 5])
def test_a_run_must_be_finished(step):
    with pytest.raises(ConfigError, match=f'runs/mine must .* at step {step} of 6: train'):
        check_finished(step, 6, Path('runs/mine'))
    check_finished(6, 6, Path('runs/mine'))
