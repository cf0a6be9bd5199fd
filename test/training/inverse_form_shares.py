# SPDX-License-Identifier: Apache-2.0
"""A tiny InverseForm run that several processes share.

As a program it is one of them, and writes what the first got:

    python -m inverse_form_shares --folder out --cache world --launch.devices 2
"""

from __future__ import annotations

from dataclasses import replace

import torch
from inverse_form_runs import tiny_run
from run_processes import Process

from training.distributed import launch
from training.optimization import OptimizerConfig
from training.recipes import inverse_form
from training.recipes.inverse_form_settings import TransformerConfig
from training.settings import load_config


def shareable(folder, cache, **changes):
    """A run that processes can share but for rounding: plain gradient steps, two of each part.

    Labels are missing in most frames and at the borders of views, classes weigh by their shares,
    and tiles with little boundary are left out: what processes see differs in every count.
    """
    config = tiny_run(folder, cache, labeled=5, **changes)
    optimizer = OptimizerConfig(kind='sgd', learning_rate=0.01, schedule='constant')
    loop = replace(config.student.loop, steps=2, checkpoint_steps=2)
    inverse = replace(
        config.inverse,
        sampler='stn',
        transformer=TransformerConfig(
            frames=4, min_spread=0.0, max_mean=1.0, loop=loop, optimizer=optimizer
        ),
        loop=loop,
        optimizer=optimizer,
    )
    student = replace(config.student, attention_threshold=0.3, loop=loop, optimizer=optimizer)
    return replace(config, inverse=inverse, student=student)


def trained(config, fabric):
    """Weights after both stages, and the first ones of the student."""
    run, weight = inverse_form.build(config), inverse_form.class_weight(config)
    first = {key: value.clone() for key, value in run.network.state_dict().items()}
    module = inverse_form.inverse_module(config, fabric, weight)
    inverse_form.train(run, config, fabric, module, weight)
    return {
        'first': first,
        'student': run.network.state_dict(),
        'inverse': module.network.state_dict(),
    }


def main():
    arguments = load_config(Process)
    fabric = launch(arguments.launch)
    config = shareable(arguments.folder, arguments.cache, launch=arguments.launch)
    states = trained(config, fabric)
    if fabric.is_global_zero:
        torch.save(states, arguments.folder / 'states.pt')


if __name__ == '__main__':
    main()
