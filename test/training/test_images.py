# SPDX-License-Identifier: Apache-2.0
"""Image files: read without silent conversion, refused by name where damaged."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kd_perception.errors import DatasetError
from kd_perception.label_sets import MFNET, VOC21
from kd_perception.world_export.pictures import scaled_uint16
from training.data.images import (
    KITTI_STEPS_PER_M,
    NYU_STEPS_PER_M,
    check_sizes,
    meters_from_steps,
    read_depth_m,
    read_gray,
    read_label,
    read_rgb,
    read_u16,
)


def save(path, pixels, **options):
    Image.fromarray(np.asarray(pixels)).save(path, **options)
    return path


def test_rgb_is_in_rgb_order(tmp_path):
    pixels = np.zeros((3, 5, 3), np.uint8)
    pixels[..., 0] = 200
    read = read_rgb(save(tmp_path / 'red.png', pixels))
    np.testing.assert_array_equal(read, pixels)
    assert read.flags.writeable


def test_gray_takes_equal_channels_and_refuses_pseudo_color(tmp_path):
    gray = np.arange(15, dtype=np.uint8).reshape(3, 5)
    np.testing.assert_array_equal(read_gray(save(tmp_path / 'l.png', gray)), gray)
    tripled = np.repeat(gray[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(read_gray(save(tmp_path / 'rgb.png', tripled)), gray)
    tripled[0, 0, 2] += 1
    with pytest.raises(DatasetError, match='it was colored'):
        read_gray(save(tmp_path / 'colored.png', tripled))


def test_palette_label_is_read_by_index(tmp_path):
    ids = np.array([[0, 15], [20, 255]], np.uint8)
    image = Image.fromarray(ids)
    image.putpalette(VOC21.palette.tobytes())
    image.save(tmp_path / 'label.png')
    with Image.open(tmp_path / 'label.png') as reopened:
        assert reopened.mode == 'P'
    np.testing.assert_array_equal(read_label(tmp_path / 'label.png', VOC21), ids)


def test_small_palette_label_is_read_by_index(tmp_path):
    ids = np.array([[0, 1], [2, 3]], np.uint8)
    image = Image.fromarray(ids)
    image.putpalette(VOC21.palette[:4].tobytes())
    image.save(tmp_path / 'label.png', bits=2)
    np.testing.assert_array_equal(read_label(tmp_path / 'label.png', VOC21), ids)


def four_bit_gray(path, levels):
    """A PNG of 4 bits per pixel: Pillow writes none of that kind."""
    rows = b''.join(
        b'\0' + bytes(a << 4 | b for a, b in zip(r[::2], r[1::2], strict=True)) for r in levels
    )

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', crc)

    header = struct.pack('>IIBBBBB', len(levels[0]), len(levels), 4, 0, 0, 0, 0)
    chunks = (b'IHDR', header), (b'IDAT', zlib.compress(rows)), (b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*c) for c in chunks))
    return path


def test_ids_that_pillow_would_multiply_are_refused(tmp_path):
    path = four_bit_gray(tmp_path / 'label.png', [[0, 1], [1, 0]])
    with Image.open(path) as image:
        assert np.array(image).max() == 17, 'id 1 would be read as 17, a sheep'
    with pytest.raises(DatasetError, match='fewer than 8 bits'):
        read_label(path, VOC21)


def test_label_in_colors_or_of_another_set_is_refused_by_name(tmp_path):
    with pytest.raises(DatasetError, match=r'colors\.png must be a label .* mode RGB'):
        read_label(save(tmp_path / 'colors.png', np.zeros((2, 2, 3), np.uint8)), MFNET)
    with pytest.raises(DatasetError, match=r'other\.png: MFNet labels .* received \[20\]'):
        read_label(save(tmp_path / 'other.png', np.full((2, 2), 20, np.uint8)), MFNET)


def test_all_sixteen_bits_are_kept(tmp_path):
    counts = np.array([[0, 255, 256], [7000, 65534, 65535]], np.uint16)
    read = read_u16(save(tmp_path / 'raw.png', counts))
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, counts)
    with pytest.raises(DatasetError, match='16 bits; it is of mode L'):
        read_u16(save(tmp_path / 'low.png', np.zeros((2, 2), np.uint8)))


def test_counts_beyond_sixteen_bits_are_refused(tmp_path):
    path = save(tmp_path / 'raw.tif', np.array([[70000]], np.int32))
    with pytest.raises(DatasetError, match='16 bits; it holds larger'):
        read_u16(path)


@pytest.mark.parametrize('share', [0.0, 0.01, 0.3, 0.6, 0.9])
@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_truncated_files_are_refused_by_name(tmp_path, share, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    path = save(tmp_path / f'frame.{suffix}', noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DatasetError, match=rf'frame\.{suffix} is damaged'):
        read_rgb(path)


def test_any_flipped_byte_gives_pixels_or_a_dataset_error(tmp_path):
    path = save(tmp_path / 'label.png', np.arange(9, dtype=np.uint8).repeat(8).reshape(8, 9))
    content = path.read_bytes()
    refused = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            assert read_label(path, MFNET).dtype == np.uint8
        except DatasetError as error:
            refused += 1
            assert 'label.png' in str(error)
    assert refused > len(content) / 2


def test_missing_and_text_files_are_refused(tmp_path):
    with pytest.raises(DatasetError, match='must exist'):
        read_rgb(tmp_path / 'none.png')
    (tmp_path / 'page.png').write_text('<html>404</html>')
    with pytest.raises(DatasetError, match=r'page\.png is damaged'):
        read_rgb(tmp_path / 'page.png')


def test_huge_images_are_refused_by_their_header(tmp_path, monkeypatch):
    monkeypatch.setattr(Image.Image, 'load', lambda self: pytest.fail('decoded'))
    ihdr = struct.pack('>IIBBBBB', 9000, 9000, 8, 2, 0, 0, 0)
    chunk = struct.pack('>I', 13) + b'IHDR' + ihdr
    content = b'\x89PNG\r\n\x1a\n' + chunk + struct.pack('>I', zlib.crc32(b'IHDR' + ihdr))
    (tmp_path / 'huge.png').write_bytes(content + struct.pack('>I', 0) + b'IDAT' + b'\0' * 4)
    with pytest.raises(DatasetError, match=r'huge\.png has 9000x9000'):
        read_rgb(tmp_path / 'huge.png')


def test_parts_of_different_sizes_are_refused(tmp_path):
    rgb, label = np.zeros((4, 6, 3)), np.zeros((4, 5))
    check_sizes(tmp_path, {'color': rgb, 'label': None})
    with pytest.raises(DatasetError, match='color 4x6, label 4x5'):
        check_sizes(tmp_path / 'x.png', {'color': rgb, 'label': label})


@pytest.mark.parametrize('steps_per_m', [KITTI_STEPS_PER_M, NYU_STEPS_PER_M])
@given(meters=st.lists(st.floats(0.004, 65.5), min_size=1, max_size=30))
def test_depth_comes_back_within_half_a_step(steps_per_m, meters):
    depth_m = np.array([[0.0, *meters]])
    read_m = meters_from_steps(scaled_uint16(depth_m, steps_per_m), steps_per_m)
    assert read_m.dtype == np.float32
    assert read_m[0, 0] == 0
    assert np.abs(read_m - depth_m).max() <= 0.5 / steps_per_m + 1e-5


def test_depth_images_are_meters(tmp_path):
    path = save(tmp_path / 'depth.png', np.array([[0, 2560, 65535]], np.uint16))
    assert read_depth_m(path, KITTI_STEPS_PER_M).tolist() == [[0.0, 10.0, 255.99609375]]
    assert read_depth_m(path, NYU_STEPS_PER_M)[0, 1] == np.float32(2.56)
    with pytest.raises(DatasetError, match=r'low\.png .*16 bits'):
        read_depth_m(save(tmp_path / 'low.png', np.full((4, 4), 20, np.uint8)), 256.0)
