# SPDX-License-Identifier: Apache-2.0
"""What the place in the image alone tells of depth: the baseline that looks at no image.

It says of each pixel the median depth that it has in the frames of the validation split. A network
that is no better has learnt where the street is, not what it sees. Its record lies beside those of
the runs of the same configuration:

    python -m training.depth_prior --name place_prior \
        --config_path training/configs/mutual_distillation/sup_l1.yaml
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.metrics import DepthProtocol
from training.depth_evaluation import Predict, Prediction, Scored, score_depth
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_data import scored_frames
from training.records import versions, write_record
from training.settings import load_config, plain

Array = npt.NDArray[np.float32]

BRANCH = 'place'


def place_prior(frames: Iterable[Scored], protocol: DepthProtocol) -> Array:
    """The median depth of every pixel, float32 [height, width] in meters.

    Args:
        frames: of one size, with ground truth.
        protocol: which pixels count; where none does in any frame it is the largest depth.

    Raises:
        ConfigError: there is no frame, or sizes differ.
    """
    frames = list(frames)
    if len({frame.target_m.shape for frame in frames}) != 1:
        raise ConfigError('the frames to take the median depth from must be of one size')
    known = [np.where(protocol.valid(f.target_m), f.target_m, np.nan) for f in frames]
    stack = np.stack(known).astype(np.float32)
    seen = np.isfinite(stack).any(axis=0)
    depth_m = np.full(stack.shape[1:], protocol.max_depth_m, np.float32)
    depth_m[seen] = np.nanmedian(stack[:, seen], axis=0)
    return depth_m


def predictor(depth_m: Array) -> Predict:
    """The same depth for every frame, with no opinion on where it is wrong."""
    said = Prediction(1.0 / depth_m, np.zeros_like(depth_m))
    return lambda _: said


def main(arguments: list[str] | None = None) -> None:
    """Score the baseline on the frames of a run and write its record."""
    config = load_config(MutualConfig, arguments)
    splits = scored_frames(config)
    if not {'validation', 'test'} <= set(splits):
        raise ConfigError(
            'a run must have a validation split to take the median depth from and a test split, '
            f'has {list(splits) or "neither"}'
        )
    predict = predictor(place_prior(splits['validation'], config.protocol_of('validation')))
    found = {
        name: score_depth(predict, frames, config.protocol_of(name), with_sigma=False)
        for name, frames in splits.items()
    }
    record = {
        'recipe': 'depth_prior',
        'name': config.name,
        'seed': config.seed,
        'trained_on': 'synthetic' if config.rendered else 'real',
        'metrics': {BRANCH: found},
        'frame_keys': {n: s.key() for n, s in config.splits().items()} if config.rendered else {},
        'versions': versions(),
        'config': plain(config),
    }
    write_record(config.record_path, record)
    print(f'abs rel {found["test"]["all"]["abs_rel"]:.3f}, {config.record_path}')


if __name__ == '__main__':
    main()
