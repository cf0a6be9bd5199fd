# SPDX-License-Identifier: Apache-2.0
"""MFNet in both of its forms: what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kd_perception.errors import ConfigError, DatasetError
from training.data.mfnet import MFNet

STEMS = ('00001D', '00002N', '00003D')
SIZE = (8, 12)


def frame(number):
    rng = np.random.default_rng(number)
    return (
        rng.integers(0, 256, (*SIZE, 3), np.uint8),
        rng.integers(0, 256, SIZE, np.uint8),
        rng.integers(0, 9, SIZE, np.uint8),
    )


def write_published(root, stem, rgb, thermal, label):
    Image.fromarray(np.dstack([rgb, thermal])).save(root / f'images/{stem}.png')
    Image.fromarray(label).save(root / f'labels/{stem}.png')


def write_reorganized(root, stem, rgb, thermal, label):
    for folder, pixels in (('RGB', rgb), ('Thermal', thermal), ('Label', label)):
        Image.fromarray(pixels).save(root / f'{folder}/{stem}.png')


FORMS = {
    'published': (('images', 'labels'), write_published),
    'reorganized': (('RGB', 'Thermal', 'Label'), write_reorganized),
}


def make(root, form):
    folders, write = FORMS[form]
    for folder in folders:
        (root / folder).mkdir(parents=True)
    for number, stem in enumerate(STEMS):
        write(root, stem, *frame(number))
    (root / 'train.txt').write_text('\n'.join(STEMS[:2]) + '\n')
    (root / 'test.txt').write_text(STEMS[2])
    (root / 'test_day.txt').write_text(STEMS[2] + '\n')
    return root


@pytest.fixture(params=sorted(FORMS))
def root(tmp_path, request):
    return make(tmp_path / 'MFNet', request.param)


@pytest.fixture
def published(tmp_path):
    return make(tmp_path / 'MFNet', 'published')


@pytest.fixture
def reorganized(tmp_path):
    return make(tmp_path / 'MFNet', 'reorganized')


def test_every_pixel_arrives_in_its_channel(root):
    data = MFNet(root, 'train')
    assert len(data) == 2 and data.names == STEMS[:2]
    for number, sample in enumerate(data):
        assert sample.name == STEMS[number] and sample.edge is None
        parts = (sample.rgb, sample.thermal, sample.label)
        for part, expected in zip(parts, frame(number), strict=True):
            assert part.dtype == np.uint8 and part.flags.c_contiguous
            np.testing.assert_array_equal(part, expected)


def test_lists_choose_the_frames(root):
    assert [s.name for s in MFNet(str(root), 'test')] == ['00003D']
    assert MFNet(root, 'test_day').names == MFNet(root, 'test').names
    assert MFNet(root)[1].name == '00002N'
    for index in (-1, 2):
        with pytest.raises(IndexError, match='0 to 1'):
            MFNet(root)[index]


def test_one_missing_file_is_found_before_training(root):
    folder = sorted(p.name for p in root.iterdir() if p.is_dir())[-1]
    (root / folder / '00002N.png').unlink()
    with pytest.raises(DatasetError, match=rf'1 of \d files are missing: {folder}/00002N\.png'):
        MFNet(root, 'train')
    assert len(MFNet(root, 'test')) == 1, 'the other split is whole'


def test_missing_set_says_where_and_how(tmp_path):
    with pytest.raises(DatasetError, match=r'nothing here(.|\n)*RGBA(.|\n)*How to get it'):
        MFNet(tmp_path / 'nothing here')


def test_missing_list_names_the_others(root):
    with pytest.raises(DatasetError, match=r'val\.txt; lists found there: test\.txt, test_day'):
        MFNet(root, 'val')


def test_empty_root_with_lists_shows_both_forms(published):
    (published / 'images').rename(published / 'pictures')
    with pytest.raises(DatasetError, match=r'images/(.|\n)*RGB/(.|\n)*pictures'):
        MFNet(published)


@pytest.mark.parametrize(
    ('text', 'message'), [('', 'empty'), ('00001D\n00001D', 'repeats 00001D')]
)
def test_faulty_lists_are_refused(root, text, message):
    (root / 'train.txt').write_text(text)
    with pytest.raises(DatasetError, match=message):
        MFNet(root)


def test_images_without_the_thermal_channel_are_refused(published):
    Image.fromarray(frame(0)[0]).save(published / 'images/00001D.png')
    with pytest.raises(DatasetError, match=r'00001D\.png must be an image of 4 channels.*RGB'):
        MFNet(published)[0]


def test_colored_thermal_is_refused(reorganized):
    Image.fromarray(frame(0)[0]).save(reorganized / 'Thermal/00001D.png')
    with pytest.raises(DatasetError, match=r'Thermal/00001D\.png must be gray'):
        MFNet(reorganized)[0]


def test_thermal_in_three_equal_channels_is_one(reorganized):
    thermal = frame(0)[1]
    Image.fromarray(np.dstack([thermal] * 3)).save(reorganized / 'Thermal/00001D.png')
    np.testing.assert_array_equal(MFNet(reorganized)[0].thermal, thermal)


def test_label_of_another_size_is_refused(root):
    folder = 'Label' if (root / 'Label').is_dir() else 'labels'
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(root / folder / '00001D.png')
    with pytest.raises(DatasetError, match=r'00001D\.png has color 8x12.*label 4x6'):
        MFNet(root)[0]


@pytest.mark.parametrize(
    ('label', 'message'),
    [
        (np.zeros((*SIZE, 3), np.uint8), 'mode RGB'),
        (np.full(SIZE, 9, np.uint8), r'received \[9\]'),
    ],
)
def test_labels_that_are_not_ids_are_refused(published, label, message):
    Image.fromarray(label).save(published / 'labels/00001D.png')
    with pytest.raises(DatasetError, match=message):
        MFNet(published)[0]


def test_truncated_image_is_refused_by_name_and_the_next_is_read(root):
    path = next(root.glob('*/00001D.png'))
    path.write_bytes(path.read_bytes()[:-40])
    data = MFNet(root)
    with pytest.raises(DatasetError, match=r'00001D\.png is damaged'):
        data[0]
    assert data[1].name == '00002N'


@pytest.mark.parametrize('level', [1, 255])
def test_edges_are_read_where_asked_for(published, level):
    edge = np.arange(6).reshape(2, 3) % 2 == 0
    (published / 'edge_4x').mkdir()
    for stem in STEMS[:2]:
        Image.fromarray(edge.astype(np.uint8) * np.uint8(level)).save(
            published / f'edge_4x/{stem}.png'
        )
    read = MFNet(published, 'train', views=['edge'])[1].edge
    assert read.dtype == bool
    np.testing.assert_array_equal(read, edge)
    with pytest.raises(DatasetError, match=r'edge_4x/00003D\.png'):
        MFNet(published, 'test', views=['edge'])


def test_unknown_views_are_refused(published):
    with pytest.raises(ConfigError, match='views must be'):
        MFNet(published, views=['edges'])


@pytest.mark.parametrize('form', sorted(FORMS))
def test_real_frames_in_either_form(tmp_path, real_data, form):
    folders, write = FORMS[form]
    for folder in folders:
        (tmp_path / folder).mkdir()
    tiles, originals = real_data / 'rtfnet_tiles', {}
    for stem in ('00', '01', '02', '03'):
        parts = ('rgb', 'thermal', 'label')
        originals[stem] = [np.array(Image.open(tiles / f'{stem}_{p}.png')) for p in parts]
        write(tmp_path, stem, *originals[stem])
    (tmp_path / 'test.txt').write_text('\n'.join(originals))
    for sample in MFNet(tmp_path, 'test'):
        for part, expected in zip(sample[1:4], originals[sample.name], strict=True):
            np.testing.assert_array_equal(part, expected)
        assert sample.label.shape == (280, 372)
        ids = {*np.unique(sample.label).tolist()}
        assert {0, 255} < ids <= {*range(9), 255}


def test_real_people_are_warm(tmp_path, real_data):
    """Label and thermal belong together: persons stand out from the frame's median."""
    tiles = real_data / 'rtfnet_tiles'
    for folder, part in (('RGB', 'rgb'), ('Thermal', 'thermal'), ('Label', 'label')):
        (tmp_path / folder).mkdir()
        for stem in ('00', '02', '03'):
            content = (tiles / f'{stem}_{part}.png').read_bytes()
            (tmp_path / folder / f'{stem}.png').write_bytes(content)
    (tmp_path / 'test.txt').write_text('00\n02\n03')
    data = MFNet(tmp_path, 'test')
    person = data.label_set.names.index('person')
    for sample in data:
        thermal = sample.thermal.astype(float)
        assert thermal[sample.label == person].mean() > np.median(thermal) + 10
