# SPDX-License-Identifier: Apache-2.0
"""The entry ``depth`` on /diagnostics: what the last frame gave."""

from __future__ import annotations

from kd_perception.nodes.node_view import (
    OK,
    WARN,
    Judgment,
    NodeView,
    frozen_judgment,
    nothing_lately,
)

_FEW = 0.05  # of the pixels


def judge_depth(view: NodeView) -> Judgment:
    """Judge the last frame of a depth node."""
    depth = view.monitor.depth
    if view.state != 'active' or depth is None:
        return OK, nothing_lately(view), {}
    values: dict[str, object] = {
        'encoding': depth.encoding,
        'scale': depth.scale,
        'focal_px': depth.focal_px,
        'valid_ratio': depth.valid_ratio,
        'min_m': depth.min_m,
        'max_m': depth.max_m,
        'frozen': depth.frozen,
        'uncertainty': depth.uncertainty_method,
        'calibrated': depth.is_calibrated,
    }
    if depth.frozen:
        return frozen_judgment(depth.frozen_s, values)
    if depth.is_answered and depth.valid_ratio < _FEW:
        return WARN, f'only {depth.valid_ratio:.0%} of the pixels have a depth', values
    if not depth.is_calibrated:
        return WARN, f'sigma is not calibrated for {depth.uncertainty_method}', values
    return OK, f'{depth.valid_ratio:.0%} of the pixels have a depth', values
