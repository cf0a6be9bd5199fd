# SPDX-License-Identifier: Apache-2.0
"""What may be set of the parts of an InverseForm run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache

from kd_perception.errors import ConfigError
from kd_perception.models import RepUNetConfig
from training.engine import LoopConfig
from training.inverse_networks import InverseNetworkConfig
from training.optimization import OptimizerConfig
from training.plane_transforms import TransformRanges
from training.recipes.cekd_config import CekdConfig
from training.recipes.compress_config import CompressConfig
from training.settings import load_config

SAMPLERS = ('random', 'stn')
DISTANCES = ('parameters', 'euclidean', 'geodesic')
OUTLINES = ('label', 'teacher')
MODULES = ('trained', 'random')
HOSTS = ('none', 'cekd', 'compress')

HostRun = CekdConfig | CompressConfig


@dataclass(frozen=True)
class TransformerConfig:
    """A spatial transformer whose views are the transforms that tiles are warped by.

    Args:
        network: preset of the `rep_unet` that looks through it.
        frames: how many training frames are asked for their transforms, >= 2.
        jitter: deviation that is added to each, as a share of the ranges, >= 0.
        loop: how long both learn to segment.
        optimizer: how.
    """

    network: str = 'rep_unet_s'
    frames: int = 512
    jitter: float = 0.25
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Check ranges."""
        RepUNetConfig.preset(self.network)
        if self.frames < 2 or self.jitter < 0.0:
            raise ConfigError(
                f'frames must be >= 2 and jitter >= 0, got {self.frames} and {self.jitter}'
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
            held-out transforms.
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
        inverse: `trained` by stage 1, or `random`: first weights, to see what only looks alike.
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
        return self.inverse_form_weight > 0.0 and self.inverse == 'trained'


@dataclass(frozen=True)
class HostConfig:
    """A recipe whose terms the student learns from beside those of boundaries.

    Args:
        recipe: `none` for plain cross-entropy, `cekd` for the student of CEKD, `compress` for a
            network that another one is compressed into.
        config: file of a run of that recipe, whose teacher, terms and weights are taken; data and
            augmentation are those of this run.
        seed: of that run; that of this one if None.
    """

    recipe: str = 'none'
    config: str = ''
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check the name."""
        if self.recipe not in HOSTS:
            raise ConfigError(f'recipe must be one of {list(HOSTS)}, got {self.recipe!r}')
        if (self.recipe == 'none') == bool(self.config):
            raise ConfigError(
                'a host and its config must come together, got '
                f'recipe {self.recipe!r} and config {self.config!r}'
            )

    def run(self) -> HostRun | None:
        """The run of the host, None without one."""
        return _host_run(self)

    @property
    def has_teacher(self) -> bool:
        """Whether the host learns from a teacher."""
        run = self.run()
        if isinstance(run, CekdConfig):
            return run.student.needs_teacher
        return run is not None and bool(run.teacher.config)


@cache
def _host_run(host: HostConfig) -> HostRun | None:
    """The file is read once: every step asks for what it says."""
    arguments = ['--config_path', host.config, '--seed', str(host.seed or 0)]
    if host.recipe == 'cekd':
        return load_config(CekdConfig, arguments)
    return load_config(CompressConfig, arguments) if host.recipe == 'compress' else None
