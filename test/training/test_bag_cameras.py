# SPDX-License-Identifier: Apache-2.0
"""Which topics are the two cameras, and what is said when that is not clear."""

from __future__ import annotations

import numpy as np
import pytest
from pair_bags import (
    THERMAL,
    color,
    compressed_image,
    extracted,
    heat,
    stamp_of,
    write_pairs,
)
from sensor_images import encoded

from kd_perception.bags import BagWriter
from kd_perception.errors import BagError, ConfigError


def test_missing_and_doubtful_topics_are_refused_with_what_there_is(tmp_path):
    path = write_pairs(tmp_path / 'drive')
    with pytest.raises(BagError, match=f'/no/such .*{THERMAL}'):
        extracted(path, tmp_path, thermal_topic='/no/such')
    with pytest.raises(ConfigError, match=r'rgb_topic .* /thermal/image_raw has mono16'):
        extracted(path, tmp_path, rgb_topic=THERMAL)
    with pytest.raises(BagError, match='no bag at'):
        extracted(tmp_path / 'nowhere', tmp_path)
    with BagWriter(tmp_path / 'heat') as bag:
        bag.write_image(THERMAL, heat(0), stamp_ns=stamp_of(0))
        bag.write_image('/planes', heat(0), stamp_ns=stamp_of(0), encoding='nv21')
    with pytest.raises(ConfigError, match=r"rgb8, bgr8.* for rgb_topic.* Of /planes .*'nv21'"):
        extracted(tmp_path / 'heat', tmp_path)
    with pytest.raises(ConfigError, match=r'of /planes none could be read: .*nv21'):
        extracted(tmp_path / 'heat', tmp_path, rgb_topic='/planes')


def test_of_several_candidates_one_must_be_named(tmp_path):
    with BagWriter(tmp_path / 'drive') as bag:
        for index, topic in enumerate(('/left/image_raw', '/right/image_raw', '/mono')):
            bag.write_image(topic, heat(index), stamp_ns=stamp_of(0))
        bag.write_image('/color', color(0), stamp_ns=stamp_of(0))
    with pytest.raises(ConfigError, match=r'/left/image_raw \(mono16, 48x64\), .*/mono.*/right'):
        extracted(tmp_path / 'drive', tmp_path)
    data = extracted(tmp_path / 'drive', tmp_path, thermal_topic='/right/image_raw')
    np.testing.assert_array_equal(data[0].thermal, heat(1))


def test_compressed_and_swapped_colors_are_read_as_the_robot_reads_them(tmp_path):
    flat = np.full((48, 64, 3), (200, 100, 20), np.uint8)
    with BagWriter(tmp_path / 'drive') as bag:
        compressed_image(bag, f'{THERMAL}/compressed', heat(0), stamp_of(0))
        compressed_image(bag, '/jpeg', flat, stamp_of(0), '.jpg')
        compressed_image(bag, '/png', flat, stamp_of(0))
        for code in ('bgr8', '8UC3'):
            bag.write_image(f'/{code}', flat[..., ::-1], stamp_ns=stamp_of(0), encoding=code)
        for code in ('bayer_rggb8', 'uyvy'):
            image = encoded(flat, code)
            bag.write_image(f'/{code}', image, stamp_ns=stamp_of(0), encoding=code)
    for topic in ('/jpeg', '/png', '/bgr8', '/8UC3', '/bayer_rggb8', '/uyvy'):
        sample = extracted(tmp_path / 'drive', tmp_path, rgb_topic=topic)[0]
        np.testing.assert_array_equal(sample.thermal, heat(0))
        np.testing.assert_allclose(sample.rgb, flat, atol=3)


def test_real_bag_without_images_is_refused(tmp_path, real_data):
    with pytest.raises(ConfigError, match=r'for thermal_topic; it has: .*/rosout'):
        extracted(real_data / 'bags' / 'rosbag2_talker' / 'mcap', tmp_path)
