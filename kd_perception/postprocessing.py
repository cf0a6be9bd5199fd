# SPDX-License-Identifier: Apache-2.0
"""Network output to mask, confidence and uncertainty at camera size, in one pass.

The network leaves its logits at a quarter of its input. One compiled loop per image row
(`reduction`) scales them up bilinearly, takes the best class and sums the entropy while the row is
still in the cache; full-size logits (11 MB for 9 classes at 480x640) never exist.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.frames import ByteImage, Float32Image
from kd_perception.preprocessing import Letterbox
from kd_perception.reduction import reduce_logits
from kd_perception.row_workers import ONE_THREAD, RowWorkers

Array = npt.NDArray[Any]


class Prediction(NamedTuple):
    """What the student says about one frame.

    Attributes:
        mask: HxW uint8 class ids.
        confidence: HxW uint8, round(255 * largest probability).
        uncertainty: HxW float32, entropy / ln(classes), 0 to 1.
    """

    mask: ByteImage
    confidence: ByteImage
    uncertainty: Float32Image


def prediction_from_logits(
    logits: Float32Image,
    box: Letterbox,
    *,
    temperature: float,
    size: tuple[int, int],
    workers: RowWorkers = ONE_THREAD,
) -> Prediction:
    """Scale logits up, remove the padding, and reduce them to a prediction.

    Args:
        logits: (1, C, h, w) float32 with C from 2 to 255, finite.
        box: Where the camera image lies in the network input.
        temperature: Calibration temperature, positive.
        size: (height, width) of the result: the camera's or the content's in the network.
        workers: Threads that share the rows; the result is the same with any number.

    Raises:
        ShapeError: Another number of dimensions or of classes.
    """
    prediction = Prediction(
        np.empty(size, np.uint8), np.empty(size, np.uint8), np.empty(size, np.float32)
    )
    _fill(prediction, logits, box, temperature, workers)
    return prediction


def mask_from_logits(
    logits: Float32Image,
    box: Letterbox,
    *,
    temperature: float,
    size: tuple[int, int],
    workers: RowWorkers = ONE_THREAD,
) -> ByteImage:
    """The mask of `prediction_from_logits` alone, bit for bit, in half the time.

    Arguments and errors are those of `prediction_from_logits`.
    """
    mask, nothing = np.empty(size, np.uint8), np.empty((size[0], 0))
    _fill(
        Prediction(mask, nothing.astype(np.uint8), nothing.astype(np.float32)),
        logits,
        box,
        temperature,
        workers,
    )
    return mask


def _fill(
    prediction: Prediction,
    logits: Float32Image,
    box: Letterbox,
    temperature: float,
    workers: RowWorkers,
) -> None:
    """Reduce logits into images; those without columns are left out."""
    height, width = prediction.mask.shape
    (rows, shares), columns = sampling_grid(logits, box, (height, width))
    scaled, inverse = np.ascontiguousarray(logits[0], np.float32), np.float32(1.0 / temperature)

    def reduce(part: slice) -> None:
        images = (image[part] for image in prediction)
        reduce_logits(scaled, inverse, rows[part], shares[part], *columns, *images)

    workers.run(height, reduce)


def sampling_grid(
    logits: Float32Image, box: Letterbox, size: tuple[int, int]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Find where the rows and the columns of a result lie in the maps of a network.

    Args:
        logits: (1, 2 to 255, h, w) float32, or maps of another kind.
        box: Where the camera image lies in the network input.
        size: (height, width) of the result.

    Returns:
        For rows and for columns: the cell before each center, and the share of the next one.

    Raises:
        ShapeError: Another number of dimensions or of maps.
    """
    if logits.ndim != 4 or logits.shape[0] != 1 or not 2 <= logits.shape[1] <= 255:
        raise ShapeError(f'logits must be (1, 2 to 255, h, w); received {logits.shape}')
    return (
        _positions(size[0], box.content_size[0], box.network_size[0], logits.shape[2]),
        _positions(size[1], box.content_size[1], box.network_size[1], logits.shape[3]),
    )


@lru_cache(maxsize=16)
def _positions(size: int, content: int, network: int, cells: int) -> tuple[Array, Array]:
    """Find, per output pixel, the logit cell before its center and the share of the next one.

    Pixel centers are aligned (half-pixel convention). Cells that hold padding only are not used.
    """
    stride = network / cells
    centers = (np.arange(size) + 0.5) * (content / size) / stride - 0.5
    last = min(cells, -(-content // stride)) - 1
    centers = np.clip(centers, 0, last)
    first = np.minimum(np.floor(centers), max(last - 1, 0)).astype(np.int32)
    return first, (centers - first).astype(np.float32)
