# SPDX-License-Identifier: Apache-2.0
"""Weights of an encoder from a local file in the format of torchvision.

Nothing is downloaded: fetch the file once, for example `resnet50-11ad3fa6.pth`, and give its path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from kd_perception.errors import ConfigError

MAX_WEIGHT_BYTES = 2**29
"""Twice what the largest ResNet of torchvision takes."""

_SHOWN = 4


def read_weights(path: Path, *, max_bytes: int = MAX_WEIGHT_BYTES) -> dict[str, Tensor]:
    """Read a state dict without running any code that the file may hold.

    Args:
        path: a `.safetensors` file, or one that `torch.save` wrote.
        max_bytes: a larger file is refused, >= 1.

    Returns:
        Tensors on the CPU by name.

    Raises:
        ConfigError: the file cannot be read, is too large, or is no flat dict of tensors.
    """
    data = bounded_bytes(path, max_bytes)
    try:
        if path.suffix == '.safetensors':
            weights = load_safetensors(data)
        else:
            weights = torch.load(BytesIO(data), map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever its parts raise
        raise ConfigError(
            f'{path} must be a file of torch.save or safetensors that holds tensors only; '
            f'it cannot be read: {error}'
        ) from error
    if not _holds_tensors(weights):
        raise ConfigError(
            f'{path} must hold one dict of tensors by name, as torchvision writes it; '
            f'got {_summary(weights)}'
        )
    return dict(weights)


def bounded_bytes(path: Path, max_bytes: int) -> bytes:
    """A local file as a whole.

    Raises:
        ConfigError: it cannot be read, or is larger than that.
    """
    try:
        with path.open('rb') as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ConfigError(f'the weights must be a local file: {error}') from error
    if len(data) > max_bytes:
        raise ConfigError(f'{path} must have at most {max_bytes} bytes, it has more')
    return data


def _holds_tensors(weights: object) -> bool:
    if not isinstance(weights, Mapping) or not weights:
        return False
    return all(isinstance(k, str) and isinstance(v, Tensor) for k, v in weights.items())


def _summary(weights: object) -> str:
    if isinstance(weights, Mapping):
        return f'a dict with the keys {list(weights)[:_SHOWN]}'
    return f'a {type(weights).__name__}'


def weights_for_encoder(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, source: str
) -> dict[str, Tensor]:
    """Select and adapt the weights that an encoder needs.

    The classifier and the layers that the encoder leaves out are dropped. An encoder with one
    input channel gets the mean of the three kernels of the stem. One that sees several color
    images at once gets the kernels for each of them, divided by their number: it answers to equal
    images as to one.

    Args:
        weights: of torchvision.
        expected: state dict of the encoder.
        source: what the weights are called in errors.

    Raises:
        ConfigError: a weight is missing, too many, or of another shape.
    """
    selected = {key: value for key, value in weights.items() if not _is_left_out(key, expected)}
    stem = selected.get('conv1.weight')
    if stem is not None and stem.dim() == 4:
        selected['conv1.weight'] = _stem_for(expected['conv1.weight'].shape[1], stem)
    for key, value in expected.items():
        if key.endswith('num_batches_tracked'):  # files older than torch 0.4.1 lack it
            selected.setdefault(key, value)
    check_fit(selected, expected, source)
    return selected


def _stem_for(in_channels: int, stem: Tensor) -> Tensor:
    if in_channels == 1:
        return stem.mean(dim=1, keepdim=True)
    images, rest = divmod(in_channels, stem.shape[1])
    return stem if rest else stem.repeat(1, images, 1, 1) / images


def without_unfit(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], units: Iterable[tuple[str, str]]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Replace what an encoder has otherwise than torchvision by the encoder's own weights.

    Args:
        weights: of torchvision.
        expected: state dict of the encoder.
        units: names of convolutions that may differ, each with its batch normalization: the
            statistics of one convolution say nothing of another.

    Returns:
        The weights, and the names of the convolutions that are missing in them or of another
        shape; theirs and those of their normalizations are the encoder's.
    """
    selected, unfit = dict(weights), []
    for conv, norm in units:
        name = f'{conv}.weight'
        if name in weights and weights[name].shape == expected[name].shape:
            continue
        unfit.append(conv)
        for part in (f'{conv}.', f'{norm}.'):
            selected = {k: v for k, v in selected.items() if not k.startswith(part)}
            selected.update({k: v for k, v in expected.items() if k.startswith(part)})
    return selected, tuple(unfit)


def _is_left_out(key: str, expected: Mapping[str, Tensor]) -> bool:
    module = key.split('.')[0]
    is_layer = module.startswith('layer') and module[5:].isdecimal()
    known = {name.split('.')[0] for name in expected}
    return module == 'fc' or (is_layer and module not in known)


def check_fit(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights that are not, name by name and shape by shape, those of a network.

    Args:
        weights: from somewhere.
        expected: state dict of the network.
        source: what the weights are called in errors.

    Raises:
        ConfigError: a weight is missing, unknown or of another shape.
    """
    problems = []
    if missing := sorted(expected.keys() - weights.keys()):
        problems.append(f'{len(missing)} are missing, as {missing[:_SHOWN]}')
    if unknown := sorted(weights.keys() - expected.keys()):
        problems.append(f'{len(unknown)} are unknown, as {unknown[:_SHOWN]}')
    shapes = [
        f'{key} is {list(weights[key].shape)} instead of {list(expected[key].shape)}'
        for key in sorted(expected.keys() & weights.keys())
        if weights[key].shape != expected[key].shape
    ]
    if shapes:
        problems.append(f'{len(shapes)} have another shape: {"; ".join(shapes[:_SHOWN])}')
    if problems:
        raise ConfigError(
            f'the weights of {source} must fit the encoder: {"; ".join(problems)}; '
            'take the file of the same depth and base_width 64'
        )
