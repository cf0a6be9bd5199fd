# SPDX-License-Identifier: Apache-2.0
"""Charts of the report as inline SVG: sharp in print, readable offline, no plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from kd_perception.metrics import (
    CalibrationBin,
    SigmaCalibrationMetrics,
    SparsificationMetrics,
)

WIDTH, HEIGHT = 340, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 18, 12, 40

_BLUE, _GRAY, _GREEN = '#2563a8', '#8a8f98', '#2a8a5b'


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        label: For the legend; empty for none.
        points: (x, y) in data units; NaN breaks the curve.
        color: CSS color.
        dash: SVG dash pattern; empty for a solid line.
    """

    label: str
    points: Sequence[tuple[float, float]]
    color: str = _BLUE
    dash: str = ''


@dataclass(frozen=True)
class Axes:
    """Ranges and names of the axes, which start at 0.

    Attributes:
        x_name: What runs to the right.
        y_name: What runs upward.
        x_end: Its largest value.
        y_end: Its largest value.
        width: Of the whole drawing [px].
        height: Of the whole drawing [px].
        percent: Whether values are shares.
        x_percent: Whether what runs to the right is one.
        legend_px: Place of the first line of the legend, and its side: ``start`` or ``end``.
    """

    x_name: str
    y_name: str
    x_end: float
    y_end: float
    width: int = WIDTH
    height: int = HEIGHT
    percent: bool = True
    x_percent: bool = True
    legend_px: tuple[int, int, str] = (WIDTH - 24, 110, 'end')

    def x_px(self, x: float) -> float:
        """Place a value on the page."""
        return _LEFT + (self.width - _LEFT - _RIGHT) * x / self.x_end

    def y_px(self, y: float) -> float:
        """Place a value on the page."""
        bottom = self.height - _BOTTOM
        return bottom - (bottom - _TOP) * min(y / self.y_end, 1.0)


def sparsification_chart(
    metrics: SparsificationMetrics, error: str = 'wrong pixels among the rest'
) -> Markup:
    """Draw the error of the pixels that are left when the most uncertain are removed.

    Args:
        metrics: The curves.
        error: What they are of; a share.
    """
    end = nice_end(max(metrics.curve + metrics.oracle) or 0.01)
    axes = Axes('most uncertain pixels removed', error, 1.0, end)
    random = [(share, metrics.error_rate) for share in metrics.removed]
    return line_chart(
        axes,
        [
            Line('at random', random, _GRAY, '4 3'),
            Line('by uncertainty', list(zip(metrics.removed, metrics.curve, strict=True)), _BLUE),
            Line('best possible', list(zip(metrics.removed, metrics.oracle, strict=True)), _GREEN),
        ],
    )


def sigma_chart(metrics: SigmaCalibrationMetrics) -> Markup:
    """Draw how many errors lie inside the interval that should hold a share of them."""
    legend = (_LEFT + 10, _TOP + 14, 'start')
    axes = Axes('stated probability', 'errors inside the interval', 1.0, 1.0, legend_px=legend)
    measured = list(zip(metrics.level, metrics.coverage, strict=True))
    return line_chart(
        axes,
        [
            Line('perfectly calibrated', [(0.0, 0.0), (1.0, 1.0)], _GRAY, '4 3'),
            Line('sigma as published', measured, _BLUE),
        ],
    )


def reliability_chart(
    bins: Sequence[CalibrationBin], right: str = 'share of correct pixels'
) -> Markup:
    """Draw accuracy over confidence; bars are faint where few pixels are.

    Args:
        bins: The bars.
        right: What the confidence is the probability of.
    """
    legend = (_LEFT + 10, _TOP + 14, 'start')
    axes = Axes('stated confidence', right, 1.0, 1.0, legend_px=legend)
    most = max((entry.pixels for entry in bins), default=0)
    bars = [_bar(axes, entry, most) for entry in bins if entry.pixels]
    ideal = Line('perfectly calibrated', [(0.0, 0.0), (1.0, 1.0)], _GRAY, '4 3')
    return line_chart(axes, [ideal], under=''.join(bars))


