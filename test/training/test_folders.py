# SPDX-License-Identifier: Apache-2.0
"""What all loaders share: listings, split lists, and reading without silent conversion."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from kd_perception.errors import DatasetError
from kd_perception.label_sets import MFNET, VOC21
from training.data import folders
from training.data.folders import (
    DataSource,
    check_files,
    check_root,
    check_sizes,
    file_names,
    read_gray,
    read_label,
    read_list,
    read_rgb,
    read_u16,
)

SOURCE = DataSource('Toy', 'a/<stem>.png\nb/<stem>.png', 'draw it yourself.')


def save(path, pixels, **options):
    Image.fromarray(np.asarray(pixels)).save(path, **options)
    return path


@pytest.fixture
def tree(tmp_path):
    for folder in 'ab':
        (tmp_path / folder).mkdir()
        for stem in range(6):
            (tmp_path / folder / f'{stem}.png').touch()
    return tmp_path


FILES = [f'{folder}/{stem}.png' for folder in 'ab' for stem in range(6)]


def test_whole_tree_passes(tree):
    (tree / 'top.txt').touch()
    check_files(tree, [*FILES, 'top.txt'], SOURCE)


def test_message_says_what_is_missing_where_and_how_to_get_it(tree):
    (tree / 'b/4.png').unlink()
    with pytest.raises(DatasetError) as caught:
        check_files(tree, FILES, SOURCE)
    text = str(caught.value)
    assert '1 of 12 files are missing: b/4.png.' in text
    assert str(tree) in text and 'a/<stem>.png' in text
    assert 'a: 6, b: 5' in text and 'draw it yourself' in text


def test_layout_may_be_indented_in_the_source(tmp_path):
    source = DataSource('Toy', '''
        a/<stem>.png
          b.txt
        ''', 'draw it.')  # fmt: skip
    with pytest.raises(DatasetError, match=r'as\n    a/<stem>\.png\n      b\.txt\nbut'):
        check_root(tmp_path / 'none', source)


def test_many_missing_files_are_counted_and_only_some_named(tree):
    for file in (tree / 'a').iterdir():
        file.unlink()
    with pytest.raises(DatasetError, match=r'6 of 12 .*: a/0\.png, .*a/4\.png, \.\.\.') as caught:
        check_files(tree, FILES, SOURCE)
    assert 'a/5.png' not in str(caught.value)


def test_wrong_root_shows_what_is_there(tree):
    with pytest.raises(DatasetError, match=r'12 of 12(.|\n)*the root holds 0\.png, 1\.png'):
        check_files(tree / 'a', FILES, SOURCE)
    with pytest.raises(DatasetError, match='no such folder'):
        check_root(tree / 'c', SOURCE)


def test_each_folder_is_listed_once(tree, monkeypatch):
    listed = []

    def listing(folder, suffix=''):
        listed.append(folder.name)
        return file_names(folder, suffix)

    monkeypatch.setattr(folders, 'file_names', listing)
    check_files(tree, FILES * 50, SOURCE)
    assert sorted(listed) == ['a', 'b']


def test_hidden_files_are_no_samples(tree):
    (tree / 'a/._0.png').touch()
    assert file_names(tree / 'a', '.png') == [f'{stem}.png' for stem in range(6)]
    assert file_names(tree / 'c') == []


@pytest.mark.parametrize('text', ['x\ny\n', 'x\r\n\r\ny', '\ufeffx \n\ty'])
def test_list_is_read_from_any_editor(tmp_path, text):
    (tmp_path / 'train.txt').write_bytes(text.encode())
    assert read_list(tmp_path / 'train.txt', SOURCE) == ('x', 'y')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'\n \n', 'is empty'),
        (b'x\ny\nx\n', 'once.*repeats x$'),
        (b'../x\n', 'name files of its set'),
        (b'/etc/x\n', 'name files of its set'),
        (b'\x89PNG\r\n', 'must be text'),
    ],
)
def test_faulty_lists_are_refused(tmp_path, content, message):
    path = tmp_path / 'train.txt'
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_list(path, SOURCE)


def test_repeated_lines_may_be_allowed(tmp_path):
    (tmp_path / 'train.txt').write_text('x\nx\n')
    assert read_list(tmp_path / 'train.txt', SOURCE, unique=False) == ('x', 'x')


def test_missing_list_names_those_that_are_there(tmp_path):
    (tmp_path / 'test.txt').write_text('x')
    with pytest.raises(DatasetError, match=r'train\.txt; lists found there: test\.txt'):
        read_list(tmp_path / 'train.txt', SOURCE)


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
