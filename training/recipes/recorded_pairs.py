# SPDX-License-Identifier: Apache-2.0
"""The recording that a recipe learns from without labels: which pairs, of which size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from training.data.bag import BagPairsConfig, PairingConfig, load_bag
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


def described_pairs(pairs: BagPairsConfig, cache: Path) -> dict[str, Any]:
    """Key, digest and report of pairs that a run learns from, for its checkpoint and record."""
    data = load_bag(pairs, cache)
    return {'key': data.folder.name, 'digest': data.digest(), 'report': plain(data.report)}


def check_pairs(
    known: Mapping[str, Any], pairs: BagPairsConfig, cache: Path, folder: Path
) -> None:
    """Refuse to go on with another recording than a run began with.

    Args:
        known: what `described_pairs` gave when the run began; empty if it has not.
        pairs: that the run learns from.
        cache: folder that remembers the hash of a bag.
        folder: of the run.

    Raises:
        BagError: there is no such bag.
        ConfigError: the recording, or the code that reads it, has changed since.
    """
    if known and known['key'] != (key := pairs.key(cache)):
        raise ConfigError(
            f'a run must go on with the pairs it began with, {known["key"]}, got {key}: the '
            f'recording {pairs.bag} has changed, or the code that reads it; choose another name '
            f'or output for a new run, or remove {folder} to start again'
        )
