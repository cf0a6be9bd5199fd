# SPDX-License-Identifier: Apache-2.0
"""What may be set of the parts of an InverseForm run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from kd_perception.errors import ConfigError
from kd_perception.models import RepUNetConfig
from training.engine import LoopConfig
from training.inverse_networks import InverseNetworkConfig
from training.losses import tiling_size
from training.optimization import OptimizerConfig
from training.plane_transforms import TransformRanges

SAMPLERS = ('random', 'stn')
DISTANCES = ('parameters', 'euclidean', 'geodesic')
OUTLINES = ('label', 'teacher')
MODULES = ('trained', 'random')


@dataclass(frozen=True)
class TransformerConfig:
    """A spatial transformer whose views are the transforms that tiles are warped by.

    Args:
        network: preset of the `rep_unet` that looks through it.
        ranges: of its transforms, where shifts are in halves of the image; tiles are warped by
            the same shares of their own ranges.
        frames: how many training frames are asked for their transforms, >= 2.
        jitter: deviation that is added to each, as a share of the ranges, >= 0.
        min_spread: stage 2 refuses transforms of which some parameter deviates by less, as a
            share of its range: a network that learnt from them has hardly seen it change.
        max_mean: stage 2 refuses transforms of which some parameter has a larger mean, as a share
            of its range: a network that learnt from them expects a transform where there is none.
        loop: how long both learn to segment.
        optimizer: how.
    """

    network: str = 'rep_unet_s'
    ranges: TransformRanges = field(default_factory=TransformRanges)
    frames: int = 512
    jitter: float = 0.25
    min_spread: float = 0.1
    max_mean: float = 0.1
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Check ranges."""
        RepUNetConfig.preset(self.network)
        if self.frames < 2 or min(self.jitter, self.min_spread, self.max_mean) < 0.0:
            raise ConfigError(
                f'frames must be >= 2, jitter, min_spread and max_mean >= 0, got {self}'
            )


@dataclass(frozen=True)
class InverseConfig:
    """Stage 1: the inverse network, and the tiles that it learns from.

    The authors' script for this stage is not public; all of it but the network is ours.

    Args:
        network: sizes.
        ranges: of the transforms.
        sampler: transforms are drawn evenly from the ranges (`random`), or are those that a
            spatial transformer chooses on the data (`stn`).
        transformer: of `stn`.
        tiling_size: (height, width) that maps are scaled to before they are cut; the nearest
            multiples of the tile if None.
        tiles_per_frame: cut from each frame that is drawn, >= 1.
        min_edge_pixels: of true boundary in a tile; others teach nothing, and are left out of the
            loss of stage 2, too.
        blur_sigma_px: the warped tile is blurred by up to this, as predictions are, >= 0.
        dropout: share of its pixels that are set to 0, at most, 0 to below 1.
        held_out: share of the training frames, the last ones, that this stage is tested on.
        held_out_tiles: that are cut from these, >= 2.
        min_explained: stage 2 refuses a network that explains a smaller share of the variance of
            held-out transforms, all parameters together; with `stn` of random ones, too.
        loop: how long; `batch_size` counts frames.
        optimizer: how.
    """

    network: InverseNetworkConfig = field(default_factory=InverseNetworkConfig)
    ranges: TransformRanges = field(default_factory=TransformRanges)
    sampler: str = 'random'
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    tiling_size: tuple[int, int] | None = None
    tiles_per_frame: int = 8
    min_edge_pixels: int = 50
    blur_sigma_px: float = 2.0
    dropout: float = 0.1
    held_out: float = 0.1
    held_out_tiles: int = 512
    min_explained: float = 0.5
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=20_000))
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=1.0e-4, weight_decay=0.0, schedule='constant'
        )
    )

    def __post_init__(self) -> None:
        """Check names and ranges; lists become tuples."""
        if self.sampler not in SAMPLERS:
            raise ConfigError(f'sampler must be one of {list(SAMPLERS)}, got {self.sampler!r}')
        tile = self.network.tile
        if self.tiling_size is not None:
            height, width = self.tiling_size
            object.__setattr__(self, 'tiling_size', (height, width))
            if height % tile or width % tile or min(height, width) < tile:
                raise ConfigError(
                    f'tiling_size must be multiples of the tile, {tile}, got {height}x{width}'
                )
        counts = (self.tiles_per_frame, self.min_edge_pixels + 1, self.held_out_tiles - 1)
        if min(counts) < 1 or self.blur_sigma_px < 0.0:
            raise ConfigError(
                'tiles_per_frame must be >= 1, held_out_tiles >= 2, min_edge_pixels and '
                f'blur_sigma_px >= 0, got {self}'
            )
        if not (0.0 <= self.dropout < 1.0 and 0.0 < self.held_out < 1.0):
            raise ConfigError(
                'dropout must be 0 to below 1 and held_out between 0 and 1, got '
                f'{self.dropout} and {self.held_out}'
            )
        if self.min_explained > 1.0:
            raise ConfigError(f'min_explained must be at most 1, got {self.min_explained}')

    def check_maps(self, view_size: tuple[int, int]) -> None:
        """Refuse tiles that are as high or as wide as the maps that they are cut from.

        A transform brings in what lies beyond a tile, and beyond such a tile there is nothing.

        Args:
            view_size: (height, width) of training views.

        Raises:
            ConfigError: maps are less than two tiles high or wide.
        """
        tile = self.network.tile
        height, width = self.tiling_size or tiling_size(view_size, tile)
        if min(height, width) < 2 * tile:
            raise ConfigError(
                f'boundary maps must be at least two tiles high and wide, got tiles of {tile} '
                f'pixels in maps of {height}x{width}: lower inverse.network.tile, or set '
                'inverse.tiling_size'
            )


