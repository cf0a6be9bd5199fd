# SPDX-License-Identifier: Apache-2.0
"""A network of one convolution, so that what it says can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.bundle_schema import StudentSpec


def blockwise_network(spec: StudentSpec, weight: np.ndarray, bias: np.ndarray) -> bytes:
    """ONNX graph of a convolution of 4x4 blocks: weight [maps, channels, 4, 4], bias [maps]."""
    onnx = pytest.importorskip('onnx')
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    tensors = [
        numpy_helper.from_array(weight.astype(np.float32), 'weight'),
        numpy_helper.from_array(bias.astype(np.float32), 'bias'),
    ]
    node = helper.make_node(
        'Conv', ['image', 'weight', 'bias'], ['maps'], kernel_shape=[4, 4], strides=[4, 4]
    )
    kind, image = onnx.TensorProto.FLOAT, [1, spec.input.channels, *spec.image_size]
    graph = helper.make_graph(
        [node],
        'blockwise',
        [helper.make_tensor_value_info('image', kind, image)],
        [helper.make_tensor_value_info('maps', kind, list(spec.output_shape))],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
