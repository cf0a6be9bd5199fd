# SPDX-License-Identifier: Apache-2.0
"""Differences seed by seed: those of common seeds, with a sign."""

from __future__ import annotations

import numpy as np
import pytest
from channel_wise_records import write_results

from training.cekd_tables import read_runs
from training.paired import gains, signed


def test_gains_are_those_of_common_seeds(tmp_path):
    runs = read_runs(write_results(tmp_path))
    assert gains(runs, 'cwd_logits', 'miou_nanmean', against='alone') == pytest.approx([5.0, 4.0])
    assert gains(runs, 'cwd_logits', 'iou', 'car', against='alone') == pytest.approx([5.0, 4.0])
    assert np.isnan(gains(runs, 'cwd_logits', 'miou_rare', against='alone')).all()
    assert gains(runs, 'absent', 'miou_nanmean', against='alone') == []


def test_signs():
    assert (signed([]), signed([-1.0]), signed([0.5, 0.5])) == ('', '-1.0', '+0.5 ± 0.0')
