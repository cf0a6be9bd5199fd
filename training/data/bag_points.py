# SPDX-License-Identifier: Apache-2.0
"""Point clouds of a recording as sparse depth images."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kd_perception.errors import BagError
from training.data.kitti_lidar import depth_image

Array = npt.NDArray[Any]

CLOUD_TYPE: Final = 'sensor_msgs/msg/PointCloud2'

MAX_POINTS: Final = 2**22
_FORMATS: Final = {7: 'f4', 8: 'f8'}
_NEAREST_M: Final = 0.1  # a robot's own parts and points in the lens are no scene


def points_from_cloud(cloud: Any) -> Array:
    """Points of a PointCloud2, float64 [points, 3]; those that are not finite are left out.

    Raises:
        BagError: it has no x, y, z of floats, or another size than it says.
    """
    fields = {field.name: field for field in cloud.fields}
    wanted = [fields.get(name) for name in 'xyz']
    if any(field is None or field.datatype not in _FORMATS for field in wanted):
        raise BagError(f'a point cloud must have floats x, y and z, got {sorted(fields)}')
    points = cloud.height * cloud.width
    padded = cloud.height > 1 and cloud.row_step != cloud.width * cloud.point_step
    fits = len(cloud.data) == cloud.height * cloud.row_step and not padded
    if not fits or points * cloud.point_step > len(cloud.data) or points > MAX_POINTS:
        raise BagError(
            f'a point cloud must have at most {MAX_POINTS} points without gaps between rows; '
            f'received {cloud.height}x{cloud.width} points in {len(cloud.data)} bytes'
        )
    order = '>' if cloud.is_bigendian else '<'
    kind = np.dtype(
        {
            'names': list('xyz'),
            'formats': [order + _FORMATS[field.datatype] for field in wanted if field],
            'offsets': [field.offset for field in wanted if field],
            'itemsize': cloud.point_step,
        }
    )
    data = np.frombuffer(bytes(cloud.data[: points * cloud.point_step]), kind)
    found = np.stack([data[name].astype(np.float64) for name in 'xyz'], axis=1)
    kept: Array = found[np.isfinite(found).all(axis=1)]
    return kept


def depth_of_points(
    points_m: Array, camera_from_lidar: Array, camera_matrix: Array, size: tuple[int, int]
) -> Array:
    """Points as a camera sees them.

    Args:
        points_m: in the lidar's frame, [points, 3].
        camera_from_lidar: points of the lidar's frame to that of the camera (right, down,
            forward), [4, 4].
        camera_matrix: [3, 3]; pixel centers are at whole numbers.
        size: (height, width) of the image.

    Returns:
        float32 [height, width], z of the camera's frame in meters at the nearest pixel, the
        nearest return where several meet; 0: no return.
    """
    seen = points_m @ camera_from_lidar[:3, :3].T + camera_from_lidar[:3, 3]
    seen = seen[seen[:, 2] > _NEAREST_M]
    pixels = (seen / seen[:, 2:]) @ camera_matrix[:2].T
    return depth_image(np.rint(pixels), seen[:, 2], size)
