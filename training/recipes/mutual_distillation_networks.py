# SPDX-License-Identifier: Apache-2.0
"""The branches of mutual distillation, and a pose network where motions are not known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kd_perception.errors import ConfigError
from kd_perception.models import Motion, PoseNetwork, PoseNetworkConfig
from kd_perception.models.monodepth_unet import (
    Decoder,
    MonodepthOutput,
    MonodepthUNet,
    MonodepthUNetConfig,
)
from training.disparity import sigmoid_from_depth
from training.tensor_checks import check_option

POSES = ('known', 'learned')
DECODER_STARTS = ('default', 'kaiming')


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of all branches, which are built alike, and of the pose network.

    Args:
        preset: `paper`, `small` or `tiny`, of both kinds of networks.
        encoder_depth: of the ResNets: 18, 34, 50, 101 or 152. Which the paper has is not public.
        base_width: channels of a branch's stem in place of the preset's; 0: the preset's.
        shared_encoder: all branches have one encoder; read as no in the paper.
        min_depth_m: depth of the disparity 1.
        max_depth_m: depth of the disparity 0.
        initial_depth_m: what untrained branches say about everywhere; 0: the depth of half the
            disparity, which is below a meter for Monodepth2's 0.1 to 100 m.
        min_sigma: added to every sigma, in meters or units of the photometric error; without it
            the likelihood has no limit where two views are alike.
        decoder_start: first weights of the decoders: `default`, those of PyTorch as in Monodepth2,
            by which signals shrink in each of ten layers, or `kaiming`, by which they do not, for
            short runs.
        poses: of video: `known`, or `learned` by a pose network.
        weights_file: ImageNet weights that all encoders start from; none if empty.

    Raises:
        ConfigError: a value is out of range.
    """

    preset: str = 'tiny'
    encoder_depth: int = 18
    base_width: int = 0
    shared_encoder: bool = False
    min_depth_m: float = 0.1
    max_depth_m: float = 100.0
    initial_depth_m: float = 0.0
    min_sigma: float = 1.0e-3
    decoder_start: str = 'default'
    poses: str = 'known'
    weights_file: str = ''

    def __post_init__(self) -> None:
        """Check names and ranges."""
        check_option('poses', self.poses, POSES)
        check_option('decoder_start', self.decoder_start, DECODER_STARTS)
        if self.initial_depth_m and not self.min_depth_m < self.initial_depth_m < self.max_depth_m:
            raise ConfigError(
                'initial_depth_m must be between min_depth_m and max_depth_m, or 0, got '
                f'{self.initial_depth_m}'
            )
        _ = self.branch(), self.pose_network()

    def branch(self) -> MonodepthUNetConfig:
        """Sizes of a branch."""
        width = {'base_width': self.base_width} if self.base_width else {}
        return MonodepthUNetConfig.preset(
            self.preset,
            encoder_depth=self.encoder_depth,
            min_depth_m=self.min_depth_m,
            max_depth_m=self.max_depth_m,
            min_sigma=self.min_sigma,
            **width,
        )

    def pose_network(self) -> PoseNetworkConfig:
        """Sizes of the pose network."""
        return PoseNetworkConfig.preset(self.preset, encoder_depth=self.encoder_depth)


class MutualOutput(NamedTuple):
    """What `MutualNetwork` gives.

    Attributes:
        branches: of each branch in order.
        motions: of all pairs of frames, [batch * pairs, 1, 3] each; None without pairs.
    """

    branches: tuple[MonodepthOutput, ...]
    motions: Motion | None


class MutualNetwork(nn.Module):
    """One or two branches and what learns beside them, in one module.

    Args:
        config: sizes.
        branches: 1 or 2.
        learns_poses: whether there is a pose network.
    """

    def __init__(self, config: NetworkConfig, branches: int, *, learns_poses: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(new_branch(config) for _ in range(branches))
        if config.shared_encoder:
            for branch in self.branches[1:]:
                branch.encoder = self.branches[0].encoder
        self.pose_network = PoseNetwork(config.pose_network()) if learns_poses else None
        if config.weights_file:
            self._load_imagenet_weights(Path(config.weights_file))

    def forward(self, seen: Tensor, pairs: Tensor | None = None) -> MutualOutput:
        """Depth and uncertainty of every branch, motions of every pair.

        Args:
            seen: float [batch, branches, 3, height, width], 0 to 1: each branch's own image.
            pairs: float [batch, pairs, 6, height, width]: two frames in the order of time.
        """
        outputs = tuple(
            branch(image) for branch, image in zip(self.branches, seen.unbind(1), strict=True)
        )
        if self.pose_network is None or pairs is None:
            return MutualOutput(outputs, None)
        return MutualOutput(outputs, self.pose_network(pairs.flatten(0, 1)))

    def _load_imagenet_weights(self, path: Path) -> None:
        for network in (*self.branches, self.pose_network):
            if network is not None:
                network.load_imagenet_weights(path)


def new_branch(config: NetworkConfig) -> MonodepthUNet:
    """An untrained branch that says `initial_depth_m` where its features say nothing."""
    own = config.branch()
    branch = MonodepthUNet(own)
    if config.decoder_start == 'kaiming':
        for decoder in (branch.disparity_decoder, branch.sigma_decoder):
            _keep_signals(decoder)
    if config.initial_depth_m:
        sigmoid = sigmoid_from_depth(
            torch.tensor(config.initial_depth_m, dtype=torch.float64),
            min_depth_m=own.min_depth_m,
            max_depth_m=own.max_depth_m,
        )
        for head in branch.disparity_decoder.heads:
            assert isinstance(head, nn.Conv2d) and head.bias is not None
            nn.init.constant_(head.bias, math.log(float(sigmoid / (1.0 - sigmoid))))
    return branch


def _keep_signals(decoder: Decoder) -> None:
    """First weights by which the stages of a decoder keep the size of a signal.

    Reference:
        K. He et al., "Delving Deep into Rectifiers", ICCV 2015.
    """
    for layer in (*decoder.narrow.modules(), *decoder.merge.modules()):
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
