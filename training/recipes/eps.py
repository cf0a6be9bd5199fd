# SPDX-License-Identifier: Apache-2.0
"""Explicit pseudo-pixel supervision (EPS): masks out of image tags and saliency.

Stage `classifier` learns which classes are in an image, and lets its class maps add up to a map of
where the eye is drawn. Stage `masks` makes a mask of each training image out of these maps. Stage
`segmentation` trains a network on the masks as if they were labels.

    L_classifier = classification + saliency          (CAM, the baseline: classification alone,
                                                       and the first of `tags_first_steps`)
    L_segmentation = segmentation                     (DeepLab: of each scale and of all together)

| term | function |
|---|---|
| classification | multi-label soft margin on the means of the raw maps |
| saliency | `saliency_loss` |
| segmentation | `segmentation_loss` of `rep_unet`, `cross_entropy_loss` of DeepLab |

Where it differs from the paper or the authors' code: views are resized bilinearly; class maps are
stored as float16; networks and steps are of a size that a processor can train, unless `voc.yaml`
is taken, which has the paper's. There the optimizer has no momentum, as in the authors' runs, in
which the decay took its place. `masks.background: saliency` is ours. docs/reproductions/eps.md has
all of it.

    python -m training.recipes.eps --config_path training/configs/eps/smoke.yaml

Reference:
    S. Lee, M. Lee, J. Lee, H. Shim, "Railroad is not a Train: Saliency as Pseudo-pixel
    Supervision for Weakly Supervised Semantic Segmentation", CVPR 2021.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from kd_perception.errors import ConfigError
from kd_perception.models import ClassMapNet, RepUNet
from training.distributed import Fabric, launch
from training.engine import Run, fit, restore
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_data import Chosen, Drawing, RunFrames
from training.recipes.eps_mask_scores import score_masks
from training.recipes.eps_masks import make_masks
from training.recipes.eps_networks import (
    classifier_losses,
    grouped_run,
    new_classifier,
    new_segmentation,
    parameter_groups,
    segmentation_losses,
)
from training.recipes.eps_report import notes, show_classifier, table_row
from training.recipes.eps_scores import score_overlaps, score_segmentation, score_tags
from training.recipes.eps_tags import absent_classes, place_report
from training.records import versions, write_record
from training.settings import load_config, plain

_HEADS = {'classifier': ('head.',), 'segmentation': ('network.classifiers.',)}


def build(config: EpsConfig, stage: str) -> Run:
    """A stage at its first step, or at its latest checkpoint.

    Args:
        config: of the run.
        stage: `classifier` or `segmentation`.

    Raises:
        ConfigError: the checkpoint is of other settings.
    """
    network: nn.Module
    network = new_classifier(config) if stage == 'classifier' else new_segmentation(config)
    part = config.classifier if stage == 'classifier' else config.segmentation
    groups = parameter_groups(network, _HEADS[stage], part.rates)
    run = grouped_run(network, groups, part.loop, part.optimizer)
    restore(run, *_place(config, stage))
    return run


def _place(config: EpsConfig, stage: str) -> tuple[Any, str]:
    """Folder and fingerprint of a stage."""
    if stage == 'classifier':
        return config.classifier_folder, config.classifier_fingerprint()
    return config.folder, config.fingerprint()


def train(config: EpsConfig, fabric: Fabric, frames: RunFrames, stage: str) -> Run:
    """A stage, trained to its last step.

    Args:
        config: of the run.
        fabric: from `launch`.
        frames: of the run.
        stage: `classifier` or `segmentation`.
    """
    run = build(config, stage)
    own = config.classifier if stage == 'classifier' else config.segmentation
    if run.step == own.loop.steps:
        return run
    folder, fingerprint = _place(config, stage)
    classifies = stage == 'classifier'
    fit(
        run,
        fabric=fabric,
        loop=own.loop,
        optimizer_config=own.optimizer,
        draw=Drawing(frames, stage),
        losses=(lambda network, batch: classifier_losses(network, batch, config, run.step))
        if classifies
        else segmentation_losses,
        folder=folder,
        fingerprint=fingerprint,
        pictures=(
            lambda network: show_classifier(cast('ClassMapNet', network), frames['train'], config)
        )
        if classifies
        else None,
        seed=config.seed,
        workers=config.launch.workers,
        title=f'{stage}, seed {config.seed}',
    )
    return run


def tested(run: Run, device: torch.device | str = 'cpu') -> Any:
    """What is tested: the average of the weights where there is one, folded where it can be."""
    network = run.network if run.average is None else run.average
    if isinstance(network, RepUNet):
        network = network.cpu().eval().folded()
    return network.to(device).eval().requires_grad_(False)


def run_stages(config: EpsConfig, fabric: Fabric) -> dict[str, Any]:
    """All stages of a run; the metrics of the first process.

    Everything is scored at the end, when the other processes have nothing to wait for.

    Raises:
        ConfigError: a file of weights is missing.
    """
    check_weights_files(config)
    frames, stages = RunFrames(config), config.stages
    classifier = network = None
    if 'classifier' in stages:
        classifier = tested(train(config, fabric, frames, 'classifier'), fabric.device)
    if 'masks' in stages:
        rows = range(fabric.global_rank, len(frames['train']), fabric.world_size)
        make_masks(classifier, Chosen(frames['train'], rows), config, fabric.device)
        fabric.barrier()
    if 'segmentation' in stages:
        network = tested(train(config, fabric, frames, 'segmentation'), fabric.device)
    return scored(frames, classifier, network) if fabric.is_global_zero else {}


def scored(
    frames: RunFrames, classifier: ClassMapNet | None, network: nn.Module | None
) -> dict[str, Any]:
    """The metrics of a run, by stage.

    Args:
        frames: of the run.
        classifier: that is tested; None where the run has none.
        network: that is tested, of the last stage; None where the run has none.
    """
    config, metrics = frames.config, dict[str, Any]()
    place = place_report(frames)
    if classifier is not None:
        metrics['classifier'] = score_tags(classifier, frames['test'], config) | place
        metrics['classifier']['overlaps'] = score_overlaps(classifier, frames['train'], config)
    if 'masks' in config.stages:
        metrics['masks'] = score_masks(frames['train'], config)
    if network is not None:
        metrics['segmentation'] = score_segmentation(network, frames)
        if config.tagged:
            metrics['segmentation']['tags'] |= place
    return metrics


def check_weights_files(config: EpsConfig) -> None:
    """Check that files of weights are there before the first stage learns, not after it.

    Raises:
        ConfigError: one is not.
    """
    parts = {'classifier': config.classifier, 'segmentation': config.segmentation}
    for stage, part in parts.items():
        if stage in config.stages and part.weights_file and not Path(part.weights_file).is_file():
            raise ConfigError(
                f'{stage}.weights_file must be there, got {part.weights_file}: '
                'docs/reproductions/eps.md says what it is'
            )


def main(arguments: list[str] | None = None) -> None:
    """Run the stages of one seed and write the record."""
    config = load_config(EpsConfig, arguments)
    fabric = launch(config.launch)
    absent = absent_classes(config)
    if absent and fabric.is_global_zero:
        print(
            f'warning: no tagged frame has {", ".join(absent)}: this cannot be learnt. Frames '
            'that were tagged before a class came count as frames without it',
            file=sys.stderr,
        )
    metrics = run_stages(config, fabric)
    if not fabric.is_global_zero:
        return
    if metrics.get('masks') == {}:
        print(
            'masks are not scored: no image, or not every one of VOC, has a label', file=sys.stderr
        )
    record = {
        'recipe': 'eps',
        'name': config.name,
        'seed': config.seed,
        'stage': config.stage,
        'trained_on': config.trained_on,
        'saliency': config.saliency_source(),
        'metrics': metrics,
        'frame_keys': {name: split.key() for name, split in config.splits().items()},
        'versions': versions(),
        'config': plain(config),
    }
    write_record(config.record_path, record)
    print('| run | tags | masks | masks, best threshold | segmentation |')
    print(table_row(config.name, metrics))
    for line in notes(metrics):
        print(line)
    print(config.record_path)


if __name__ == '__main__':
    main()
