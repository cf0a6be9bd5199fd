# SPDX-License-Identifier: Apache-2.0
"""A tiny depth student and the branches that teach it, for the tests of the recipe."""

from __future__ import annotations

from dataclasses import replace

import mutual_runs
import yaml

from training.data.augmentation import JointConfig
from training.data.world import WorldSplit
from training.distributed import LaunchConfig, launch
from training.engine import LoopConfig
from training.optimization import OptimizerConfig
from training.recipes.compress_depth_config import CompressDepthConfig, DepthTeacherConfig
from training.recipes.mutual_distillation import trained
from training.settings import plain

WORLD = mutual_runs.WORLD
LOOP = LoopConfig(steps=12, batch_size=2, checkpoint_steps=6, log_steps=3, picture_steps=100)
FOCAL_PX = 100.0


def write_teacher(folder, cache, steps=3, **changes):
    """Train tiny branches and write their configuration; returns the file."""
    loop = replace(mutual_runs.LOOP, steps=steps)
    config = mutual_runs.tiny_run(folder, cache, loop=loop, **changes)
    trained(config, launch(config.launch))
    path = folder / 'mutual.yaml'
    path.write_text(yaml.safe_dump(plain(config)), encoding='utf-8')
    return path


def split(name, count):
    return WorldSplit(name, 2, count, preset='day', world=WORLD)


def tiny_run(folder, cache, teacher='', **changes):
    """Twelve steps on eight small frames."""
    config = CompressDepthConfig(
        name='tiny',
        image_size=(64, 96),
        focal_px=FOCAL_PX,
        teacher=DepthTeacherConfig(str(teacher)),
        distillation_weight=1.0 if teacher else 0.0,
        view=JointConfig(scale_low=0.8, scale_high=1.2, focus_share=0.0, stretch=0.0),
        train=split('train', 8),
        validation=split('val', 3),
        test=split('test', 3),
        presets=('night',),
        frame_shapes=((96, 96),),
        preset_count=2,
        loop=LOOP,
        optimizer=OptimizerConfig(learning_rate=1e-3),
        launch=LaunchConfig(accelerator='cpu', bfloat16=False),
        cache=cache,
        output=folder / 'runs',
        results=folder / 'results',
    )
    return replace(config, **changes)
