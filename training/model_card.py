# SPDX-License-Identifier: Apache-2.0
"""The model card of a shipped student."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_perception.world.classes import CLASS_NAMES
from training.recipes.supervised import SupervisedConfig

_CARD = """\
# {name}

Demonstration weights, trained on **synthetic** thermal frames only. Not for driving or safety use.

| | |
|---|---|
| Task | semantic segmentation of one thermal frame, nine MFNet classes |
| Network | `{network}`, {steps} steps, batch {batch}, seed {seed} |
| Input | float32 1x1x480x640, 0 to 1 after a 1st to 99th percentile window |
| Output | logits 1x9x120x160, a quarter of the input |
| Trained on | {train} rendered frames of 480x640 (`kd_perception/world`), no real image |
| Chosen by | {chosen_by} |
| License | Apache-2.0, as this repository |

## How good

Intersection over union in percent. The synthetic test split has {test} frames of the same
generator with other seeds. The real tiles are four labeled MFNet thermal pictures of 280x372
pixels, after the camera's own gain control: differences below about eight points mean nothing
there.
{tiles_note}

| class | synthetic test | real tiles |
|---|---|---|
{rows}
| mean over the classes that are labeled or predicted | {test_mean} | {tile_mean} |

Confidence: temperature {temperature:.3f}, fitted on the synthetic validation split, lowers the
expected calibration error on the synthetic test split from {ece_before:.4f} to {ece_after:.4f}.
On real frames the confidence is not calibrated.

The loss was weighted by class. {correction:.0%} of the logarithm of those weights is taken back in
the bias of the last layer, so that rare classes are not favored beyond what that leaves.

## Where it fails

{seen}

By construction:

* `car_stop`, `bump`, `color_cone`, `curve` and `guardrail` have almost no heat contrast. Where the
  real column shows zero or a dash, treat them as not recognized.
* Views from above, rain, fog and lenses wider than about 70 degrees were not rendered.
* Every real camera differs from the rendered ones: measure on your own frames.
"""

_NOT_SEEN = 'Nobody has looked at what this run makes of real frames.'

_TILES_NOTE = (
    'They chose neither weights nor settings, but what the world renders was designed after\n'
    'looking at frames of this kind.'
)


OBSERVATIONS = Path(__file__).parent / 'configs' / 'supervised' / 'observations'
"""Files `<fingerprint of a run>.md`: what somebody saw of the run's results on real frames."""


def model_card(config: SupervisedConfig, report: dict[str, Any], step: int) -> str:
    """The card in Markdown.

    Args:
        config: the run.
        report: its metrics.
        step: finished steps; fewer than configured is said so, and nothing was observed then.
    """
    observed = OBSERVATIONS / f'{config.fingerprint()}.md'
    finished = step == config.steps
    test, tiles = report['synthetic_test'], report.get('real_tiles')
    calibration = report['calibration']
    rows = [
        f'| {name} | {_percent(test, name)} | {_percent(tiles, name)} |' for name in CLASS_NAMES
    ]
    unfinished = '' if finished else f' of {config.steps} (unfinished run)'
    return _CARD.format(
        name=config.name,
        network=config.network,
        steps=f'{step}{unfinished}',
        batch=config.batch_size,
        seed=config.seed,
        train=config.train.count,
        chosen_by='the synthetic validation split, among the seeds of the record',
        test=config.test.count,
        tiles_note=_TILES_NOTE if tiles else 'They were not at hand.',
        seen=observed.read_text().strip() if finished and observed.is_file() else _NOT_SEEN,
        rows='\n'.join(rows),
        test_mean=_mean(test),
        tile_mean=_mean(tiles),
        temperature=calibration['temperature'],
        ece_before=calibration['test_before']['ece'],
        ece_after=calibration['test_after']['ece'],
        correction=config.prior_correction,
    )


def _percent(metrics: dict[str, Any] | None, name: str) -> str:
    value = metrics['iou'][name] if metrics else None
    return '-' if value is None else f'{100 * value:.1f}'


def _mean(metrics: dict[str, Any] | None) -> str:
    return f'{100 * metrics["miou_nanmean"]:.1f}' if metrics else '-'
