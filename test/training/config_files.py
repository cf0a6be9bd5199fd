# SPDX-License-Identifier: Apache-2.0
"""Configurations as files, for tests of what reads them."""

from __future__ import annotations

import yaml

from training.settings import plain


def write_config(config, folder, name=''):
    """Write a configuration under its own or another name; returns the file."""
    path = folder / f'{name or config.name}.yaml'
    path.write_text(yaml.safe_dump(plain(config)), encoding='utf-8')
    return path
