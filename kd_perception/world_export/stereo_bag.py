# SPDX-License-Identifier: Apache-2.0
"""A drive as a rosbag2 recording, as a robot with a pair of color cameras and a lidar makes it.

    /camera/left/image_raw       Image, rgb8
    /camera/left/camera_info     CameraInfo
    /camera/right/image_raw      Image, rgb8
    /camera/right/camera_info    CameraInfo, P with the distance of the cameras
    /camera/left/depth           Image, 32FC1, meters, NaN = unknown
    /lidar/points                PointCloud2: x, y, z, intensity in the frame of the lidar
    /tf_static                   base_link -> left_optical_frame, right_optical_frame, lidar
    /tf                          map -> base_link, the true pose

Every message of a frame has the same stamp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from kd_perception.bags import BagWriter
from kd_perception.bags.types import common_types
from kd_perception.world import WorldFrame
from kd_perception.world_export import bag as thermal_bag
from kd_perception.world_export.bag import header, stamp_ns, transform
from kd_perception.world_export.body_frame import BODY_FROM_OPTICAL, body_pose
from kd_perception.world_export.kitti_calibration import CAMERA_FROM_VELODYNE, velodyne_points
from kd_perception.world_export.layout import Layout, Written
from kd_perception.world_export.pictures import Array
from kd_perception.world_export.plan import MAX_DEPTH_M, ExportPlan, Job
from kd_perception.world_export.rendering import known_depth_m

LEFT_TOPIC, LEFT_INFO_TOPIC = '/camera/left/image_raw', '/camera/left/camera_info'
RIGHT_TOPIC, RIGHT_INFO_TOPIC = '/camera/right/image_raw', '/camera/right/camera_info'
DEPTH_TOPIC, POINTS_TOPIC = '/camera/left/depth', '/lidar/points'
TF_TOPIC, TF_STATIC_TOPIC = '/tf', '/tf_static'
MAP_FRAME, BODY_FRAME, LIDAR_FRAME = 'map', 'base_link', 'lidar'
LEFT_FRAME, RIGHT_FRAME = 'left_optical_frame', 'right_optical_frame'

_POINT_FIELDS: Final = ('x', 'y', 'z', 'intensity')
_FLOAT32: Final = 7  # sensor_msgs/PointField


def keep(folder: Path, job: Job, frame: WorldFrame) -> WorldFrame:
    """Give the frame back: one process writes the recording."""
    return frame


def finish(folder: Path, plan: ExportPlan, results: Iterator[Written]) -> None:
    """Write the recording."""
    with BagWriter(folder) as bag:
        for job, frame in results:
            if job.index == 0:
                write_mounting(bag, frame.baseline_m, stamp_ns(0, plan.rate_hz))
            write_frame(bag, frame, stamp_ns(job.index, plan.rate_hz))


def write_mounting(bag: BagWriter, baseline_m: float, stamp_ns: int) -> None:
    """Write where cameras and lidar stand on the robot, once."""
    left, right, lidar = np.eye(4), np.eye(4), np.eye(4)
    left[:3, :3] = BODY_FROM_OPTICAL
    right[0, 3] = baseline_m
    lidar = left @ CAMERA_FROM_VELODYNE
    frames = {LEFT_FRAME: left, RIGHT_FRAME: left @ right, LIDAR_FRAME: lidar}
    transforms = [transform(BODY_FRAME, name, pose, stamp_ns) for name, pose in frames.items()]
    bag.write_message(TF_STATIC_TOPIC, _transforms(transforms), log_time_ns=stamp_ns)


def write_frame(bag: BagWriter, frame: WorldFrame, stamp_ns: int) -> None:
    """Write all messages of a frame.

    Args:
        bag: Open recording.
        frame: With color image, right image and lidar.
        stamp_ns: Of every message.
    """
    assert frame.rgb is not None and frame.right is not None and frame.lidar_m is not None
    pose = transform(MAP_FRAME, BODY_FRAME, body_pose(frame.camera_pose), stamp_ns)
    bag.write_message(TF_TOPIC, _transforms([pose]), log_time_ns=stamp_ns)
    depth_m = known_depth_m(frame)
    images = {
        LEFT_TOPIC: (frame.rgb, LEFT_FRAME),
        RIGHT_TOPIC: (frame.right, RIGHT_FRAME),
        DEPTH_TOPIC: (np.where(depth_m > 0, depth_m, np.float32(np.nan)), LEFT_FRAME),
    }
    for topic, (image, frame_id) in images.items():
        bag.write_image(topic, image, stamp_ns=stamp_ns, frame_id=frame_id)
    shift = -float(frame.camera_matrix[0, 0]) * frame.baseline_m
    for topic, frame_id, right_shift in (
        (LEFT_INFO_TOPIC, LEFT_FRAME, 0.0), (RIGHT_INFO_TOPIC, RIGHT_FRAME, shift),
    ):  # fmt: skip
        bag.write_camera_info(
            topic,
            stamp_ns=stamp_ns,
            image_size=frame.label.shape,
            camera_matrix=frame.camera_matrix.ravel().tolist(),
            frame_id=frame_id,
            right_shift=right_shift,
        )
    points = velodyne_points(frame.lidar_m, frame.camera_matrix)
    bag.write_message(POINTS_TOPIC, point_cloud(points, stamp_ns), log_time_ns=stamp_ns)


def point_cloud(points: Array, stamp_ns: int) -> Any:
    """Return a `sensor_msgs/msg/PointCloud2` of float32 [points, 4] in the lidar's frame."""
    types = common_types().types
    field = types['sensor_msgs/msg/PointField']
    step = 4 * len(_POINT_FIELDS)
    return types['sensor_msgs/msg/PointCloud2'](
        header=header(stamp_ns, LIDAR_FRAME),
        height=1,
        width=len(points),
        fields=[field(name, 4 * k, _FLOAT32, 1) for k, name in enumerate(_POINT_FIELDS)],
        is_bigendian=False,
        point_step=step,
        row_step=step * len(points),
        data=np.frombuffer(points.astype('<f4').tobytes(), np.uint8),
        is_dense=True,
    )


def _transforms(transforms: list[Any]) -> Any:
    return common_types().types['tf2_msgs/msg/TFMessage'](transforms=transforms)


def _jobs(plan: ExportPlan) -> list[Job]:
    return [replace(job, views=('rgb', 'right', 'lidar')) for job in thermal_bag.jobs(plan)]


LAYOUT = Layout(
    title='rosbag2, stereo and lidar',
    splits=('test',),
    jobs=_jobs,
    write=keep,
    finish=finish,
    notes=f"""\
* One drive. `{LEFT_FRAME}` and `{BODY_FRAME}` (x forward, y left, z up) are at the same place, not
  on the ground; the right camera stands to the right of it, the lidar above and behind it.
  `{TF_TOPIC}` is the true pose, `{TF_STATIC_TOPIC}` where everything is mounted.
* `{POINTS_TOPIC}` are the returns that the left camera sees, about 4 % of its pixels; none on
  glass and sky. Their intensity is a constant.
* `{DEPTH_TOPIC}` is exact, NaN on the sky and from {MAX_DEPTH_M:g} m on (REP 118).
* Stamps start at {thermal_bag.START_NS} ns.
""",
)
