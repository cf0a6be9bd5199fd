# SPDX-License-Identifier: Apache-2.0
"""The model card of a shipped student."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_perception.markdown import percent
from kd_perception.world.classes import CLASS_NAMES
from kd_perception.world.config import WorldConfig
from training.data.modality import CHANNELS
from training.data.real_tiles import NO_TEST
from training.evaluation import IMAGE_SIZE
from training.first_weights import card_row
from training.observations import NOT_SEEN, observations
from training.recipes.compress_config import CompressConfig
from training.recipes.supervised_config import SupervisedConfig

RunConfig = SupervisedConfig | CompressConfig

_CARD = """\
# {name}

Demonstration weights, trained on {kind}. Not for driving or safety use.

| | |
|---|---|
| Task | semantic segmentation of one {sees} frame, nine MFNet classes |
| Network | `{network}`, {steps} steps, batch {batch}, seed {seed} |
| Input | float32 1x{channels}x{height}x{width}, {values} |
| Output | logits 1x9x{logit_rows}x{logit_columns}, a quarter of the input |
| Trained on | {learnt_from} |
{taught_by}| Chosen by | {chosen_by} |
| License | Apache-2.0, as this repository |

## How good

{how_good}

| class | synthetic test | real tiles |
|---|---|---|
{rows}
| mean over the classes that are labeled or predicted | {test_mean} | {tile_mean} |
{presets}
Confidence: temperature {temperature:.3f}, fitted on the synthetic validation split, lowers the
expected calibration error on the synthetic test split from {ece_before:.4f} to {ece_after:.4f}.
On real frames the confidence is not calibrated.

{weighting}## Where it fails

{seen}

By construction:

{limits}
* Rendered were straight and curved streets, slopes and crossings of towns, suburbs, the country
  and car parks, by day and night, in sun, clouds, rain and fog, {low_m:.1f} to {high_m:.1f} m
  above the ground, with lenses of {narrow:.0f} to {wide:.0f} degrees. `shifted` is beyond that on
  purpose.
* Not rendered were snow and ice, summer heat, motorways, bridges and tunnels, tracks and trains,
  open water, rooms, views from above, blur of motion, and windows or housings before the lens.
* Every real camera differs from the rendered ones: measure on your own frames.
"""

_HOW_GOOD = """\
Intersection over union in percent. The synthetic test split has {test} frames of the same
generator with other seeds. The real tiles are four labeled MFNet {pictures}:
differences below about eight points mean nothing there. {tiles_note}"""

_PRESETS = """
By weather, time of day and camera, {count} synthetic frames each:

| frames | mean | car | person | bike | boundary F at 3 px |
|---|---|---|---|---|---|
{rows}
"""

_WEIGHTING = """\
The loss was weighted by class. {correction:.0%} of the logarithm of those weights is taken back in
the bias of the last layer, so that rare classes are not favored beyond what that leaves.

"""

_SEES = {'thermal': 'thermal', 'rgb': 'color'}
_VALUES = {'thermal': '0 to 1 after a 1st to 99th percentile window', 'rgb': 'RGB, 0 to 1'}
_LIMITS = {
    'thermal': """\
* `car_stop`, `bump`, `color_cone`, `curve` and `guardrail` have no heat of their own and little
  contrast. Where the real column shows zero or a dash, treat them as not recognized.""",
    'rgb': """\
* What no lamp lights at night is black, and glare and fog hide what is behind them.
* Rendered surfaces have plain colors and little texture, real ones have not. Where the real column
  is low, treat the class as not recognized.""",
}

_TILES_NOTE = f'They chose neither weights nor settings, but {NO_TEST}.'
_TILES_CHOSE = (
    'They chose this seed among those that the synthetic validation split holds equal, and '
    f'{NO_TEST}.'
)

_PICTURES = {
    'thermal': "thermal pictures of 280x372 pixels, after the camera's own gain control",
    'rgb': 'color pictures of 280x372 pixels',
}


def train_digest(report: Mapping[str, Any]) -> str:
    """Digest of the frames that a run learnt from; empty where its metrics do not tell it."""
    return str(report['data_digest'].get('train', ''))


def model_card(
    config: RunConfig, report: dict[str, Any], step: int, *, tiles_chose: bool = False
) -> str:
    """The card in Markdown.

    Args:
        config: the run.
        report: its metrics.
        step: finished steps; fewer than configured is said so, and nothing was observed then.
        tiles_chose: the real tiles chose among seeds that validation holds equal.
    """
    finished = step == config.steps
    test, tiles = report['synthetic_test'], report.get('real_tiles')
    calibration = report['calibration']
    rows = [
        f'| {name} | {_percent(test, name)} | {_percent(tiles, name)} |' for name in CLASS_NAMES
    ]
    height, width = input_size(config)
    modality = modality_of(config)
    unfinished = '' if finished else f' of {config.steps} (unfinished run)'
    return _CARD.format(
        name=config.name,
        network=config.network,
        sees=_SEES[modality],
        channels=CHANNELS[modality],
        values=_VALUES[modality],
        limits=_LIMITS[modality],
        height=height,
        logit_rows=height // 4,
        logit_columns=width // 4,
        width=width,
        steps=f'{step}{unfinished}',
        batch=config.batch_size,
        seed=config.seed,
        kind=_kind(config),
        learnt_from=learnt_from(config),
        taught_by=_taught_by(config),
        chosen_by=_CHOSEN_BY_TILES if tiles_chose else _chosen_by(config),
        how_good=_how_good(config, with_tiles=bool(tiles), tiles_chose=tiles_chose),
        presets=_presets(report.get('presets'), config.preset_count),
        seen=observations(config, train_digest(report)) if finished else NOT_SEEN,
        rows='\n'.join(rows),
        test_mean=_mean(test),
        tile_mean=_mean(tiles),
        temperature=calibration['temperature'],
        ece_before=calibration['test_before']['ece'],
        ece_after=calibration['test_after']['ece'],
        weighting=_weighting(config),
        **_cameras(config.train.config()),
    )


def input_size(config: RunConfig) -> tuple[int, int]:
    """(height, width) of the student's input on the robot."""
    return config.image_size if isinstance(config, CompressConfig) else IMAGE_SIZE


