# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown from summaries of runs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from kd_perception.markdown import table
from training.data.real_tiles import NO_TEST
from training.records import mean_and_spread

Summaries = Mapping[str, Mapping[str, Any]]

MEANS = {
    'miou_nanmean': 'mIoU',
    'miou': 'mIoU, absent = 0',
    'miou_frequent': 'frequent',
    'miou_rare': 'rare',
    'boundary_f_3px': 'boundary F',
}
"""Columns of means by the name of the metric."""

_NOTES = """\
Percent, mean ± sample standard deviation over the seeds of a run. `mIoU` is the mean over the
classes that are labeled or predicted, `absent = 0` counts the others as 0 as MFNet papers do;
`frequent` is the mean of car, person, bike and curve, `rare` that of the other four. `boundary F`
is at 3 pixels, over the images that hold a class. Everything but the real tiles is synthetic:
`test` and the presets are frames of the world with seeds that no training frame has, `shifted`
shows them through a sensor that was never trained on. `world` names the code that rendered the
test frames: figures of different worlds must not be compared."""

_TILES_NOTES = (
    'The four real tiles chose neither weights nor settings of these runs, but '
    f'{NO_TEST}. They are small, too: differences below about eight points mean nothing there.'
)


def results_section(recipe: str, runs: Summaries, *, baseline: str, classes: Sequence[str]) -> str:
    """The section of a recipe: one table over all runs, then one per run.

    Args:
        recipe: title of the section.
        runs: summaries by name.
        baseline: the run that those of its family and its seeds are compared with, seed by seed;
            its family are the names that begin like its own does before the first `_`.
        classes: columns of the intersections over union.
    """
    parts = [f'## {recipe}', _NOTES, textwrap.fill(_TILES_NOTES, 99)]
    parts += ['### mIoU by what is seen', _comparison(runs)]
    for name in _paired(runs, baseline):
        parts += [f'### {name} minus {baseline}, seed by seed']
        parts += _compared(runs[name], runs[baseline])
    for name, run in runs.items():
        seeds = ', '.join(str(seed) for seed in run['seeds'])
        parts += [f'### {name}: {run["modality"]}, seeds {seeds}', _run_table(run, classes)]
    return '\n\n'.join(parts)


def evaluations(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Metrics of a run by what it was scored on."""
    metrics = run['metrics']
    found = {'test': metrics.get('synthetic_test'), **metrics.get('presets', {})}
    found['real tiles'] = metrics.get('real_tiles')
    return {name: scores for name, scores in found.items() if scores}


def _comparison(runs: Summaries) -> str:
    scores = {name: evaluations(run) for name, run in runs.items()}
    rows = list(dict.fromkeys(row for found in scores.values() for row in found))
    body = [
        [row, *(_percent(found.get(row, {}).get('miou_nanmean')) for found in scores.values())]
        for row in rows
    ]
    body.append(['world', *(_world(run) for run in runs.values())])
    return table(['', *(f'{name} ({run["modality"]})' for name, run in runs.items())], body)


def _world(run: Mapping[str, Any]) -> str:
    keys = run.get('frame_keys', 'unknown')
    return keys if isinstance(keys, str) else keys.get('test', 'unknown')


def _paired(runs: Summaries, baseline: str) -> list[str]:
    """Runs of the family of the baseline that have its seeds."""
    if baseline not in runs:
        return []
    family, seeds = baseline.split('_')[0], runs[baseline]['seeds']
    return [
        name
        for name, run in runs.items()
        if name != baseline and name.startswith(f'{family}_') and run['seeds'] == seeds
    ]


def _compared(run: Mapping[str, Any], base: Mapping[str, Any]) -> list[str]:
    """The differences, unless the runs have not seen the same frames."""
    if 'unknown' in (_world(run), _world(base)):
        return ['Whether both saw the same frames is not recorded.', _differences(run, base)]
    if run['frame_keys'] != base['frame_keys']:
        return ['Not compared: the frames of the two runs were rendered by different code.']
    return [_differences(run, base)]


def _differences(run: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """Mean and spread of the differences in points, where every seed of both runs has a figure."""
    own, base = evaluations(run), evaluations(baseline)
    count = len(run['seeds'])
    columns = [metric for metric in MEANS if metric != 'miou']
    body = [
        [row, *(_difference(own[row].get(m), base[row].get(m), count) for m in columns)]
        for row in own
        if row in base
    ]
    return table(['', *(MEANS[metric] for metric in columns)], body)


def _difference(own: Any, base: Any, count: int) -> str:
    if not own or not base or not len(own['values']) == len(base['values']) == count:
        return '-'
    pairs = zip(own['values'], base['values'], strict=True)
    text = _percent(mean_and_spread([first - second for first, second in pairs]))
    return text if text.startswith('-') else f'+{text}'


def _run_table(run: Mapping[str, Any], classes: Sequence[str]) -> str:
    body = [
        [
            name,
            *(_percent(scores.get(metric)) for metric in MEANS),
            *(_percent(scores['iou'].get(c)) for c in classes),
        ]
        for name, scores in evaluations(run).items()
    ]
    return table(['', *MEANS.values(), *classes], body)


def _percent(value: Any) -> str:
    """A number with its spread; a dash where no seed has one."""
    if not value or not math.isfinite(value['mean']):
        return '-'
    spread = '' if value['std'] is None else f' ± {100 * value["std"]:.1f}'
    return f'{100 * value["mean"]:.1f}{spread}'
