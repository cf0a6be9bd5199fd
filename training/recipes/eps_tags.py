# SPDX-License-Identifier: Apache-2.0
"""What the tags of a folder say by themselves, before anything is learnt from its images."""

from __future__ import annotations

from training.recipes.eps_config import EpsConfig


def absent_classes(config: EpsConfig) -> list[str]:
    """Classes of a folder that no frame has: new ones, perhaps, that nobody has looked for yet."""
    if not config.tagged:
        return []
    rows = config.tagged_folder().tags.values()
    return [name for k, name in enumerate(config.classes) if not any(tags[k] for tags in rows)]
