# SPDX-License-Identifier: Apache-2.0
"""A drive as a rosbag2 recording, as a robot with a thermal camera and an RGB-D camera makes it.

    /thermal/image_raw           Image, mono16 or 16UC1, centikelvin
    /thermal/camera_info         CameraInfo
    /thermal/label               Image, mono8, class ids
    /camera/color/image_raw      Image, rgb8
    /camera/color/camera_info    CameraInfo
    /camera/depth                Image, 32FC1, meters, NaN = unknown
    /tf                          map -> base_link -> thermal_optical_frame, the true pose

All cameras share one lens and place, and every message of a frame has the same stamp.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kd_perception.bags import BagWriter
from kd_perception.bags.types import common_types
from kd_perception.world import WorldFrame
from kd_perception.world_export.body_frame import BODY_FROM_OPTICAL, body_pose, quaternion
from kd_perception.world_export.layout import Layout, Written
from kd_perception.world_export.pictures import Array
from kd_perception.world_export.plan import MAX_DEPTH_M, ExportPlan, Job
from kd_perception.world_export.rendering import drive_seed, known_depth_m

IMAGE_TOPIC = '/thermal/image_raw'
CAMERA_INFO_TOPIC = '/thermal/camera_info'
LABEL_TOPIC = '/thermal/label'
COLOR_TOPIC = '/camera/color/image_raw'
COLOR_INFO_TOPIC = '/camera/color/camera_info'
DEPTH_TOPIC = '/camera/depth'
TF_TOPIC = '/tf'
MAP_FRAME, BODY_FRAME, CAMERA_FRAME = 'map', 'base_link', 'thermal_optical_frame'

START_NS = 1_700_000_000_000_000_000

_NS_PER_S = 1_000_000_000


def stamp_ns(index: int, rate_hz: float) -> int:
    """Return the stamp of a frame of the drive."""
    return START_NS + round(index * _NS_PER_S / rate_hz)


def keep(folder: Path, job: Job, frame: WorldFrame) -> WorldFrame:
    """Give the frame back: one process writes the recording."""
    return frame


def finish(folder: Path, plan: ExportPlan, results: Iterator[Written]) -> None:
    """Write the recording."""
    with BagWriter(folder) as bag:
        for job, frame in results:
            write_frame(bag, frame, stamp_ns(job.index, plan.rate_hz), encoding=plan.encoding)


def write_frame(bag: BagWriter, frame: WorldFrame, stamp_ns: int, *, encoding: str) -> None:
    """Write all messages of a frame.

    Args:
        bag: Open recording.
        frame: With thermal and color image.
        stamp_ns: Of every message.
        encoding: Of the thermal image: `mono16` or `16UC1`.
    """
    assert frame.thermal is not None and frame.rgb is not None
    depth_m = known_depth_m(frame)
    images: dict[str, tuple[Array, str]] = {
        IMAGE_TOPIC: (frame.thermal, encoding),
        LABEL_TOPIC: (frame.label, ''),
        COLOR_TOPIC: (frame.rgb, ''),
        DEPTH_TOPIC: (np.where(depth_m > 0, depth_m, np.float32(np.nan)), ''),
    }
    bag.write_message(TF_TOPIC, transforms(frame.camera_pose, stamp_ns), log_time_ns=stamp_ns)
    for topic in (CAMERA_INFO_TOPIC, COLOR_INFO_TOPIC):
        bag.write_camera_info(
            topic,
            stamp_ns=stamp_ns,
            image_size=frame.label.shape,
            camera_matrix=frame.camera_matrix.ravel().tolist(),
            frame_id=CAMERA_FRAME,
        )
    for topic, (image, kind) in images.items():
        bag.write_image(topic, image, stamp_ns=stamp_ns, frame_id=CAMERA_FRAME, encoding=kind)


def transforms(camera_pose: Array, stamp_ns: int) -> Any:
    """Return a `tf2_msgs/msg/TFMessage` with the true pose of body and camera.

    Args:
        camera_pose: Camera to world, float [4, 4].
        stamp_ns: Of both transforms.
    """
    body = body_pose(camera_pose)
    mounting = np.eye(4)
    mounting[:3, :3] = BODY_FROM_OPTICAL
    return common_types().types['tf2_msgs/msg/TFMessage'](
        transforms=[
            transform(MAP_FRAME, BODY_FRAME, body, stamp_ns),
            transform(BODY_FRAME, CAMERA_FRAME, mounting, stamp_ns),
        ]
    )


def transform(parent: str, child: str, pose: Array, stamp_ns: int) -> Any:
    """Return a `geometry_msgs/msg/TransformStamped`: child to parent, float [4, 4]."""
    types = common_types().types
    return types['geometry_msgs/msg/TransformStamped'](
        header=header(stamp_ns, parent),
        child_frame_id=child,
        transform=types['geometry_msgs/msg/Transform'](
            translation=types['geometry_msgs/msg/Vector3'](*map(float, pose[:3, 3])),
            rotation=types['geometry_msgs/msg/Quaternion'](*quaternion(pose[:3, :3])),
        ),
    )


def header(stamp_ns: int, frame_id: str) -> Any:
    """Return a `std_msgs/msg/Header`."""
    types = common_types().types
    stamp = types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, _NS_PER_S))
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def jobs(plan: ExportPlan) -> list[Job]:
    """Return the frames of the drive of a plan."""
    return [
        Job(
            split=split,
            seed=drive_seed(split, plan.seed, 0),
            index=index,
            group='drive',
            number=index + 1,
            views=('thermal', 'rgb'),
            time_s=index / plan.rate_hz,
        )
        for split, count in plan.splits.items()
        for index in range(count)
    ]


LAYOUT = Layout(
    title='rosbag2',
    splits=('test',),
    jobs=jobs,
    write=keep,
    finish=finish,
    notes=f"""\
* One drive. Thermal images are in centikelvin: degrees Celsius = 0.01 * raw - 273.15, the preset
  `lepton_10mk` of the node.
* All cameras share lens and place, the frame `{CAMERA_FRAME}`; `{BODY_FRAME}` (x forward, y left,
  z up) is at the same place, and not on the ground. `{TF_TOPIC}` is the true pose.
* `{DEPTH_TOPIC}` is exact, NaN on the sky and from {MAX_DEPTH_M:g} m on (REP 118).
  `{LABEL_TOPIC}` holds the nine classes of MFNet.
* Stamps start at {START_NS} ns.
""",
)
