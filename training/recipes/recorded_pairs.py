# SPDX-License-Identifier: Apache-2.0
"""The recording that a recipe learns from without labels: which pairs, of which size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from training.data.bag import BagPairsConfig, PairingConfig
from training.data.world import WorldSplit
from training.settings import plain

_CHANGES_NO_PIXEL = ('max_gb',)


def recorded_pairs(bag: str, pairing: PairingConfig, train: WorldSplit) -> BagPairsConfig:
    """The pairs of a recording, brought to the size of rendered frames.

    So things are as large there as the teacher has learnt them.

    Args:
        bag: folder or file.
        pairing: how images are paired and registered.
        train: rendered frames that the teacher learns from.
    """
    world = train.config()
    return BagPairsConfig(Path(bag), (world.height, world.width), **vars(pairing))


def check_pairing(bag: str, pairing: PairingConfig) -> None:
    """Refuse to pair what is not there.

    Raises:
        ConfigError: there is something to be paired otherwise than by default, and no recording.
    """
    if not bag and (changed := changed_pairing(pairing)):
        raise ConfigError(
            f'{", ".join(f"bag_pairs.{name}" for name in changed)} must be left out without a '
            'recording: set bag to one'
        )


def changed_pairing(pairing: PairingConfig) -> dict[str, Any]:
    """What is paired otherwise than by default and changes the frames, for a fingerprint."""
    usual = plain(PairingConfig())
    return {
        name: value
        for name, value in plain(pairing).items()
        if value != usual[name] and name not in _CHANGES_NO_PIXEL
    }
