# SPDX-License-Identifier: Apache-2.0
"""Cross-modal edge-privileged knowledge distillation (CEKD): from color and heat to heat alone.

Stage 1 trains a teacher, CENet, that sees both cameras, on frames with labels and with edges
drawn from them. Stage 2 trains a student, EKNet, that sees heat alone, on the teacher's answers
for pairs of images without labels.

    L_teacher = segmentation + edge
    L_student = segmentation(argmax of the teacher) + similarity + edge hint + soft cross-entropy

| term | function |
|---|---|
| segmentation | `cross_entropy_loss` |
| edge | `balanced_edge_loss` against `edge_labels` |
| similarity | `feature_similarity_loss` on the last encoder stage |
| edge hint | `edge_hint_loss` on decoder stage 3 |
| soft cross-entropy | `soft_cross_entropy_loss`, temperature 6 |

Where it differs from the paper or the authors' script, by default: rare classes weigh more
(`class_weighted`), AdamW with one cycle instead of SGD with a decay per epoch, networks of a size
that a processor can train, `softplus` so that the enhancement's exponent stays above 1, and random
views and cameras where the script has none. The weights that are tested are those of the last
step, averaged; the authors tested every epoch on the test split. The paper's own settings are in
`training/configs/cekd/paper.yaml`.

    python -m training.recipes.cekd --config_path training/configs/cekd/smoke.yaml

Reference:
    Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for Semantic
    Scene Understanding Using Only Thermal Images", RA-L 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd_perception.models import CENet, CENetOutput, EKNet
from training.distributed import Fabric, launch
from training.engine import LoopConfig, Losses, Run, fit, new_run, restore
from training.optimization import OptimizerConfig
from training.process_counts import counts_of_all
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_data import Drawing, class_weight, student_frames
from training.recipes.cekd_losses import Both, joint_losses, student_losses, teacher_losses
from training.recipes.cekd_networks import Student, new_student
from training.recipes.cekd_notes import check_notes, notes_of, recording_of
from training.recipes.cekd_report import evaluate, scored_splits, show, shown_frames, table_row
from training.records import versions, write_record
from training.settings import load_config, plain


def _weight(config: CekdConfig, fabric: Fabric) -> Tensor | None:
    weight = class_weight(config)
    return None if weight is None else weight.to(fabric.device)


def train(
    network: nn.Module,
    losses: Losses,
    config: CekdConfig,
    fabric: Fabric,
    *,
    stage: str,
) -> Run:
    """Train one stage to its last step, from its latest checkpoint if there is one.

    Args:
        network: newly built.
        losses: of the stage.
        config: of the run.
        fabric: from `launch`.
        stage: `teacher`, `student` or `joint`.

    Raises:
        ConfigError: the checkpoint is of other settings, of another world or another recording.
    """
    loop, optimizer = _settings(config, stage)
    run = new_run(network, loop, optimizer)
    if stage == 'teacher':
        folder, fingerprint = config.teacher_folder, config.teacher_fingerprint()
    else:
        folder, fingerprint = config.folder, config.fingerprint()
    restore(run, folder, fingerprint)
    check_notes(run.notes, config, folder)
    if not run.step:
        run.notes = notes_of(config, stage)
    if run.step < loop.steps:
        fit(
            run,
            fabric=fabric,
            loop=loop,
            optimizer_config=optimizer,
            draw=Drawing(config, stage),
            losses=losses,
            folder=folder,
            fingerprint=fingerprint,
            pictures=_pictures(config, stage),
            seed=config.seed,
            workers=config.launch.workers,
            title=f'{stage}, seed {config.seed}',
        )
    return run


def _settings(config: CekdConfig, stage: str) -> tuple[LoopConfig, OptimizerConfig]:
    part = config.teacher if stage == 'teacher' else config.student
    return part.loop, part.optimizer


def _pictures(config: CekdConfig, stage: str) -> Callable[[nn.Module], dict[str, Any]] | None:
    """Pictures of a few frames; none of both networks at once."""
    if stage == 'joint':
        return None
    frames = shown_frames(config)
    return lambda network: show(network, frames, config)


def trained_teacher(config: CekdConfig, fabric: Fabric) -> CENet:
    """The teacher of a run in eval mode, trained unless it is there already."""
    torch.manual_seed(config.seed)
    network = CENet(config.teacher_network())
    if config.teacher.weights_file:
        network.load_imagenet_weights(Path(config.teacher.weights_file))
    weight, mean_count = _weight(config, fabric), counts_of_all(fabric)
    run = train(
        network,
        lambda wrapped, batch: teacher_losses(
            wrapped, batch, config, weight, mean_count=mean_count
        ),
        config,
        fabric,
        stage='teacher',
    )
    return _tested(run, fabric)


def trained_student(config: CekdConfig, fabric: Fabric, teacher: CENet | None) -> Student:
    """The student of a run in eval mode."""
    torch.manual_seed(config.seed)
    network = new_student(config.student_network())
    if config.student.weights_file:
        assert isinstance(network, EKNet)
        network.load_imagenet_weights(Path(config.student.weights_file))
    weight, mean_count = _weight(config, fabric), counts_of_all(fabric)

    def taught(image: Tensor) -> CENetOutput:
        assert teacher is not None
        with fabric.autocast():
            output: CENetOutput = teacher(image)
        return output

    run = train(
        network,
        lambda wrapped, batch: student_losses(
            wrapped,
            None if teacher is None else taught,
            batch,
            config,
            weight,
            mean_count=mean_count,
        ),
        config,
        fabric,
        stage='student',
    )
    return _tested(run, fabric)


def trained_together(config: CekdConfig, fabric: Fabric) -> tuple[CENet, Student]:
    """Teacher and student of a joint run, on frames with labels, in eval mode."""
    torch.manual_seed(config.seed)
    both = Both(CENet(config.teacher_network()), new_student(config.student_network()))
    weight, mean_count = _weight(config, fabric), counts_of_all(fabric)
    run = train(
        both,
        lambda wrapped, batch: joint_losses(wrapped, batch, config, weight, mean_count=mean_count),
        config,
        fabric,
        stage='joint',
    )
    tested = _tested(run, fabric)
    return tested.teacher, tested.student


def _tested(run: Run, fabric: Fabric) -> Any:
    """What is tested and taught by: the average of the weights where there is one."""
    network = run.network if run.average is None else run.average
    return network.to(fabric.device).eval().requires_grad_(False)


def networks(config: CekdConfig, fabric: Fabric) -> dict[str, CENet | Student]:
    """All networks of a run by role, trained."""
    if config.stage == 'joint':
        teacher, student = trained_together(config, fabric)
        return {'teacher': teacher, 'student': student}
    found: dict[str, CENet | Student] = {}
    teacher_needed = config.stage == 'teacher' or config.student.needs_teacher
    own = trained_teacher(config, fabric) if teacher_needed else None
    if own is not None:
        found['teacher'] = own
    if config.stage == 'student':
        found['student'] = trained_student(config, fabric, own)
    return found


def _frame_keys(config: CekdConfig) -> dict[str, str]:
    return {k: v.key() for k, v in config.splits().items()} if config.rendered else {}


def trained_on(config: CekdConfig) -> str:
    """What the network that a run ends with saw: `synthetic` or `real` images."""
    recorded = bool(config.bag) and config.stage == 'student'
    return 'synthetic' if config.rendered and not recorded else 'real'


def main(arguments: list[str] | None = None) -> None:
    """Train one seed and write its record."""
    config = load_config(CekdConfig, arguments)
    fabric = launch(config.launch)
    if config.bag and fabric.is_global_zero:
        print(student_frames(config).frames.report.text())  # type: ignore[attr-defined]
    trained = networks(config, fabric)
    if not fabric.is_global_zero:
        return
    splits = scored_splits(config)
    metrics = {role: evaluate(network, config, splits) for role, network in trained.items()}
    record = {
        'recipe': 'cekd',
        'name': config.name,
        'seed': config.seed,
        'trained_on': trained_on(config),
        'metrics': metrics,
        'frame_keys': _frame_keys(config),
        **({'recording': recording} if (recording := recording_of(config)) else {}),
        'versions': versions(),
        'config': plain(config),
    }
    write_record(config.record_path, record)
    for role, found in metrics.items():
        print(table_row(f'{config.name} {role}', found['test']))
    print(config.record_path)


if __name__ == '__main__':
    main()
