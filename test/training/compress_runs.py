# SPDX-License-Identifier: Apache-2.0
"""A tiny compression run, a batch of it and the CEKD run that teaches it, for the tests."""

from __future__ import annotations

from dataclasses import replace

import cekd_runs
import numpy as np
import torch
import yaml
from cekd_runs import LOOP, WORLD

from training.data.augmentation import AugmentationConfig, JointConfig
from training.data.world import WorldSplit
from training.distributed import LaunchConfig, launch
from training.recipes import cekd
from training.recipes.compress_config import CompressConfig, CompressTeacherConfig
from training.recipes.compress_data import Drawing
from training.settings import plain


def write_teacher(folder, cache, **changes):
    """Train a tiny CEKD run and write its configuration; returns the file."""
    config = cekd_runs.tiny_run(folder, cache, **changes)
    cekd.networks(config, launch(config.launch))
    path = folder / 'cekd.yaml'
    path.write_text(yaml.safe_dump(plain(config)), encoding='utf-8')
    return path


def tiny_run(folder, cache, teacher='', role='student', **changes):
    """Six steps on twelve small frames."""
    config = CompressConfig(
        name='tiny',
        image_size=(64, 96),
        teacher=CompressTeacherConfig(str(teacher), 0, role),
        soft_weight=1.0 if teacher else 0.0,
        channel_wise_weight=3.0 if teacher else 0.0,
        loop=LOOP,
        launch=LaunchConfig(accelerator='cpu', bfloat16=False),
        train=WorldSplit('train', 1, 12, world=WORLD),
        validation=WorldSplit('val', 1, 3, world=WORLD),
        test=WorldSplit('test', 1, 3, world=WORLD),
        presets=('night',),
        preset_count=2,
        augmentation=AugmentationConfig(JointConfig(64, 64, scale_low=0.9, scale_high=1.1)),
        cache=cache,
        output=folder / 'runs',
        results=folder / 'results',
    )
    return replace(config, **changes)


def batch_of(config, size=2):
    """The first samples of a run, as `fit` stacks them."""
    drawing = Drawing(config)
    return tuple(
        torch.from_numpy(np.stack(part))
        for part in zip(*(drawing(0, k) for k in range(size)), strict=True)
    )
