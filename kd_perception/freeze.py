# SPDX-License-Identifier: Apache-2.0
"""Frozen frames: a camera that repeats one image while its shutter closes or its driver hangs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.errors import ConfigError
from kd_perception.frames import Frame, Image

FREEZE_SOURCES = ('detect', 'none')
FREEZE_POLICIES = ('flag', 'hold', 'pass')


@dataclass(frozen=True)
class FreezeConfig:
    """What to do while the camera repeats one frame.

    Attributes:
        source: ``detect`` compares each frame with the one before, ``none`` never does.
        policy: ``flag`` gives frozen frames no prediction (mask 255, confidence 0), ``hold`` asks
            to publish nothing, ``pass`` only tells.
        freeze_frames: That many identical frames in a row mean frozen, at least 2.
        settle_s: How long after a freeze frames still count as frozen [s], 0 to 10.
    """

    source: str = 'detect'
    policy: str = 'flag'
    freeze_frames: int = 3
    settle_s: float = 0.3

    def __post_init__(self) -> None:
        """Check the values."""
        if self.source not in FREEZE_SOURCES or self.policy not in FREEZE_POLICIES:
            raise ConfigError(
                f'ffc.source must be one of {", ".join(FREEZE_SOURCES)} and ffc.policy one of '
                f'{", ".join(FREEZE_POLICIES)}; received {self.source!r} and {self.policy!r}'
            )
        if self.freeze_frames < 2 or not 0.0 <= self.settle_s <= 10.0:
            raise ConfigError(
                'ffc.freeze_frames must be at least 2 and ffc.settle_s 0 to 10; received '
                f'{self.freeze_frames} and {self.settle_s}'
            )


class FreezeDetector:
    """Tells frames that repeat the ones before; the state depends on frames and stamps only.

    Attributes:
        thawed: The last frame was the first new one after a freeze.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self.thawed = False
        self._last: Image | None = None
        self._repeats = 0
        self._thawed_ns: int | None = None

    def is_frozen(self, frame: Frame, config: FreezeConfig) -> bool:
        """Take the next frame into account and tell whether it counts as frozen."""
        if config.source == 'none':
            self.reset()
            return False
        was_frozen = self._repeats >= config.freeze_frames
        self._count(frame.image)
        frozen = self._repeats >= config.freeze_frames
        self.thawed = was_frozen and not frozen
        if self.thawed:
            self._thawed_ns = frame.stamp_ns
        return frozen or self._is_settling(frame.stamp_ns, config.settle_s)

    def _count(self, image: Image) -> None:
        # Bytes are compared, not values: a frozen float frame may hold NaN.
        if self._last is not None and np.array_equal(self._last, image.view(np.uint8)):
            self._repeats += 1
            return
        self._last = image.view(np.uint8).copy()
        self._repeats = 1

    def _is_settling(self, stamp_ns: int, settle_s: float) -> bool:
        if self._thawed_ns is None:
            return False
        # Stamps that stand still (a driver that leaves them empty) must not make it last forever.
        elapsed_ns = stamp_ns - self._thawed_ns
        if 0 < elapsed_ns < settle_s * 1e9 or (self.thawed and settle_s > 0):
            return True
        self._thawed_ns = None
        return False
