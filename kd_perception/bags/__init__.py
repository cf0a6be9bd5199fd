# SPDX-License-Identifier: Apache-2.0
"""Recordings: rosbag2 bags (mcap and sqlite3), read and written without a ROS installation."""

from kd_perception.bags.reader import BagReader
from kd_perception.bags.types import IMAGE_TYPES, BagMessage, MessageFailure, TopicInfo
from kd_perception.bags.writer import BagWriter

__all__ = ['IMAGE_TYPES', 'BagMessage', 'BagReader', 'BagWriter', 'MessageFailure', 'TopicInfo']
