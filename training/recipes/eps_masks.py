# SPDX-License-Identifier: Apache-2.0
"""The masks of an EPS run: made frame by frame, kept as files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from kd_perception.models import ClassMapNet
from training.data.tagged_frames import TaggedFrames, normalized_image, shown_image
from training.pseudo_masks import make_mask, map_shares
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_mask_files import (
    mask_path,
    read_shares,
    shares_path,
    write_mask,
    write_shares,
)

Array = npt.NDArray[Any]


def make_masks(
    network: ClassMapNet, frames: TaggedFrames, config: EpsConfig, device: torch.device
) -> None:
    """Make the masks that are not there yet; a run that was stopped goes on where it was.

    Args:
        network: trained, in eval mode, on the device.
        frames: with tags and images.
        config: of the run.
        device: of the network.
    """
    for k in tqdm(range(len(frames)), desc='masks', unit='image'):
        frame = frames[k]
        made = mask_path(config, frame.name).is_file()
        if made and shares_path(config, frame.name).is_file():
            continue
        image = shown_image(frame, config.modality)
        if not shares_path(config, frame.name).is_file():
            tensor = torch.from_numpy(normalized_image(image))[None].to(device)
            shares = map_shares(network, tensor, frame.tags, config.masks)
            write_shares(config, frame.name, shares)
        if not made:
            shares = read_shares(config, frame.name)
            mask = make_mask(shares, seen(image), config.masks, frame.saliency)
            write_mask(config, frame.name, mask)


def seen(image: Array) -> Array:
    """What a random field looks at, uint8 [height, width(, 3)], of an image of 0 to 1."""
    levels = np.asarray(np.rint(image * 255.0), np.uint8)
    return levels if levels.shape[2] == 3 else levels[..., 0]
