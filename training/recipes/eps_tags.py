# SPDX-License-Identifier: Apache-2.0
"""What the tags of a folder say by themselves, before anything is learnt from its images.

Tiles at fixed places of one drive have much the same around them: where a tile lies may tell its
tags as well as a look at it. A classifier that is no better than its place has learnt no things.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.tagging.frame_names import Place, place_of
from kd_perception.tagging.tag_table import Tags
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_data import RunFrames
from training.tag_metrics import by_class, rounded

Array = npt.NDArray[Any]


def absent_classes(config: EpsConfig) -> list[str]:
    """Classes of a folder that no frame has: new ones, perhaps, that nobody has looked for yet."""
    if not config.tagged:
        return []
    rows = config.tagged_folder().tags.values()
    return [name for k, name in enumerate(config.classes) if not any(tags[k] for tags in rows)]


def answers_by_place(learnt: Mapping[str, Tags]) -> dict[Place | None, Array]:
    """What most tiles of a place say of each class, bool [classes] by place; no where they tie."""
    rows: dict[Place | None, list[Tags]] = {}
    for name, tags in learnt.items():
        rows.setdefault(place_of(name), []).append(tags)
    return {place: np.mean(tags, axis=0) > 0.5 for place, tags in rows.items()}


def place_report(frames: RunFrames) -> dict[str, Any]:
    """How well the place of a tile alone tells the tags of frames that were not learnt from.

    Args:
        frames: of a run on a folder of tags.

    Returns:
        `place_accuracy` of all tags, `class_place_accuracy` by class, and `places`, of how many
        there are answers; a tile of another place gets the answer of all of them. Empty where no
        frame measures, and without a folder.
    """
    config = frames.config
    if not config.tagged or not len(frames['test']):
        return {}
    learnt, measured = frames['train'].tags(), frames['test'].tags()
    answers, usual = answers_by_place(learnt), np.mean(list(learnt.values()), axis=0) > 0.5
    right = [
        answers.get(place_of(name), usual) == np.array(tags) for name, tags in measured.items()
    ]
    shares = np.mean(right, axis=0)
    return {
        'place_accuracy': rounded(shares.mean()),
        'class_place_accuracy': by_class(shares, config.classes),
        'places': len(answers),
    }
