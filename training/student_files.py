# SPDX-License-Identifier: Apache-2.0
"""The files of a student: its graph as ONNX, held against the network, and its weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnx import load_model_from_string
from safetensors.torch import save as save_safetensors
from torch import nn

from kd_perception.errors import ConfigError

OPSET = 20
MAX_LOGIT_DIFFERENCE = 1.0e-3


def onnx_from_network(
    network: nn.Module,
    image_size: tuple[int, int],
    *,
    channels: int = 1,
    output_name: str = 'logits',
) -> bytes:
    """The graph of a network for one frame of a fixed size.

    Args:
        network: in eval mode, folded; gives one tensor.
        image_size: (height, width), multiples of 32.
        channels: of the image: 1 thermal, 3 color.
        output_name: what the tensor is called in the graph.
    """
    example = torch.zeros(1, channels, *image_size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'student.onnx'
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=['image'],
            output_names=[output_name],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        return without_traces(path.read_bytes())


def without_traces(onnx_bytes: bytes) -> bytes:
    """Remove the notes of the exporter: stack traces with the paths of one machine."""
    model = load_model_from_string(onnx_bytes)
    parts = (model, model.graph, *model.graph.node, *model.graph.value_info, *model.functions)
    for part in (*parts, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.ClearField('metadata_props')
        part.ClearField('doc_string')
    return bytes(model.SerializeToString())


def logit_difference(network: nn.Module, onnx: bytes, image: np.ndarray) -> float:
    """Largest difference of the outputs of the network and of the graph in ONNX Runtime.

    Args:
        network: in eval mode.
        onnx: the graph.
        image: float32 [1, channels, height, width].
    """
    session = onnxruntime.InferenceSession(onnx, providers=['CPUExecutionProvider'])
    (found,) = session.run(None, {session.get_inputs()[0].name: image})
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    return float(np.abs(found - expected).max())


def checked_onnx(
    network: nn.Module,
    image_size: tuple[int, int],
    *,
    channels: int = 1,
    output_name: str = 'logits',
) -> bytes:
    """The graph of a network, held against it; arguments as `onnx_from_network`.

    Raises:
        ConfigError: the graph does not compute what the network does.
    """
    onnx = onnx_from_network(network, image_size, channels=channels, output_name=output_name)
    image = np.random.default_rng(0).random((1, channels, *image_size), dtype=np.float32)
    difference = logit_difference(network, onnx, image)
    print(f'largest difference of {output_name} between torch and ONNX Runtime: {difference:.2e}')
    if difference > MAX_LOGIT_DIFFERENCE:
        raise ConfigError(
            f'the graph must give the {output_name} of the network within {MAX_LOGIT_DIFFERENCE}, '
            f'got a difference of {difference}'
        )
    return onnx


def weights_of(network: nn.Module) -> bytes:
    """The state of a network as safetensors."""
    state = {k: v.contiguous() for k, v in network.state_dict().items()}
    return bytes(save_safetensors(state))
