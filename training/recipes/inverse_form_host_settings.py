# SPDX-License-Identifier: Apache-2.0
"""The host of an InverseForm run: a recipe whose terms are kept, and what must agree with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from kd_perception.errors import ConfigError
from training.recipes.cekd_config import CekdConfig
from training.recipes.compress_config import CompressConfig
from training.recipes.inverse_form_settings import BoundaryStudentConfig
from training.settings import load_config

HOSTS = ('none', 'cekd', 'compress')

HostRun = CekdConfig | CompressConfig


@dataclass(frozen=True)
class HostConfig:
    """A recipe whose terms the student learns from beside those of boundaries.

    Args:
        recipe: `none` for plain cross-entropy, `cekd` for the student of CEKD, `compress` for a
            network that another one is compressed into, or that goes on from an earlier run.
        config: file of a run of that recipe, whose teacher, terms and weights are taken, and the
            first weights where that run starts from others; data and augmentation are those of
            this run.
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
        return run is not None and run.teacher.is_given


@cache
def _host_run(host: HostConfig) -> HostRun | None:
    """The file is read once: every step asks for what it says."""
    arguments = ['--config_path', host.config, '--seed', str(host.seed or 0)]
    if host.recipe == 'cekd':
        return load_config(CekdConfig, arguments)
    return load_config(CompressConfig, arguments) if host.recipe == 'compress' else None


def check_host(
    run: HostRun,
    student: BoundaryStudentConfig,
    *,
    modality: str,
    class_weights: str,
    labeled: int | None,
    view_size: tuple[int, int],
) -> None:
    """Refuse a run that its host cannot share a step with.

    Args:
        run: of the host.
        student: of the run.
        modality: what the student sees.
        class_weights: of cross-entropy.
        labeled: how many training frames have labels; all if None.
        view_size: (height, width) of training views.

    Raises:
        ConfigError: network, modality, labels, weights of the classes or views are others.
    """
    _check_network(run, student, modality)
    weighed = isinstance(run, CompressConfig) and run.label_weight > 0.0
    known = ('shares',) if weighed else ('shares', 'none')
    if class_weights not in known:
        raise ConfigError(
            f'class_weights must be {" or ".join(known)} with this host, got {class_weights!r}'
        )
    seen = run.labeled if isinstance(run, CekdConfig) else None
    if labeled != seen:
        raise ConfigError(f'labeled must be that of the host, {seen}, got {labeled}')
    view = run.augmentation.view
    if (view.height, view.width) != view_size:
        raise ConfigError(
            f'training views must be as large as those of the host, {view.height}x{view.width}, '
            f'got {view_size[0]}x{view_size[1]}: set view_size, or image_size without it'
        )


def _check_network(run: HostRun, student: BoundaryStudentConfig, modality: str) -> None:
    if isinstance(run, CekdConfig):
        wanted = ('eknet', run.student.network)
    else:
        wanted = ('rep_unet', run.network)
    if (student.architecture, student.network) != wanted or modality != 'thermal':
        raise ConfigError(
            f'a run must have the network of its host, {wanted[0]} {wanted[1]}, and see thermal '
            f'images, got {student.architecture} {student.network} and {modality!r}'
        )