@dataclass(frozen=True)
class BoundaryStudentConfig:
    """Stage 2: the network that segments, and the weight of each term that it learns from.

    Args:
        architecture: see `inverse_form_students`; that of a host's student follows from the host.
        network: preset of it.
        weights_file: weights of the encoder to start from; none if empty.
        segmentation_weight: of cross-entropy against the label, where there is no host.
        auxiliary_weight: of the same for an auxiliary head, where the network has one; 0.4 in
            PSPNet.
        boundary_weight: of balanced cross-entropy of the boundary head.
        attention_weight: of cross-entropy where a boundary is predicted.
        attention_threshold: probability above which one is.
        inverse_form_weight: of InverseForm.
        inverse: `trained` by stage 1, or `random`: first weights, to see what only looks alike;
            its gradient is made as large as that of the trained one.
        distance: `parameters` (the authors' code), or of the matrices: `euclidean`, `geodesic`.
        sum_over_tiles: as the paper has it; else their mean, as in the authors' code.
        outlines: boundaries are those of the `label` or of what the `teacher` of the host says.
        loop: how long.
        optimizer: how.
    """

    architecture: str = 'rep_unet'
    network: str = 'rep_unet_s'
    weights_file: str = ''
    segmentation_weight: float = 1.0
    auxiliary_weight: float = 0.4
    boundary_weight: float = 0.3
    attention_weight: float = 0.1
    attention_threshold: float = 0.8
    inverse_form_weight: float = 0.3
    inverse: str = 'trained'
    distance: str = 'parameters'
    sum_over_tiles: bool = False
    outlines: str = 'label'
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Check names and weights."""
        for name, known in (
            ('inverse', MODULES),
            ('distance', DISTANCES),
            ('outlines', OUTLINES),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} must be one of {list(known)}, got {getattr(self, name)!r}'
                )
        weights = {k: v for k, v in asdict(self).items() if k.endswith('_weight')}
        if min(weights.values()) < 0.0:
            raise ConfigError(f'weights must be >= 0, got {weights}')
        if not 0.0 <= self.attention_threshold < 1.0:
            raise ConfigError(
                f'attention_threshold must be 0 to below 1, got {self.attention_threshold}'
            )

    @property
    def looks_at_boundaries(self) -> bool:
        """Whether any term needs the boundary head."""
        return any((self.boundary_weight, self.attention_weight, self.inverse_form_weight))

    @property
    def needs_inverse(self) -> bool:
        """Whether stage 1 must have been before."""
        return self.inverse_form_weight > 0.0
