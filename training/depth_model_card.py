# SPDX-License-Identifier: Apache-2.0
"""The model card of a depth student."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_perception.markdown import table
from training.first_weights import card_row
from training.observations import NOT_SEEN
from training.recipes.compress_depth_config import CompressDepthConfig

_CARD = """\
# {name}

Demonstration weights, trained on {kind}. Not for driving or safety use.

| | |
|---|---|
| Task | depth of one color image in meters, with its standard deviation |
| Network | `{network}`, {steps} steps, batch {batch}, seed {seed} |
| Input | float32 1x3x{height}x{width}, 0 to 1 |
| Output | ln depth and ln sigma, 1x2x{map_rows}x{map_columns}, a quarter of the input |
| Meters | of a camera with a focal length of {focal_px:g} px at the size of the input |
| Range | {min_depth_m:g} to {max_depth_m:g} m; nearer is -inf, farther and the sky +inf |
| Learnt from | {learnt_from} |
| Taught by | {taught_by} |
{started}| License | Apache-2.0, as this repository |

The depth of other cameras is scaled by their focal length, so they must be calibrated.

## How good

{scores}

## Where it fails

{seen}

By construction:

* Every real camera differs from the rendered ones: compare it with a lidar of your own
  (`kd-perception evaluate`) before you rely on it.
* Sigma says how far the student is off where images are like those of its training. Of what it has
  never seen it may be sure and wrong.
* {world}
"""

_SCORES = """\
Means over images; depth beyond 80 m and the sky are left out. `scale` is the median of true over
predicted depth. `told` is the share of the pixels whose depth the node tells as a finite one; the
last columns are the share of their errors within one and two standard deviations, 68 % and 95 %
where sigma is right.

{splits}

{regions}Sigma is multiplied by {scale:.3f}, fitted on the validation split. Without that,
{before_1:.1%} and {before_2:.1%} of the errors of the test split lie within one and two standard
deviations. It sorts errors with an AUSE of {ause:.4f} by relative error (0 is perfect).

For the confidence, sigma is multiplied by {confidence_scale:.3f} instead: it then says
{stated:.1%} in the mean where {observed:.1%} of the errors of the test split are below 10 %."""

_UNSCORED = """\
Not scored, and sigma is not calibrated: the recording has no lidar to compare with, or none in
frames that were held out for that."""

_RENDERED = """\
Rendered were streets of towns, suburbs and the country by day and night, in sun, clouds, rain
  and fog, seen from a car. Rooms, views from above, snow and tracks were not. `shifted` has lenses
  and camera heights beyond those of the training on purpose.
* Glass has the depth that was rendered, that of the pane, not of what is seen in it."""

_RECORDED = 'It has seen one recording. Its scores are against the lidar of that recording alone.'

_REGIONS = ('inside', 'outside', 'glass', 'objects')


def depth_model_card(
    config: CompressDepthConfig, report: Mapping[str, Any], step: int, *, seen: str = NOT_SEEN
) -> str:
    """The card in Markdown.

    Args:
        config: the run.
        report: its metrics, as `evaluate` gives them.
        step: finished steps; fewer than configured is said so.
        seen: what was seen of it on real frames.
    """
    height, width = config.image_size
    unfinished = '' if step == config.loop.steps else f' of {config.loop.steps} (unfinished run)'
    return _CARD.format(
        name=config.name,
        kind='**synthetic** frames only' if config.rendered else 'a recording',
        network=config.network,
        steps=f'{step}{unfinished}',
        batch=config.loop.batch_size,
        seed=config.seed,
        height=height,
        width=width,
        map_rows=height // 4,
        map_columns=width // 4,
        focal_px=config.focal_px,
        min_depth_m=config.min_depth_m,
        max_depth_m=config.max_depth_m,
        learnt_from=learnt_from(config),
        taught_by=_taught_by(config),
        started=card_row(config.start_folder),
        scores=_scores(report) if is_scored(report) else _UNSCORED,
        seen=seen,
        world=_RENDERED if config.rendered else _RECORDED,
    )


def is_scored(report: Mapping[str, Any]) -> bool:
    """Whether sigma was fitted on one split and scored on another."""
    return 'validation' in report and 'test' in report


def _scores(report: Mapping[str, Any]) -> str:
    splits = {name: found for name, found in report.items() if isinstance(found, Mapping)}
    test = splits['test']
    before = test['sigma']['before']
    return _SCORES.format(
        splits=table(
            ['frames', 'abs rel', 'RMSE [m]', 'delta1', 'scale', 'told', '1 sigma', '2 sigma'],
            [_row(name, found) for name, found in splits.items()],
            right=True,
        ),
        regions=_regions(test),
        scale=report['sigma_scale'],
        before_1=before['coverage_1_sigma'],
        before_2=before['coverage_2_sigma'],
        ause=test['sparsification']['abs_rel']['ause'],
        confidence_scale=report['confidence_scale'],
        stated=test['confidence']['after']['stated'],
        observed=test['confidence']['after']['observed'],
    )


def learnt_from(config: CompressDepthConfig) -> str:
    """Where the frames and the depth of a run come from."""
    truth = {'depth': 'with their true depth', 'lidar': 'with the depth of a lidar'}
    labels = truth[config.labels] if config.label_weight else 'without their depth'
    if not config.rendered:
        return f'the recording {Path(config.bag.bag).name}, {labels}'
    size = config.train.config()
    return (
        f'{config.train.count} synthetic frames of {size.height}x{size.width} '
        f'(`kd_perception/world`), no real image, {labels}'
    )


def _taught_by(config: CompressDepthConfig) -> str:
    if not config.teacher.config:
        return 'nobody'
    run = config.teacher.run()
    branch = config.teacher.branch or run.branch_names[0]
    size = 'x'.join(map(str, run.image_size))
    return (
        f'the {branch} branch of `{Path(config.teacher.config).stem}`, preset '
        f'`{run.network.preset}` at {size}, {run.loop.steps} steps'
    )


def _row(name: str, found: Mapping[str, Any]) -> list[str]:
    errors, after = found['all'], found['sigma']['after']
    return [
        name,
        f'{errors["abs_rel"]:.3f}',
        f'{errors["rmse"]:.2f}',
        f'{errors["delta1"]:.3f}',
        f'{found["scale_ratio"]:.3f}',
        f'{found["told_share"]:.1%}',
        f'{after["coverage_1_sigma"]:.1%}',
        f'{after["coverage_2_sigma"]:.1%}',
    ]


def _regions(test: Mapping[str, Any]) -> str:
    """Relative error by part of the frame; nothing for a recording."""
    parts = [f'{name} {test[name]["abs_rel"]:.3f}' for name in _REGIONS if name in test]
    return f'Abs rel of the test split by region: {", ".join(parts)}.\n\n' if parts else ''
