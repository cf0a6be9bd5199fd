# SPDX-License-Identifier: Apache-2.0
"""Pictures of runs that do not exist are refused in words, whatever the recipe."""

from __future__ import annotations

import pytest

from kd_perception.errors import ConfigError
from training import cekd_figures, eps_figures, inverse_form_figures, mutual_figures
from training.settings import config_file


def test_an_unknown_run_is_refused_with_those_that_there_are(tmp_path):
    for name in ('full', 'boundary'):
        (tmp_path / f'{name}.yaml').touch()
    assert config_file(tmp_path, 'full') == tmp_path / 'full.yaml'
    with pytest.raises(ConfigError, match=r"among boundary, full, got 'ful': .* add .*ful\.yaml"):
        config_file(tmp_path, 'ful')


@pytest.mark.parametrize(
    ('tool', 'option', 'name'),
    [
        (cekd_figures, '--networks', 'unknown:student'),
        (eps_figures, '--runs', 'unknown'),
        (inverse_form_figures, '--runs', 'unknown'),
        (mutual_figures, '--branches', 'unknown:supervised'),
    ],
)
def test_every_tool_that_draws_says_so(tool, option, name, tmp_path):
    file = tmp_path / 'out.png'
    with pytest.raises(ConfigError, match=r'runs must be among .*smoke.*name one of these'):
        tool.main(['--file', str(file), option, name])
    assert not file.exists()
