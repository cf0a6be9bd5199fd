# SPDX-License-Identifier: Apache-2.0
"""Views of the world that a person could tag: things as photographs show them, tiles, or frames.

A street frame has several small things of most classes, so its tags say little. A crop about one
thing is like a photograph of VOC; a tile is a part of the frame that is tagged apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.uncertainty import IGNORE_INDEX
from kd_perception.world.classes import CLASS_NAMES
from training.data.paired_world import with_pairs
from training.data.saliency import (
    DegradationConfig,
    barrier_distance,
    degrade,
    heat_contrast,
    spectral_residual,
)
from training.data.tagged_frames import TaggedFrame
from training.data.view_windows import Window, by_turns, crop_windows, tile_windows
from training.data.world import WorldSplit, load_world
from training.data.world_fields import WorldSample

Array = npt.NDArray[Any]

KINDS = ('crops', 'tiles', 'frames')
FIELDS = ('thermal', 'rgb', 'label', 'instance', 'saliency')

Detector = Callable[[Array], Array]

COLOR_DETECTORS: dict[str, Detector] = {
    'spectral_residual': spectral_residual,
    'barrier_distance': barrier_distance,
}
HEAT_DETECTORS: dict[str, Detector] = {
    'heat_contrast': heat_contrast,
    'heat_barrier': barrier_distance,
}
SALIENCIES = ('world', 'truth', 'degraded', *COLOR_DETECTORS, *HEAT_DETECTORS)


@dataclass(frozen=True)
class WorldViewConfig:
    """Which views, and what is known of them.

    Args:
        kind: `crops` about one thing each, `tiles`, or whole `frames`.
        image_size: (height, width) that every view is brought to.
        count: crops at most, by turns of each class; 0 for all.
        tiles: rows and columns that a frame is cut into.
        share_low: least share of a crop's side that its thing takes.
        share_high: largest.
        least_px: things whose longer side is less are not cropped.
        tag_share: a class is tagged from this share of the view's pixels on; with less it is
            neither tagged nor scored.
        pairs: things come together, see `kd_perception.world.pairs`.
        saliency: `world`, as it is rendered: a tenth of the things is missed; `truth`: the labels
            of the tagged classes; `degraded`: `world` made worse; or a detector: of color
            `spectral_residual`, `barrier_distance`, of heat `heat_contrast`, `heat_barrier`. Of
            tiles detectors see the whole frame, otherwise the view.
        degradation: of `degraded`.
    """

    kind: str = 'crops'
    image_size: tuple[int, int] = (64, 64)
    count: int = 0
    tiles: tuple[int, int] = (2, 2)
    share_low: float = 0.35
    share_high: float = 0.8
    least_px: int = 14
    tag_share: float = 0.02
    pairs: bool = False
    saliency: str = 'world'
    degradation: DegradationConfig = field(default_factory=DegradationConfig)

    def __post_init__(self) -> None:
        """Check names and ranges; lists become tuples."""
        for name in ('image_size', 'tiles'):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, known in (('kind', KINDS), ('saliency', SALIENCIES)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} must be one of {", ".join(known)}, got {getattr(self, name)!r}'
                )
        if min(*self.image_size, 32) < 32 or min(*self.tiles, self.least_px) < 1 or self.count < 0:
            raise ConfigError(f'sizes and counts are too small: {self}')
        if not 0.0 < self.share_low <= self.share_high <= 1.0 or not 0.0 < self.tag_share < 1.0:
            raise ConfigError(
                'shares must be 0 < share_low <= share_high <= 1 and 0 < tag_share < 1, got '
                f'{self.share_low}, {self.share_high} and {self.tag_share}'
            )


def class_ids(classes: Sequence[str]) -> tuple[int, ...]:
    """Ids of classes of the world.

    Raises:
        ConfigError: a name is none of these, twice, or there is none at all.
    """
    known = CLASS_NAMES[1:]
    if not classes or len(set(classes)) < len(classes) or not set(classes) <= set(known):
        raise ConfigError(f'classes must be distinct names of {list(known)}, got {list(classes)}')
    return tuple(CLASS_NAMES.index(name) for name in classes)


def load_views(
    split: WorldSplit, classes: Sequence[str], config: WorldViewConfig, cache: Path
) -> list[TaggedFrame]:
    """All views of a split, in memory; frames are rendered where the cache lacks them.

    Args:
        split: of the world.
        classes: that are tagged, in the order of the tags.
        config: of the views.
        cache: folder of rendered frames.

    Raises:
        ConfigError: a class is unknown, or no view is left.
    """
    split = replace(split, fields=FIELDS)
    if config.pairs:
        split = with_pairs(split)
    ids, frames = class_ids(classes), load_world(split, cache)
    windows = [_windows(frames[k], k, ids, config) for k in range(len(frames))]
    # Two things may have one window; it is one view.
    places = {(k, w[:4]): (k, w) for k, own in enumerate(windows) for w in own}
    chosen = sorted(places.values())
    if config.kind == 'crops' and config.count:
        chosen = sorted(by_turns(chosen, ids, config.count))
    if not chosen:
        raise ConfigError('no thing of the classes is large enough: lower least_px, or take tiles')
    views, seen = [], dict[int, Array]()
    for number, (k, window) in enumerate(chosen):
        rng = np.random.default_rng([split.world_seed(), k, number])
        name = f'{split.split}{split.seed}_{k:06d}_{window.top}_{window.left}_{window.height}'
        if k not in seen:
            seen = {k: _seen(frames[k], config)}
        views.append(_view(name, frames[k], seen[k], window, ids, config, rng))
    return views


def _seen(frame: WorldSample, config: WorldViewConfig) -> Array:
    """Saliency of a whole frame that its views are cut out of."""
    if config.kind == 'tiles' and config.saliency in COLOR_DETECTORS:
        return COLOR_DETECTORS[config.saliency](np.asarray(frame.rgb))
    if config.kind == 'tiles' and config.saliency in HEAT_DETECTORS:
        return HEAT_DETECTORS[config.saliency](np.asarray(frame.thermal))
    return np.asarray(frame.saliency)


def _windows(
    frame: WorldSample, number: int, ids: tuple[int, ...], config: WorldViewConfig
) -> list[Window]:
    label, instance = np.asarray(frame.label), np.asarray(frame.instance)
    if config.kind != 'crops':
        return tile_windows(label.shape, *(config.tiles if config.kind == 'tiles' else (1, 1)))
    rng = np.random.default_rng([number, len(ids)])
    shares = (config.share_low, config.share_high)
    found = crop_windows(label, instance, ids, rng, shares=shares, least_px=config.least_px)
    return list(found)


def _view(
    name: str,
    frame: WorldSample,
    whole: Array,
    window: Window,
    ids: tuple[int, ...],
    config: WorldViewConfig,
    rng: np.random.Generator,
) -> TaggedFrame:
    rgb, thermal, things, seen = (
        _cut(np.asarray(array), window, config.image_size, smooth=smooth)
        for array, smooth in (
            (frame.rgb, True), (frame.thermal, True), (frame.label, False), (whole, True),
        )
    )  # fmt: skip
    table = np.zeros(256, np.uint8)
    table[list(ids)] = np.arange(1, len(ids) + 1)
    label = table[things]
    counts = np.bincount(label.ravel(), minlength=len(ids) + 1)[1:]
    tags = counts >= max(1.0, config.tag_share * label.size)
    # What is too small to be tagged is neither right nor wrong.
    label[(label > 0) & ~np.concatenate([[True], tags])[label]] = IGNORE_INDEX
    saliency = _saliency(config, rgb, thermal, np.isin(things, ids), seen, rng)
    return TaggedFrame(name, tags, rgb, thermal, saliency, label, things)


def _saliency(
    config: WorldViewConfig,
    rgb: Array,
    thermal: Array,
    there: Array,
    seen: Array,
    rng: np.random.Generator,
) -> Array:
    if config.saliency == 'truth':
        return np.asarray(there * np.uint8(255), np.uint8)
    if config.saliency == 'degraded':
        return degrade(seen, rng, config.degradation)
    if config.saliency == 'world' or config.kind == 'tiles':
        return seen
    if config.saliency in COLOR_DETECTORS:
        return COLOR_DETECTORS[config.saliency](rgb)
    return HEAT_DETECTORS[config.saliency](thermal)


def _cut(array: Array, window: Window, size: tuple[int, int], *, smooth: bool) -> Array:
    top, left, height, width, _ = window
    part = np.ascontiguousarray(array[top : top + height, left : left + width])
    if part.shape[:2] == size:
        return part
    method = cv2.INTER_NEAREST_EXACT
    if smooth:
        method = cv2.INTER_AREA if size[0] < height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, size[::-1], interpolation=method))
