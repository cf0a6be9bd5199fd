# SPDX-License-Identifier: Apache-2.0
"""One or several training processes: how they start, and what they must do together.

Several processes learn what one would learn from the same batch: each draws its share of it,
gradients are averaged, and batch normalization sees all of it. This holds for losses that are
means over images of equal weight, and for those that count over all processes
(`training.process_counts`), as CEKD, compression, InverseForm and channel-wise distillation tell
their own to; another one that divides by a count, such as that of the labeled pixels, divides by
the count of its process.

    python -m training.recipes.<recipe> --config_path ... --launch.devices 2
    torchrun --nproc-per-node 2 -m training.recipes.<recipe> --config_path ...
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, distributed, nn

from kd_perception.errors import ConfigError
from kd_perception.machine import has_matrix_bf16
from training.tensor_checks import at_least_float32

__all__ = [
    'Fabric', 'LaunchConfig', 'copy_from_first', 'device_kind', 'launch', 'process_count',
    'share_of', 'synchronized',
]  # fmt: skip

ACCELERATORS = ('auto', 'cpu', 'cuda')
SLOW_BFLOAT16 = (
    'This CPU does not multiply bfloat16 matrices in hardware: steps will take several times as '
    'long. Set launch.bfloat16 to false.'
)


@dataclass(frozen=True)
class LaunchConfig:
    """Where a run trains.

    Args:
        devices: processes on this machine, one per GPU on CUDA, >= 1; 1 under `torchrun`, which
            says it itself.
        accelerator: `cpu`, `cuda`, or `auto` for CUDA where there is any.
        bfloat16: autocast of the network's forward pass; losses stay in float32. Faster on a GPU
            and on a CPU with AMX; on another CPU a step takes several times as long.
        threads: of torch and of OpenCV, per process, >= 1.
        workers: processes that draw samples ahead, for each training process, >= 0; without them
            a GPU waits for samples.

    Raises:
        ConfigError: a value is out of range.
    """

    devices: int = 1
    accelerator: str = 'auto'
    bfloat16: bool = False
    threads: int = 1
    workers: int = 0

    def __post_init__(self) -> None:
        """Check names and ranges."""
        if self.accelerator not in ACCELERATORS:
            raise ConfigError(
                f'accelerator must be one of {", ".join(ACCELERATORS)}, got {self.accelerator!r}'
            )
        for name in ('devices', 'threads'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} must be >= 1, got {getattr(self, name)}')
        if self.workers < 0:
            raise ConfigError(f'workers must be >= 0, got {self.workers}')


class _Autocast(MixedPrecision):
    """Leaves inputs as they are: Fabric rounds all of them to bfloat16, even intrinsics."""

    def convert_input(self, data: Any) -> Any:
        """What the network is called with."""
        return data


def launch(config: LaunchConfig) -> Fabric:
    """Start the processes of a run, or join those that `torchrun` started.

    A recipe calls it once, before it builds anything: with several devices the other processes
    are started with its own command line and run it from the beginning. Gradients are averaged;
    a buffer that a network changes itself is not: it must be changed alike in all processes.

    Raises:
        ConfigError: the devices are not there, or `torchrun` started another number of them.
    """
    kind = device_kind(config)
    if config.bfloat16 and kind == 'cpu' and not has_matrix_bf16():
        warnings.warn(SLOW_BFLOAT16, stacklevel=2)
    devices, nodes = _processes(config)
    # Statistics are synchronized, and therefore equal without a broadcast before every step.
    strategy = DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)
    fabric = Fabric(
        accelerator=kind,
        devices=devices,
        num_nodes=nodes,
        strategy=strategy if devices * nodes > 1 else 'auto',
        plugins=[_Autocast('bf16-mixed', kind)] if config.bfloat16 else None,
    )
    fabric.launch()
    torch.set_num_threads(config.threads)  # after the launch, which sets them too
    cv2.setNumThreads(config.threads)
    return fabric


def device_kind(config: LaunchConfig) -> str:
    """Where the processes of a run compute on this machine: `cpu` or `cuda`.

    Raises:
        ConfigError: there are fewer CUDA devices than processes.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.accelerator == 'cpu' or (config.accelerator == 'auto' and not found):
        return 'cpu'
    if found < config.devices:
        raise ConfigError(
            f'devices must be at most the number of CUDA devices, got {config.devices} where '
            f'{found} are: lower devices, or set accelerator to cpu'
        )
    return 'cuda'