def _bar(axes: Axes, entry: CalibrationBin, most: int) -> str:
    # Counts span orders of magnitude, so opacity follows their logarithm.
    opacity = 0.25 + 0.75 * math.log1p(entry.pixels) / math.log1p(most)
    left, right = axes.x_px(entry.low) + 0.5, axes.x_px(entry.high) - 0.5
    top = axes.y_px(entry.accuracy)
    title = (
        f'{entry.pixels:,} pixels, confidence {entry.confidence:.1%}, correct {entry.accuracy:.1%}'
    )
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
        f'height="{axes.y_px(0) - top:.1f}" fill="{_BLUE}" fill-opacity="{opacity:.2f}">'
        f'<title>{title}</title></rect>'
    )


def drive_chart(
    seconds: Sequence[float], values: Sequence[float], name: str, end: float
) -> Markup:
    """Draw a figure of every frame over the time of the drive.

    Args:
        seconds: Since the first frame, rising.
        values: One per frame; NaN where not known.
        name: Of the figure, for the axis.
        end: Upper end of its axis.
    """
    percent = end <= 1.0
    last = max(max(seconds, default=0.0), 1e-9)
    axes = Axes('time of the drive [s]', name, last, end, 1080, 190, percent, x_percent=False)
    return line_chart(axes, [Line('', list(zip(seconds, values, strict=True)), _BLUE)])


def line_chart(axes: Axes, lines: Sequence[Line], under: str = '') -> Markup:
    """Draw curves with axes, grid and legend.

    Args:
        axes: Ranges and names.
        lines: Curves; later ones lie above.
        under: SVG elements between grid and curves.
    """
    paths = ''.join(_path(axes, line) for line in lines)
    return Markup(
        f'<svg viewBox="0 0 {axes.width} {axes.height}" role="img" '
        f'aria-label="{axes.y_name} over {axes.x_name}">'
        f'{_grid(axes)}{under}{paths}{_legend(axes, lines)}</svg>'
    )


def nice_end(largest: float) -> float:
    """Round up to 1, 2, 2.5, 4, 5 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (1, 2, 2.5, 4, 5, 8, 10) if step * power >= largest)


def _grid(axes: Axes) -> str:
    parts = []
    bottom, right = axes.height - _BOTTOM, axes.width - _RIGHT
    for step in range(5):
        y = axes.y_end * step / 4
        place = axes.y_px(y)
        parts.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{place:.1f}" y2="{place:.1f}" class="grid"/>'
        )
        text = _tick(y, axes.y_end, axes.percent)
        parts.append(f'<text x="{_LEFT - 5}" y="{place + 3.5:.1f}" class="end">{text}</text>')
        x = axes.x_end * step / 4
        text = _tick(x, axes.x_end, axes.x_percent)
        parts.append(
            f'<text x="{axes.x_px(x):.1f}" y="{bottom + 14}" class="middle">{text}</text>'
        )
    parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" class="axis"/>')
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text x="{(_LEFT + right) / 2}" y="{bottom + 32}" class="name">{axes.x_name}</text>'
    )
    turn = f'transform="rotate(-90 11 {middle})"'
    parts.append(f'<text x="11" y="{middle}" class="name" {turn}>{axes.y_name}</text>')
    return ''.join(parts)


def _tick(value: float, end: float, percent: bool) -> str:
    if percent:
        return f'{value:.0%}' if end >= 0.08 else f'{value:.1%}'
    digits = 0 if end >= 8 else 1 if end >= 1 else 2
    return f'{value:.{digits}f}'


def _path(axes: Axes, line: Line) -> str:
    commands, pen = [], 'M'
    for x, y in line.points:
        if math.isnan(y):
            pen = 'M'
            continue
        # The empty stroke makes a value between two gaps a dot.
        commands.append(f'{pen}{axes.x_px(x):.1f} {axes.y_px(y):.1f}{"h0" if pen == "M" else ""}')
        pen = 'L'
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ''
    return (
        f'<path d="{"".join(commands)}" fill="none" stroke="{line.color}" '
        f'stroke-width="1.6" stroke-linecap="round"{dash}/>'
    )


def _legend(axes: Axes, lines: Sequence[Line]) -> str:
    x, y, side = axes.legend_px
    labeled = [line for line in lines if line.label]
    return ''.join(
        f'<text x="{x}" y="{y + 15 * row}" style="text-anchor: {side}; fill: {line.color}">'
        f'{line.label}</text>'
        for row, line in enumerate(labeled)
    )
