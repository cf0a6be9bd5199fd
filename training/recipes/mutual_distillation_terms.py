# SPDX-License-Identifier: Apache-2.0
"""What may be set of the branches of mutual distillation, of their losses and of their data.

What the paper does not tell, as far as it is public, is a reading of ours and marked (ours).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import get_args

from kd_perception.errors import ConfigError
from kd_perception.models.monodepth_unet import SCALES
from training.data.augmentation import JointConfig, PhotometricConfig
from training.losses.scale_alignment import Alignment
from training.losses.uncertainty_distillation import Normalization, UncertaintyUse
from training.losses.unprojected_point import FilteringForm
from training.tensor_checks import check_option, check_positive

KINDS = ('supervised', 'unsupervised', 'summed', 'none')
SOURCES = {'stereo': ('right',), 'video': ('previous', 'next'),
           'both': ('right', 'previous', 'next')}  # fmt: skip
UNCERTAINTIES = ('joint', 'detached', 'none')
NOISE_REGIONS = ('background', 'everywhere', 'none')
USES = (*get_args(UncertaintyUse), 'none')


@dataclass(frozen=True)
class BranchConfig:
    """What one branch learns from.

    Args:
        kind: `supervised` by lidar, `unsupervised` by other views, `summed` by the plain sum of
            both losses, or `none`: there is no such branch.
        views: what it is photometrically compared with: `stereo`, `video` or `both`.
        uncertainty: `joint` likelihood of depth and uncertainty, as in the paper; `detached`:
            depth learns from the plain loss, uncertainty from the error without changing depth;
            `none`: the plain loss, and uncertainty learns nothing. That of `summed` is of lidar.
    """

    kind: str = 'supervised'
    views: str = 'stereo'
    uncertainty: str = 'joint'

    def __post_init__(self) -> None:
        """Check names."""
        check_option('kind', self.kind, KINDS)
        check_option('views', self.views, tuple(SOURCES))
        check_option('uncertainty', self.uncertainty, UNCERTAINTIES)

    @property
    def measured(self) -> bool:
        """Whether it learns from lidar."""
        return self.kind in ('supervised', 'summed')

    @property
    def sources(self) -> tuple[str, ...]:
        """The views that it is compared with."""
        return SOURCES[self.views] if self.kind in ('unsupervised', 'summed') else ()


@dataclass(frozen=True)
class SupervisedLossConfig:
    """The loss against lidar.

    Args:
        weight: of all its terms, > 0.
        uncertainty_weight: of ln sigma in the likelihood, > 0.
        filtering: what sigma costs where no lidar is, see `unprojected_point_loss` (ours).
        magnitude_m: M, > 0 (ours).
    """

    weight: float = 1.0
    uncertainty_weight: float = 1.0
    filtering: str = 'const'
    magnitude_m: float = 5.0

    def __post_init__(self) -> None:
        """Check names and ranges."""
        for name in ('weight', 'uncertainty_weight', 'magnitude_m'):
            check_positive(name, getattr(self, name))
        check_option('filtering', self.filtering, get_args(FilteringForm))


@dataclass(frozen=True)
class PhotometricLossConfig:
    """The loss against other views; weights, minimum and auto-mask are Monodepth2's (ours).

    Args:
        weight: of the photometric term, > 0.
        ssim_weight: of structure, 0 to 1; the rest is that of the absolute difference.
        minimum: of all views the best counts for each pixel; else the mean over the views.
        auto_mask: pixels that no view explains better than itself unmoved teach nothing.
        sigma_before_mask: the auto-mask compares the likelihood, not the error, so that sigma does
            not learn where it masks, see `uncertain_photometric_loss` (ours: no).
        tie_noise: ties of the auto-mask are broken by noise, as in the authors' code.
        ignore_unseen: points outside of a view do not count for it. Monodepth2 repeats the border.
        scales: how many of the four maps are compared, the finest ones, 1 to 4.
        smoothness_weight: c, of the finest scale, >= 0.
    """

    weight: float = 1.0
    ssim_weight: float = 0.85
    minimum: bool = True
    auto_mask: bool = True
    sigma_before_mask: bool = False
    tie_noise: bool = False
    ignore_unseen: bool = True
    scales: int = SCALES
    smoothness_weight: float = 1.0e-3

    def __post_init__(self) -> None:
        """Check ranges."""
        check_positive('weight', self.weight)
        _check_share('ssim_weight', self.ssim_weight)
        if self.sigma_before_mask and not self.auto_mask:
            raise ConfigError('sigma_before_mask must be false without auto_mask, got true')
        if not 1 <= self.scales <= SCALES:
            raise ConfigError(f'scales must be 1 to {SCALES}, got {self.scales}')
        _check_not_negative('smoothness_weight', self.smoothness_weight)


@dataclass(frozen=True)
class DistillationConfig:
    """What the branches teach each other.

    Args:
        to_first_weight: a, of what the second branch teaches the first, >= 0 (ours).
        to_second_weight: b, of what the first branch teaches the second, >= 0 (ours).
        start_share: of the steps, in which branches learn by themselves before they teach, 0 to 1:
            untrained branches agree before they know anything (ours).
        use: of the teaching side's uncertainty: `uw`, `ut`, `uwt`, `ct`, see
            `uncertainty_weighted_distillation_loss`; `none`: all pixels weigh the same.
        normalization: of weights, `self` or `literal` (ours).
        detach_sigma: the teaching side's uncertainty learns nothing from what it teaches (ours).
        quantile: of `ut` and `uwt`; 0: a constant limit.
        max_sigma_first: limit of the first branch's sigma, in meters where it is supervised, else
            in units of the photometric error; 0: none.
        max_sigma_second: the same of the second branch.
        align: of unsupervised depth, before it teaches a supervised branch (ours).
    """

    to_first_weight: float = 1.0
    to_second_weight: float = 1.0
    start_share: float = 0.0
    use: str = 'uw'
    normalization: str = 'self'
    detach_sigma: bool = True
    quantile: float = 0.0
    max_sigma_first: float = 0.0
    max_sigma_second: float = 0.0
    align: str = 'none'

    def __post_init__(self) -> None:
        """Check names and ranges; which thresholds a use needs is checked by the loss."""
        check_option('use', self.use, USES)
        check_option('normalization', self.normalization, get_args(Normalization))
        check_option('align', self.align, get_args(Alignment))
        _check_share('quantile', self.quantile)
        _check_share('start_share', self.start_share)
        for name in ('to_first_weight', 'to_second_weight', 'max_sigma_first', 'max_sigma_second'):
            _check_not_negative(name, getattr(self, name))


@dataclass(frozen=True)
class NoiseConfig:
    """How what the branches see differs: colors, and noise beside the objects (ours).

    Args:
        own: each branch draws its own changes; else all branches see the same image.
        colors: by default the ranges of Monodepth2.
        region: where there is Gaussian noise: `background` (all but object instances; nowhere in
            frames of which these are not known), `everywhere` or `none`.
        instances: folder of masks of objects for KITTI or a recording, see
            `training.data.instance_masks`; empty: not known there.
        deviation: of the noise in shares of the full range, >= 0.
    """

    own: bool = True
    colors: PhotometricConfig = field(
        default_factory=lambda: PhotometricConfig(
            color_share=0.5, brightness=0.2, contrast=0.2, saturation=0.2, hue_deg=36.0,
            gamma=0.0, noise_share=0.0, blur_share=0.0,
        )
    )  # fmt: skip
    region: str = 'background'
    deviation: float = 0.05
    instances: str = ''

    def __post_init__(self) -> None:
        """Check names and ranges."""
        check_option('region', self.region, NOISE_REGIONS)
        if self.instances and self.region != 'background':
            raise ConfigError(
                f"instances are for noise of the region 'background', got {self.region!r}"
            )
        _check_not_negative('deviation', self.deviation)


@dataclass(frozen=True)
class CorruptionConfig:
    """Faults of what the training frames come with; a frame has the same faults in every step.

    Args:
        pose_rotation_deg: deviation of the rotation added to each known motion of the video.
        pose_shift_share: deviation of the shift added to it, in shares of the way.
        lidar_rotation_deg: rotation of the lidar about the camera's axes (right, down, forward),
            one for the whole set.
        lidar_shift_m: shift of the lidar along them.
    """

    pose_rotation_deg: float = 0.0
    pose_shift_share: float = 0.0
    lidar_rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lidar_shift_m: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Check ranges; lists become tuples."""
        for name in ('pose_rotation_deg', 'pose_shift_share'):
            _check_not_negative(name, getattr(self, name))
        for name in ('lidar_rotation_deg', 'lidar_shift_m'):
            values = tuple(float(value) for value in getattr(self, name))
            if len(values) != 3 or not all(map(math.isfinite, values)):
                raise ConfigError(f'{name} must be three finite numbers, got {values}')
            object.__setattr__(self, name, values)

    @property
    def moves_lidar(self) -> bool:
        """Whether lidar returns are moved."""
        return any((*self.lidar_rotation_deg, *self.lidar_shift_m))

    @property
    def moves_cameras(self) -> bool:
        """Whether known motions are changed."""
        return bool(self.pose_rotation_deg or self.pose_shift_share)


def flips_only() -> JointConfig:
    """Whole frames, half of them mirrored."""
    return JointConfig(scale_low=1.0, scale_high=1.0, focus_share=0.0, stretch=0.0, angle_deg=0.0)


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f'{name} must be 0 to 1, got {value}')


def _check_not_negative(name: str, value: float) -> None:
    if not 0.0 <= value < math.inf:
        raise ConfigError(f'{name} must be finite and >= 0, got {value}')
