# SPDX-License-Identifier: Apache-2.0
"""InverseForm: boundaries that know how far off they are, for any of the segmentation networks.

Stage 1 trains a network that estimates the transform between two tiles of boundaries, on tiles of
labels that are warped by known transforms. Stage 2 freezes it and trains a student with a boundary
head, whose map is compared with the true one through it. The head and the inverse network are left
behind: what is exported is the student as it would be without them.

    L = segmentation + auxiliary + boundary + edge attention + InverseForm

| term | function |
|---|---|
| segmentation | `cross_entropy_loss`, or the terms of a host: CEKD, or compression |
| auxiliary | `cross_entropy_loss` of a network's auxiliary head, where it has one |
| boundary | `balanced_edge_loss(per_image=False)` against `boundary_target` |
| edge attention | `edge_attention_loss` |
| InverseForm | `inverse_form_loss` with `parameter_distance` or another one |

Where it differs from the authors' code, by default: InverseForm sees the sigmoid of the boundary
logits, where theirs is the log-softmax of one channel, 0 everywhere; classes weigh by their share
of the training frames (`class_weights: batch` for theirs, whose sum over images is a mean here);
tiles with hardly any boundary are left out; AdamW with one cycle. From the paper it differs in the
distance (`parameters`, as their code has it) and in the mean over tiles (`sum_over_tiles`). Stage
1 is ours: its script is not public.

Several processes learn what one learns: pixels and tiles are counted over all of them, in the
terms of a host, too.

Where stage 2 refuses the inverse network, the record of stage 1 is written before:
`<name>_inverse`.

    python -m training.recipes.inverse_form --config_path training/configs/inverse_form/smoke.yaml

Reference:
    S. Borse, Y. Wang, Y. Zhang, F. Porikli, "InverseForm: A Loss Function for Structured
    Boundary-Aware Segmentation", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kd_perception.errors import ConfigError
from training.boundary_student import BoundaryStudent
from training.distributed import Fabric, launch
from training.engine import fit, new_run, restore
from training.losses import class_weights
from training.process_counts import counts_of_all
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_data import Drawing, class_shares
from training.recipes.inverse_form_hosts import host_terms
from training.recipes.inverse_form_losses import student_terms
from training.recipes.inverse_form_modules import InverseModule, check_module
from training.recipes.inverse_form_pretraining import random_inverse, trained_inverse
from training.recipes.inverse_form_report import evaluate, show, shown_frames, table_row
from training.recipes.inverse_form_students import new_student, without_head
from training.records import versions, write_record
from training.runs import Run
from training.settings import load_config, plain


def class_weight(config: InverseFormConfig) -> Tensor | None:
    """Weights of the classes by their shares [classes]; None where that is not wanted."""
    if config.class_weights != 'shares':
        return None
    return class_weights(class_shares(config))


def inverse_module(
    config: InverseFormConfig, fabric: Fabric, weight: Tensor | None
) -> InverseModule | None:
    """The frozen inverse network of a run; None where no term needs it.

    Raises:
        ConfigError: it explains less of held-out transforms than it must; `check_module`.
    """
    if config.stage == 'student' and not config.student.needs_inverse:
        return None
    module = trained_inverse(config, fabric, weight)
    if config.stage == 'inverse':
        return module
    check_inverse(module, config, fabric)
    if config.student.inverse == 'random':
        return random_inverse(config, fabric, module)
    return module


def check_inverse(module: InverseModule, config: InverseFormConfig, fabric: Fabric) -> None:
    """Check a module, and write the record of stage 1 where it is refused: it says by how much.

    Raises:
        ConfigError: of `check_module`.
    """
    try:
        check_module(module.report, config)
    except ConfigError as refusal:
        first = replace(config, stage='inverse')
        if fabric.is_global_zero:
            write_record(first.record_path, record_of(first, {'inverse': module.report}))
        raise ConfigError(f'{refusal}; {first.record_path} has the report') from refusal


def build(config: InverseFormConfig) -> Run:
    """The run of a student at its first step, or at its latest checkpoint."""
    torch.manual_seed(config.seed)
    run = new_run(new_student(config), config.student.loop, config.student.optimizer)
    restore(run, config.folder, config.fingerprint())
    return run


def train(
    run: Run,
    config: InverseFormConfig,
    fabric: Fabric,
    inverse: InverseModule | None,
    weight: Tensor | None,
) -> None:
    """Train a student to its last step.

    Args:
        run: of `build`.
        config: of the run.
        fabric: from `launch`.
        inverse: frozen, or None where no term needs it.
        weight: of the classes by their shares.
    """
    loop = config.student.loop
    if run.step == loop.steps:
        return
    shared: dict[str, Any] = {
        'host': host_terms(config, fabric),
        'inverse': inverse,
        'weight': None if weight is None else weight.to(fabric.device),
        'mean_count': counts_of_all(fabric),
    }
    fit(
        run,
        fabric=fabric,
        loop=loop,
        optimizer_config=config.student.optimizer,
        draw=Drawing(config),
        losses=lambda network, batch: student_terms(network, batch, config, **shared),
        folder=config.folder,
        fingerprint=config.fingerprint(),
        pictures=_pictures(config),
        seed=config.seed,
        workers=config.launch.workers,
        title=f'student, seed {config.seed}',
    )


def _pictures(config: InverseFormConfig) -> Callable[[nn.Module], dict[str, Any]]:
    frames = shown_frames(config)
    return lambda network: show(network, frames, config)  # type: ignore[arg-type]


def tested_student(run: Run) -> BoundaryStudent:
    """What is scored: the average of the weights where there is one, on the CPU in eval mode."""
    network = run.network if run.average is None else run.average
    assert isinstance(network, BoundaryStudent)
    return network.cpu().eval().requires_grad_(False)


def deployable_network(run: Run, config: InverseFormConfig, weight: Tensor | None) -> nn.Module:
    """What is exported: the student without its boundary head, which gives logits alone."""
    return without_head(tested_student(run), weight, config.prior_correction)


def run_stages(config: InverseFormConfig, fabric: Fabric) -> dict[str, Any]:
    """Train what the stage of a run asks for; returns the metrics, {} but in the first process."""
    run = build(config) if config.stage == 'student' else None
    weight = class_weight(config)
    inverse = inverse_module(config, fabric, weight)
    if run is not None:
        train(run, config, fabric, inverse, weight)
    if not fabric.is_global_zero:
        return {}
    metrics: dict[str, Any] = {} if inverse is None else {'inverse': inverse.report}
    if run is None:
        return metrics
    network = deployable_network(run, config, weight)
    metrics |= evaluate(network, tested_student(run), config, inverse)
    return {**metrics, 'training_seconds': round(run.seconds, 1)}


def record_of(config: InverseFormConfig, metrics: dict[str, Any]) -> dict[str, Any]:
    """The record of a run."""
    splits = config.splits() if config.rendered else {}
    return {
        'recipe': 'inverse_form',
        'name': config.record_name,
        'modality': config.modality,
        'seed': config.seed,
        'trained_on': 'synthetic' if config.rendered else 'real',
        'metrics': metrics,
        'frame_keys': {name: split.key() for name, split in splits.items()},
        'versions': versions(),
        'config': plain(config),
    }


def main(arguments: list[str] | None = None) -> None:
    """Train one seed and write the record of its stage."""
    config = load_config(InverseFormConfig, arguments)
    fabric = launch(config.launch)
    metrics = run_stages(config, fabric)
    if not fabric.is_global_zero:
        return
    write_record(config.record_path, record_of(config, metrics))
    if 'inverse' in metrics:
        print(f'explained share of held-out transforms: {metrics["inverse"]["explained_share"]}')
    if 'test' in metrics:
        print(table_row(config.name, metrics['test']))
    print(config.record_path)


if __name__ == '__main__':
    main()
