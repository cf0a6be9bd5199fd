# SPDX-License-Identifier: Apache-2.0
"""What the reports of all tasks share: one self-contained HTML page, readable offline."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np

from kd_perception.evaluation.depth_result import DepthEvaluation
from kd_perception.evaluation.frame_strip import FrameStrip
from kd_perception.evaluation.report_charts import drive_chart, nice_end
from kd_perception.evaluation.result import Counts, Evaluation, Latency, write_atomically

Card = tuple[str, str, str]
"""A headline figure: name, figure, explanation."""


class Film(NamedTuple):
    """A video beside the report; without a name there is none."""

    name: str = ''
    codec: str = ''


NO_FILM = Film()


def write_page(
    template: str,
    evaluation: Evaluation | DepthEvaluation,
    strip: FrameStrip[Any, Any],
    path: Path,
    film: Film,
    **values: Any,
) -> None:
    """Write a report.

    Args:
        template: Extends ``page.html.j2``.
        evaluation: Figures.
        strip: Pictures.
        path: HTML file to write.
        film: Named on the page.
        values: For the template; ``page.html.j2`` needs subject, cards, columns (place among the
            pictures of a frame, and its name), figure_name and charts.

    Raises:
        BagError: The file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {'percent': percent, 'ms': milliseconds, 'count': count}
    provenance = evaluation.student['provenance']
    page = environment.get_template(template).render(
        e=evaluation,
        latency=[('total', evaluation.latency.total), *evaluation.latency.stages.items()],
        strip=strip.rows(),
        worst=strip.worst_index,
        synthetic=is_synthetic_trained(provenance),
        provenance=_provenance_rows(provenance, nested=False),
        details=_provenance_rows(provenance, nested=True),
        video=film.name,
        codec=film.codec,
        **values,
    )
    write_atomically(path, page)


def is_synthetic_trained(provenance: Mapping[str, Any]) -> bool:
    """Tell whether the student says that it was trained on synthetic images."""
    return re.search(r'\bsynthetic\b', str(provenance.get('trained_on', '')).lower()) is not None


def percent(share: float | None, digits: int = 1) -> str:
    """Format a share; a dash where it is not known."""
    return '–' if share is None or math.isnan(share) else f'{100 * share:.{digits}f} %'


def milliseconds(value: float) -> str:
    """Format a time [ms]; a dash where it is not known."""
    return '–' if math.isnan(value) else f'{value:.1f} ms'


def count(value: float | None) -> str:
    """Format a number of things; a dash where it is not known."""
    return '–' if value is None else f'{value:,}'.replace(',', '\u202f')


def counts_line(counts: Counts) -> str:
    """Say what became of the frames, for a terminal."""
    return (
        f'frames: {counts.frames}, with a prediction {counts.predicted}; received '
        f'{count(counts.received)}, published {count(counts.published)}, '
        f'dropped {count(counts.dropped)}, failed {count(counts.failed)}'
    )


def latency_line(latency: Latency) -> str:
    """Say how long it took, for a terminal."""
    total = latency.total
    return (
        f'latency: p50 {milliseconds(total.p50_ms)}, p90 {milliseconds(total.p90_ms)}, '
        f'p99 {milliseconds(total.p99_ms)} ({latency.definition})'
    )


def common_cards(counts: Counts, latency: Latency) -> list[Card]:
    """Return the headline figures that do not depend on the task."""
    cards = []
    if latency.total.frames:
        tail = f'p99 {milliseconds(latency.total.p99_ms)}'
        cards.append(('latency p50', milliseconds(latency.total.p50_ms), tail))
    share = counts.predicted / counts.frames if counts.frames else math.nan
    cards.append(('answered', percent(share), f'{counts.predicted} of {counts.frames} frames'))
    return cards


def drive_charts(
    evaluation: Evaluation | DepthEvaluation, figures: Sequence[float], name: str, end: float
) -> dict[str, Any]:
    """Draw figures over time, where there are at least two frames in order of time.

    Args:
        evaluation: For stamps and latencies.
        figures: One per frame; NaN where not known.
        name: Of the figure.
        end: Upper end of its axis.
    """
    stamps = np.array([record.stamp_ns for record in evaluation.frames])
    if stamps.size < 2 or (np.diff(stamps) <= 0).any():
        return {}
    seconds = ((stamps - stamps[0]) * 1e-9).tolist()
    charts = {}
    if evaluation.scores is not None:
        charts['figure'] = drive_chart(seconds, figures, name, end)
    times = [record.latency_ms for record in evaluation.frames]
    if evaluation.latency.total.frames:
        end_ms = nice_end(max(evaluation.latency.total.max_ms, 1.1))
        charts['latency'] = drive_chart(seconds, times, 'latency [ms]', end_ms)
    return charts


def _provenance_rows(provenance: dict[str, Any], *, nested: bool) -> list[tuple[str, str]]:
    """Return (name, value) of the plain entries, or of all those inside nested mappings."""
    chosen = {k: v for k, v in provenance.items() if isinstance(v, dict) == nested}
    return [(name.replace('_', ' '), _text(value)) for name, value in _flat(chosen)]


def _flat(mapping: dict[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}{key}: ')
        else:
            yield f'{prefix}{key}', value


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ', '.join(_text(item) for item in value)
    return f'{value:.4g}' if isinstance(value, float) else str(value)
