# SPDX-License-Identifier: Apache-2.0
"""From a recording to a folder of the cache: rectified images, lidar as depth, poses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap
from tqdm import tqdm

from kd_perception.bags import BagReader
from kd_perception.bags.types import CAMERA_INFO_TYPE, BagMessage, header_stamp_ns
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, ConfigError, ImageEncodingError
from kd_perception.files import write_atomically
from kd_perception.preprocessing.color import rgb_from_frame
from training.data.bag_pairing import pair_stamps
from training.data.bag_points import CLOUD_TYPE, depth_of_points, points_from_cloud
from training.data.bag_rectification import Pinhole, pinhole_camera, require_equal_cameras
from training.data.bag_transforms import Transforms

if TYPE_CHECKING:
    from training.data.depth_bag_config import DepthBagConfig

Array = npt.NDArray[Any]

ARRAYS = ('rgb', 'right', 'lidar_m')
"""What is stored of a frame, one file each."""

_BYTES_PER_GB = 10**9
_NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class _Sensor:
    """A topic, what of it is stored by row of the frames, and how."""

    name: str
    topic: str
    row_of: dict[int, int]
    stored: Callable[[Any], Array]


def extract(folder: Path, config: DepthBagConfig, index_name: str) -> None:
    """Store a recording.

    Args:
        folder: of the cache, which exists and whose lock is held.
        config: what to store.
        index_name: of the file that is written last.

    Raises:
        BagError: the bag is damaged, or a named topic is not in it.
        ConfigError: topics, calibrations or transforms are not clear, too much is to be stored,
            or there is no image.
    """
    with BagReader(config.bag) as bag:
        topics = _topics(bag, config)
        stamps = {name: _stamps(bag, topic) for name, topic in topics.items()}
        stamps_ns = sorted(set(stamps['rgb']))
        if not stamps_ns:
            raise ConfigError(f'{topics["rgb"]} of {config.bag} must have images with a stamp')
        tree = Transforms.of_bag(bag)
        cameras = {
            name: _camera(bag, topic, config)
            for name, topic in topics.items()
            if name != 'lidar_m'
        }
        _check_pair(topics, cameras)
        sensors = _sensors(bag, config, topics, stamps, cameras, tree)
        known = {each.name: _fill(bag, each, len(stamps_ns), folder, config) for each in sensors}
        failures = [f'{f.topic}: {f.reason}' for f in bag.failures[:5]]
    has = {name: known.get(name, [False] * len(stamps_ns)) for name in ARRAYS}
    counts = ', '.join(f'{sum(values)} with {name}' for name, values in has.items())
    index = {
        'camera_matrix': cameras['rgb'][0].matrix.tolist(),
        'baseline_m': cameras['right'][0].baseline_m if 'right' in cameras else 0.0,
        'stamps_ns': stamps_ns,
        'poses': _poses(tree, config, cameras['rgb'], stamps_ns),
        'report': f'Of {len(stamps_ns)} frames: {counts}. ' + ' '.join(failures),
        **has,
    }
    write_atomically(folder / index_name, lambda file: file.write(json.dumps(index).encode()))


def _topics(bag: BagReader, config: DepthBagConfig) -> dict[str, str]:
    """The topics that are stored, by name of the array."""
    clouds = [t.name for t in bag.topics.values() if t.message_type == CLOUD_TYPE]
    lidar = config.lidar_topic or (clouds[0] if len(clouds) == 1 else '')
    if not lidar and len(clouds) > 1:
        raise ConfigError(f'lidar_topic must be named where several could be meant: {clouds}')
    left = config.left_topic or bag.image_topic()
    found = {'rgb': left, 'right': config.right_topic, 'lidar_m': lidar}
    chosen = {name: topic for name, topic in found.items() if topic}
    for topic in chosen.values():
        bag.topic(topic)
    return chosen


def _stamps(bag: BagReader, topic: str) -> list[int]:
    """Header stamps of a topic; those of drivers that do not stamp are left out."""
    stamps = (header_stamp_ns(message.data) for message in bag.messages([topic]))
    return [stamp for stamp in stamps if stamp > 0]


def _camera(bag: BagReader, topic: str, config: DepthBagConfig) -> tuple[Pinhole, str]:
    """The camera of an image topic by its first camera_info, and the name of its frame."""
    info_topic = topic.removesuffix('/compressed').rpartition('/')[0] + '/camera_info'
    if info_topic not in bag.topics or bag.topic(info_topic).message_type != CAMERA_INFO_TYPE:
        raise ConfigError(
            f'{topic} must have its calibration in {info_topic}; the bag has: '
            f'{bag.describe_topics()}'
        )
    info = next((message.deserialize() for message in bag.messages([info_topic])), None)
    if info is None:
        raise ConfigError(f'{info_topic} must have a message; it has none')
    return pinhole_camera(info, topic, config.image_size), info.header.frame_id


def _sensors(
    bag: BagReader,
    config: DepthBagConfig,
    topics: dict[str, str],
    stamps: dict[str, list[int]],
    cameras: dict[str, tuple[Pinhole, str]],
    tree: Transforms,
) -> list[_Sensor]:
    left = sorted(set(stamps['rgb']))
    max_gap_ns = round(config.max_gap_ms * _NS_PER_MS)
    sensors = []
    for name, topic in topics.items():
        own = sorted(set(stamps[name]))
        pairs = pair_stamps(left, own, max_gap_ns).tolist()
        row_of = {stamp: row for row, stamp in enumerate(left)}
        if name != 'rgb':
            row_of = {own[j]: i for i, j in pairs}
        if name == 'lidar_m':
            stored = _lidar(bag, config, topic, cameras['rgb'], tree)
        else:
            stored = _color(cameras[name][0])
        sensors.append(_Sensor(name, topic, row_of, stored))
    return sensors


def _check_pair(topics: dict[str, str], cameras: dict[str, tuple[Pinhole, str]]) -> None:
    """Refuse a second camera that does not see the same to the right of the first."""
    if 'right' not in cameras:
        return
    left, right = cameras['rgb'][0], cameras['right'][0]
    if right.baseline_m <= 0.0:
        raise ConfigError(
            f'camera_info of {topics["right"]} must tell how far right it stands: -P[3] / P[0] is '
            f'{right.baseline_m} m'
        )
    require_equal_cameras(left, right, (topics['rgb'], topics['right']))


def _from_tf(camera: Pinhole, config: DepthBagConfig) -> Array:
    """Points of the frame that tf has of a camera to that of its stored images, [4, 4]."""
    pose = np.eye(4)
    if config.camera_frame == 'recorded':
        pose[:3, :3] = camera.rotation
    return pose


def _color(camera: Pinhole) -> Callable[[Any], Array]:
    return lambda message: camera.image(rgb_from_frame(frame_from_message(message)))


def _lidar(
    bag: BagReader,
    config: DepthBagConfig,
    topic: str,
    camera: tuple[Pinhole, str],
    tree: Transforms,
) -> Callable[[Any], Array]:
    pinhole, frame_id = camera
    pose = np.eye(4)
    if config.camera_from_lidar:
        pose[:3] = np.reshape(config.camera_from_lidar, (3, 4))
    else:
        first = next(message.deserialize() for message in bag.messages([topic]))
        pose = tree.fixed(frame_id, first.header.frame_id)
    pose = _from_tf(pinhole, config) @ pose
    return lambda cloud: depth_of_points(
        points_from_cloud(cloud), pose, pinhole.matrix, config.image_size
    )


def _fill(
    bag: BagReader, sensor: _Sensor, count: int, folder: Path, config: DepthBagConfig
) -> list[bool]:
    """Store all frames of a sensor; returns which there are."""
    depth = sensor.name == 'lidar_m'
    shape = (count, *config.image_size, *(() if depth else (3,)))
    dtype = np.dtype(np.float32 if depth else np.uint8)
    gb = float(np.prod(shape, dtype=np.float64)) * dtype.itemsize / _BYTES_PER_GB
    if gb > config.max_gb:
        raise ConfigError(
            f'{sensor.topic} would take {gb:.1f} GB, max_gb is {config.max_gb}: lower image_size '
            'or raise max_gb'
        )
    array = open_memmap(folder / f'{sensor.name}.npy', 'w+', dtype, shape)
    known = [False] * count
    messages = bag.messages([sensor.topic])
    for message in tqdm(messages, total=bag.topic(sensor.topic).message_count, desc=sensor.topic):
        row = sensor.row_of.get(header_stamp_ns(message.data))
        if row is not None and not known[row]:
            known[row] = _store(bag, message, sensor, array[row])
    array.flush()
    return known


def _store(bag: BagReader, message: BagMessage, sensor: _Sensor, target: Array) -> bool:
    try:
        target[...] = sensor.stored(message.deserialize())
    except (BagError, ImageEncodingError) as error:
        bag.count_failure(message, str(error))
        return False
    return True


def _poses(
    tree: Transforms, config: DepthBagConfig, camera: tuple[Pinhole, str], stamps_ns: list[int]
) -> list[Any]:
    """Camera to the frame that stands still, by row; None where it is not known."""
    if not config.pose_frame:
        return [None] * len(stamps_ns)
    to_tf = np.linalg.inv(_from_tf(camera[0], config))
    poses = [tree.moving(config.pose_frame, camera[1], stamp_ns) for stamp_ns in stamps_ns]
    return [None if pose is None else (pose @ to_tf).tolist() for pose in poses]
