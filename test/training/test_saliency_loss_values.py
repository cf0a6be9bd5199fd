# SPDX-License-Identifier: Apache-2.0
"""The saliency loss of EPS gives the values of its formula, to six digits also in float32.

The formula is written out once more here, in float64 and without a library, as it is known of the
authors' code: softmax over the maps; the saliency at the nearest cell; of each present class the
overlap, the sum of round(p) round(S) over that of round(p) + 0.0001; foreground where it exceeds
tau; the mean squared error of lambda M_fg + (1 - lambda) (1 - M_bg). Their code itself is not
here.
"""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import map_overlap, saliency_loss

BATCH, CLASSES, HEIGHT, WIDTH = 2, 3, 5, 6
SALIENCY_SIZE = (11, 13)
LABEL = [[1, 0, 1], [1, 1, 0]]


def map_value(b, c, y, x):
    return 4.0 * math.sin(1.0 + 0.7 * b + 1.3 * c + 0.9 * y + 0.37 * x * (c + 1))


def saliency_value(b, y, x):
    return 0.5 + 0.5 * math.sin(0.4 * b + 0.6 * y - 0.8 * x)


def probabilities(b, y, x):
    powers = [math.exp(map_value(b, c, y, x)) for c in range(CLASSES + 1)]
    return [power / sum(powers) for power in powers]


def nearest_saliency(b, y, x):
    return saliency_value(b, y * SALIENCY_SIZE[0] // HEIGHT, x * SALIENCY_SIZE[1] // WIDTH)


def cells():
    return [(y, x) for y in range(HEIGHT) for x in range(WIDTH)]


def overlap(b, c):
    held = [round(probabilities(b, y, x)[c]) for y, x in cells()]
    salient = [round(nearest_saliency(b, y, x)) for y, x in cells()]
    hits = sum(h * s for h, s in zip(held, salient, strict=True))
    return hits / sum(h + 1e-4 for h in held)


def formula(tau, blend, foreground_rule):
    """The loss; the rule says of an overlap and a class whether it is foreground."""
    total = 0.0
    for b in range(BATCH):
        present = [c for c in range(CLASSES) if LABEL[b][c]]
        salient = [c for c in present if foreground_rule(overlap(b, c) > tau, c)]
        behind = [c for c in present if c not in salient] + [CLASSES]
        for y, x in cells():
            p = probabilities(b, y, x)
            estimate = blend * sum(p[c] for c in salient)
            estimate += (1.0 - blend) * (1.0 - sum(p[c] for c in behind))
            total += (estimate - nearest_saliency(b, y, x)) ** 2
    return total / (BATCH * HEIGHT * WIDTH)


def tensors(dtype):
    maps = [
        [[[map_value(b, c, y, x) for x in range(WIDTH)] for y in range(HEIGHT)]
         for c in range(CLASSES + 1)] for b in range(BATCH)
    ]  # fmt: skip
    height, width = SALIENCY_SIZE
    saliency = [
        [[[saliency_value(b, y, x) for x in range(width)] for y in range(height)]]
        for b in range(BATCH)
    ]
    return torch.tensor(maps, dtype=dtype), torch.tensor(saliency, dtype=dtype)


@pytest.mark.parametrize(
    ('settings', 'rule', 'golden'),
    [
        ({'overlap_threshold': 0.4, 'blend': 0.5}, lambda over, c: over, 0.20165826965729425),
        ({'overlap_threshold': 0.4, 'blend': 0.9}, lambda over, c: over, 0.2417734388688648),
        ({'overlap_threshold': 0.55, 'blend': 0.5}, lambda over, c: over, 0.23320193594984626),
        ({'overlap_threshold': 0.9, 'blend': 0.3}, lambda over, c: over, 0.28242143002469644),
        (
            {'selection': 'naive', 'overlap_threshold': 0.9},
            lambda over, c: True,
            0.20165826965729425,
        ),
        (
            {'selection': 'fixed', 'background_classes': (0,)},
            lambda over, c: c != 0,
            0.22269178723775396,
        ),
    ],
)
def test_values_of_the_formula(settings, rule, golden):
    tau, blend = settings.get('overlap_threshold', 0.4), settings.get('blend', 0.5)
    assert formula(tau, blend, rule) == pytest.approx(golden, rel=1e-13)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        maps, saliency = tensors(dtype)
        found = saliency_loss(maps, saliency, torch.tensor(LABEL), **settings).item()
        assert found == pytest.approx(golden, rel=tolerance)


def test_overlaps_of_the_formula():
    maps, _ = tensors(torch.float64)
    nearest = torch.tensor(
        [[[[nearest_saliency(b, y, x) for x in range(WIDTH)] for y in range(HEIGHT)]]
         for b in range(BATCH)], dtype=torch.float64,
    )  # fmt: skip
    found = map_overlap(maps.softmax(dim=1)[:, :-1], nearest)
    expected = [[overlap(b, c) for c in range(CLASSES)] for b in range(BATCH)]
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0
    )
