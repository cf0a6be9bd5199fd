# SPDX-License-Identifier: Apache-2.0
"""The perception nodes, as far as tests that hold for all of them must tell them apart."""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hand_made_depth import color_ramp
from image_messages import image, pixels_of, ramp
from live_node import NAMESPACE
from sensor_images import encoded

Make = Callable[[int], Any]


def with_data(message: Any, data: bytes) -> Any:
    message.data = array.array('B', data)
    return message


@dataclass(frozen=True)
class NodeKind:
    """A node and its camera.

    Attributes:
        name: Node name.
        program: Node that runs under it.
        student: Fixture that gives a bundle folder.
        parameters: Beside that.
        scene: A good image of a size, with noise of a seed.
        answer: Output with the prediction.
        sureness: Output with its uncertainty.
        encoding: Of the answer.
        unusable: Images that only this kind refuses, and why.
        usable: Images that only this kind takes.
        check: Checks the answer to a scene.
    """

    name: str
    program: str
    student: str
    parameters: dict[str, Any]
    scene: Callable[..., np.ndarray]
    answer: str
    sureness: str
    encoding: str
    unusable: dict[str, tuple[Make, str]]
    usable: dict[str, Make]
    check: Callable[[np.ndarray], None]

    @property
    def module(self) -> str:
        return f'kd_perception.nodes.{self.program}_node'

    @property
    def node(self) -> str:
        return f'{NAMESPACE}/{self.name}'


def _float_with_holes() -> np.ndarray:
    pixels = ramp().astype(np.float32)
    pixels[::7, ::5] = np.nan
    pixels[3] = np.inf
    pixels[9] = -np.inf
    return pixels


def _check_mask(mask: np.ndarray) -> None:
    assert np.unique(mask).tolist() == list(range(9))


def _check_color_mask(mask: np.ndarray) -> None:
    """Green rises to 235, which is 7.4 of the eight steps."""
    assert np.unique(mask).tolist() == list(range(8))


def _check_depth(depth: np.ndarray) -> None:
    rows = np.nanmedian(np.where(np.isfinite(depth), depth, np.nan), axis=0)
    assert np.isfinite(depth).mean() > 0.8 and rows[0] < 4.0 < 10.0 < rows[90]


THERMAL_SEG = NodeKind(
    name='thermal_seg',
    program='thermal_seg',
    student='tiny_student_folder',
    parameters={'radiometry.preset': 'lepton_10mk', 'ffc.source': 'none'},
    scene=ramp,
    answer='mask',
    sureness='uncertainty',
    encoding='mono8',
    unusable={
        'color': (
            lambda s: with_data(image(ramp(), s, encoding='rgb8', step=384), bytes(384 * 96)),
            'thermal',
        ),
        'Bayer': (lambda s: image(ramp(), s, encoding='bayer_rggb16'), 'thermal'),
        'all NaN': (lambda s: image(np.full((96, 128), np.nan, np.float32), s), 'finite'),
        'all infinite': (lambda s: image(np.full((96, 128), np.inf, np.float32), s), 'finite'),
    },
    usable={
        'big-endian': lambda s: with_data(
            image(ramp(), s, is_bigendian=1), ramp().astype('>u2').tobytes()
        ),
        '16UC1': lambda s: image(ramp(), s, encoding='16UC1'),
        'NaN and Inf': lambda s: image(_float_with_holes(), s),
        'mono8': lambda s: image((ramp() >> 4).astype(np.uint8), s),
        '8UC1': lambda s: image((ramp() >> 4).astype(np.uint8), s, encoding='8UC1'),
    },
    check=_check_mask,
)


def _of_sensor(encoding: str) -> Make:
    return lambda stamp: image(encoded(color_ramp(), encoding), stamp, encoding=encoding)


_COLOR_UNUSABLE: dict[str, tuple[Make, str]] = {
    'odd YUV': (lambda s: image(ramp(size=(96, 127)), s, encoding='yuyv'), 'an even width'),
    '16 bit': (lambda s: image(ramp(), s), 'color image'),
    'float': (lambda s: image(ramp().astype(np.float32), s), 'color image'),
}
_COLOR_USABLE: dict[str, Make] = {
    'bgr8': lambda s: image(np.ascontiguousarray(color_ramp()[..., ::-1]), s, encoding='bgr8'),
    'bgra8': lambda s: image(np.dstack([color_ramp()] * 2)[..., :4].copy(), s, encoding='bgra8'),
    'mono8': lambda s: image(color_ramp()[..., 1].copy(), s),
    '8UC1': lambda s: image(color_ramp()[..., 1].copy(), s, encoding='8UC1'),
    'big-endian': lambda s: image(color_ramp(), s, is_bigendian=1),
    **{code: _of_sensor(code) for code in ('bayer_grbg8', 'uyvy')},
}

MONO_DEPTH = NodeKind(
    name='mono_depth',
    program='mono_depth',
    student='tiny_depth_folder',
    # Images of every size come without camera_info here.
    parameters={'scale.mode': 'fixed'},
    scene=color_ramp,
    answer='depth/image',
    sureness='depth/uncertainty',
    encoding='32FC1',
    unusable=_COLOR_UNUSABLE,
    usable=_COLOR_USABLE,
    check=_check_depth,
)

RGB_SEG = NodeKind(
    name='rgb_seg',
    program='thermal_seg',
    student='tiny_color_folder',
    parameters={'ffc.source': 'none'},
    scene=color_ramp,
    answer='mask',
    sureness='uncertainty',
    encoding='mono8',
    unusable=_COLOR_UNUSABLE,
    usable=_COLOR_USABLE,
    check=_check_color_mask,
)

NODE_KINDS = {kind.name: kind for kind in (THERMAL_SEG, RGB_SEG, MONO_DEPTH)}


def check_sureness(kind: NodeKind, answer: Any, sureness: Any) -> None:
    """Uncertainty is in range wherever there is a prediction, and NaN elsewhere."""
    found, values = pixels_of(answer), pixels_of(sureness)
    if kind.answer == 'mask':
        assert np.isfinite(values).all()
        assert 0.0 <= values.min() <= values.max() <= 1.0
        return
    np.testing.assert_array_equal(np.isfinite(values), np.isfinite(found))
    assert (values[np.isfinite(values)] > 0).all()
