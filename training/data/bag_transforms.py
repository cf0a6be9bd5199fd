# SPDX-License-Identifier: Apache-2.0
"""Where the frames of a recording stand to each other, from its tf messages."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.bags import BagReader
from kd_perception.camera_info import nanoseconds_from_stamp
from kd_perception.errors import BagError, ConfigError

Array = npt.NDArray[Any]

TF_TOPICS = ('/tf_static', '/tf')

_STILL = 1e-6  # of entries of a pose that does not move
_MAX_STEPS = 1000


class _Edge(NamedTuple):
    """A child frame in its parent: stamps, and poses [4, 4] of child to parent at these."""

    parent: str
    stamps_ns: list[int]
    poses: list[Array]

    @property
    def moves(self) -> bool:
        return any(np.abs(pose - self.poses[0]).max() > _STILL for pose in self.poses[1:])

    def at(self, stamp_ns: int) -> Array | None:
        """The pose at a time between two messages; None before the first and after the last."""
        k = bisect_left(self.stamps_ns, stamp_ns)
        if k < len(self.stamps_ns) and self.stamps_ns[k] == stamp_ns:
            return self.poses[k]
        if not 0 < k < len(self.stamps_ns):
            return None
        before, after = self.stamps_ns[k - 1], self.stamps_ns[k]
        return interpolated(*self.poses[k - 1 : k + 1], (stamp_ns - before) / (after - before))


class Transforms:
    """All transforms of a recording.

    Args:
        transforms: `geometry_msgs/TransformStamped` messages in any order.
    """

    def __init__(self, transforms: list[Any]) -> None:
        self._edges: dict[str, _Edge] = {}
        ordered = sorted(transforms, key=lambda t: nanoseconds_from_stamp(t.header.stamp))
        for each in ordered:
            child, parent = (
                name.lstrip('/') for name in (each.child_frame_id, each.header.frame_id)
            )
            edge = self._edges.setdefault(child, _Edge(parent, [], []))
            if edge.parent == parent:
                edge.stamps_ns.append(nanoseconds_from_stamp(each.header.stamp))
                edge.poses.append(matrix_of_transform(each.transform))

    @classmethod
    def of_bag(cls, bag: BagReader) -> Transforms:
        """All that an open recording has on `TF_TOPICS`; unreadable messages are left out."""
        found: list[Any] = []
        for message in bag.messages([name for name in TF_TOPICS if name in bag.topics]):
            try:
                found += message.deserialize().transforms
            except BagError as error:
                bag.count_failure(message, str(error))
        return cls(found)

    def fixed(self, target: str, source: str) -> Array:
        """Points of the source frame to the target frame, float64 [4, 4].

        Raises:
            ConfigError: they are not connected, or move against each other.
        """
        chains = [self._chain(name) for name in (target, source)]
        shared = next((name for name in chains[0] if name in chains[1]), None)
        if shared is None:
            raise ConfigError(
                f'tf must connect {target!r} with {source!r}; it knows '
                f'{", ".join(sorted(self._edges)) or "no frames"}'
            )
        up = [self._still_pose(chain[: chain.index(shared)]) for chain in chains]
        fixed: Array = np.linalg.inv(up[0]) @ up[1]
        return fixed

    def moving(self, target: str, source: str, stamp_ns: int) -> Array | None:
        """Points of the source frame to a frame above it at a time; None where that is not known.

        Raises:
            ConfigError: the target is not above the source.
        """
        chain = self._chain(source)
        if target.lstrip('/') not in chain:
            raise ConfigError(
                f'tf must have {target!r} above {source!r}; above it are {", ".join(chain[1:])}'
            )
        pose = np.eye(4)
        for name in chain[: chain.index(target.lstrip('/'))]:
            edge = self._edges[name]
            step = edge.at(stamp_ns) if edge.moves else edge.poses[0]
            if step is None:
                return None
            pose = step @ pose
        return pose

    def _chain(self, name: str) -> list[str]:
        """A frame, its parent, and so on up."""
        chain = [name.lstrip('/')]
        while chain[-1] in self._edges and len(chain) < _MAX_STEPS:
            chain.append(self._edges[chain[-1]].parent)
        return chain

    def _still_pose(self, chain: list[str]) -> Array:
        pose = np.eye(4)
        for name in chain:
            if self._edges[name].moves:
                raise ConfigError(
                    f'sensors must stand still to each other; {name!r} moves in '
                    f'{self._edges[name].parent!r}'
                )
            pose = self._edges[name].poses[0] @ pose
        return pose


def matrix_of_transform(transform: Any) -> Array:
    """A `geometry_msgs/Transform` as float64 [4, 4]."""
    q, t = transform.rotation, transform.translation
    x, y, z, w = np.array([q.x, q.y, q.z, q.w]) / np.linalg.norm([q.x, q.y, q.z, q.w])
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = t.x, t.y, t.z
    return pose


def interpolated(first: Array, second: Array, share: float) -> Array:
    """A pose between two, at a constant speed and turn rate."""
    turn = cv2.Rodrigues(second[:3, :3] @ first[:3, :3].T)[0]
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(share * turn)[0] @ first[:3, :3]
    pose[:3, 3] = (1.0 - share) * first[:3, 3] + share * second[:3, 3]
    return pose