def process_count(config: LaunchConfig) -> int:
    """Processes of a run on all machines, as `launch` would start or join them.

    Raises:
        ConfigError: `torchrun` started another number of them.
    """
    devices, nodes = _processes(config)
    return devices * nodes


def _processes(config: LaunchConfig) -> tuple[int, int]:
    """Processes per machine, and machines."""
    if not distributed.is_torchelastic_launched():
        return config.devices, 1
    local, world = (int(os.environ[name]) for name in ('LOCAL_WORLD_SIZE', 'WORLD_SIZE'))
    if config.devices not in (1, local):
        raise ConfigError(
            f'devices must be 1 or the --nproc-per-node of torchrun, {local}, got '
            f'{config.devices}: leave devices out under torchrun'
        )
    return local, world // local


def share_of(batch_size: int, fabric: Fabric) -> range:
    """Indices of the global batch that this process draws.

    Raises:
        ConfigError: the batch cannot be shared equally.
    """
    share, rest = divmod(batch_size, fabric.world_size)
    if rest:
        raise ConfigError(
            f'batch_size counts the samples of all processes together and must be a multiple of '
            f'their number, {fabric.world_size}, got {batch_size}'
        )
    return range(fabric.global_rank * share, (fabric.global_rank + 1) * share)


@torch.no_grad()
def copy_from_first(module: nn.Module, fabric: Fabric) -> None:
    """Give every process the weights and statistics that the first one has."""
    if fabric.world_size > 1:
        for value in module.state_dict().values():
            distributed.broadcast(value, 0)


def synchronized(module: nn.Module, fabric: Fabric) -> nn.Module:
    """Let batch normalization take its statistics over the batches of all processes.

    Layers are changed in place and keep their weights, names and settings; with one process
    nothing changes. On CUDA this is torch's `SyncBatchNorm`, which knows no CPU.

    Returns:
        The module; another one only where `module` itself is a normalization, on CUDA.
    """
    if fabric.world_size == 1:
        return module
    if fabric.device.type == 'cuda':
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for layer in module.modules():
        if type(layer) in _SYNCHRONIZED:
            layer.__class__ = _SYNCHRONIZED[type(layer)]
    return module


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes; so is its gradient, as each process has a loss."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total: Tensor = _SumOverProcesses.apply(gradient)  # which has a gradient of its own
        return total


class _SynchronizedNorm(nn.modules.batchnorm._BatchNorm):
    """Statistics in two passes, the mean before the variance: exact for any mean."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:  # nor does one process wait for the others
            return super().forward(input)
        self._check_input_dim(input)
        features = at_least_float32(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(input.dim())]
        count = features.new_full((1,), input.numel() / input.shape[1])
        sums = _SumOverProcesses.apply(torch.cat([features.sum(axes), count]))
        total = sums[-1].detach()
        mean = sums[:-1] / total
        centered = features - mean.view(shape)
        variance = _SumOverProcesses.apply(centered.square().sum(axes)) / total
        self._update(mean.detach(), variance.detach() * total / (total - 1.0).clamp(min=1.0))
        scale = (variance + self.eps).rsqrt()
        if self.weight is None:
            return (centered * scale.view(shape)).to(input.dtype)
        output = centered * (scale * self.weight).view(shape) + self.bias.view(shape)
        return output.to(input.dtype)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None:
            return
        self.num_batches_tracked += 1
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class SynchronizedBatchNorm1d(_SynchronizedNorm, nn.BatchNorm1d):
    """`BatchNorm1d` over the batches of all processes."""


class SynchronizedBatchNorm2d(_SynchronizedNorm, nn.BatchNorm2d):
    """`BatchNorm2d` over the batches of all processes."""


_SYNCHRONIZED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: SynchronizedBatchNorm1d,
    nn.BatchNorm2d: SynchronizedBatchNorm2d,
}