def modality_of(config: RunConfig) -> str:
    """What the network of a run sees."""
    return config.modality if isinstance(config, SupervisedConfig) else 'thermal'


def learnt_from(config: RunConfig) -> str:
    """Where the frames of a run come from."""
    if bag := _bag(config):
        return f'the images of the recording {Path(bag).name}, without labels'
    size = config.train.config()
    return (
        f'{config.train.count} rendered frames of {size.height}x{size.width} '
        '(`kd_perception/world`), no real image'
    )


def _weighting(config: RunConfig) -> str:
    if isinstance(config, CompressConfig) and not config.class_weighted:
        return ''
    return _WEIGHTING.format(correction=config.prior_correction)


def _chosen_by(config: RunConfig) -> str:
    path = config.record_path
    seeds = len(list(path.parent.glob(f'{config.name}_seed*{path.suffix}')))
    if seeds < 2:
        return 'nothing: no other seed was trained'
    return 'the synthetic validation split, among the seeds of the record'


_CHOSEN_BY_TILES = (
    'the real tiles, among the seeds that the synthetic validation split holds equal'
)


def _bag(config: RunConfig) -> str:
    return config.bag if isinstance(config, CompressConfig) else ''


def _kind(config: RunConfig) -> str:
    if _bag(config):
        return 'a recording without labels'
    return f'**synthetic** {_SEES[modality_of(config)]} frames only'


def _taught_by(config: RunConfig) -> str:
    """Rows of the table on the teacher and on the first weights, empty for a supervised run."""
    if not isinstance(config, CompressConfig):
        return ''
    rows = []
    labels = 'and by labels' if config.label_weight else 'without labels'
    if config.teacher.bundle:
        rows.append(f'Taught by | the bundle `{config.teacher.student().spec.name}`, {labels}')
    if config.teacher.config:
        run, role = config.teacher.run(), config.teacher.role
        network, part = ('CENet', run.teacher) if role == 'teacher' else ('EKNet', run.student)
        steps = part.loop.steps
        rows.append(f'Taught by | `{network}`, preset `{part.network}`, {steps} steps, {labels}')
    return ''.join(f'| {row} |\n' for row in rows) + card_row(config.start_folder)


def _how_good(config: RunConfig, *, with_tiles: bool, tiles_chose: bool) -> str:
    known = _TILES_CHOSE if tiles_chose else _TILES_NOTE
    note = known if with_tiles else 'They were not at hand.'
    pictures = _PICTURES[modality_of(config)]
    text = _HOW_GOOD.format(test=config.test.count, pictures=pictures, tiles_note=note)
    return textwrap.fill(text, 99)


def _cameras(world: WorldConfig) -> dict[str, float]:
    """Heights [m] and horizontal fields of view [degree] that were rendered."""
    low_m, high_m = world.camera_height_m
    wide, narrow = (2.0 * math.degrees(math.atan(0.5 / focal)) for focal in world.focal_share)
    return {'low_m': low_m, 'high_m': high_m, 'wide': wide, 'narrow': narrow}


def _percent(metrics: dict[str, Any] | None, name: str) -> str:
    return percent(metrics['iou'][name] if metrics else None)


def _presets(presets: dict[str, Any] | None, count: int) -> str:
    """A table with a row per preset; nothing for a record that has none."""
    if not presets:
        return ''
    rows = []
    for name, metrics in presets.items():
        classes = ' | '.join(_percent(metrics, each) for each in ('car', 'person', 'bike'))
        outlines = percent(metrics['boundary_f_3px'])
        rows.append(f'| {name} | {_mean(metrics)} | {classes} | {outlines} |')
    return _PRESETS.format(count=count, rows='\n'.join(rows))


def _mean(metrics: dict[str, Any] | None) -> str:
    return percent(metrics['miou_nanmean'] if metrics else None)
