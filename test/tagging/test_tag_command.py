# SPDX-License-Identifier: Apache-2.0
"""From a recording to a folder that can be tagged: images with all bits, tags that are kept."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from kd_perception.bags import BagWriter
from kd_perception.cli import main
from kd_perception.errors import ConfigError, DatasetError
from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from kd_perception.tagging import read_tag_table
from kd_perception.tagging.extraction import TagSetConfig, tiles_from_text
from kd_perception.tagging.origin import origin_of
from kd_perception.tagging.tag_files import neighbor_path

HEAT, COLOR, LABEL = '/thermal/image_raw', '/camera/image_raw', '/thermal/label'
START, STEP = 1_700_000_000_000_000_000, 100_000_000
SIZE = (48, 64)


def heat(index):
    return np.random.default_rng(index).integers(29_000, 31_000, SIZE).astype(np.uint16)


def color(index):
    return np.random.default_rng([index, 1]).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def label(index):
    """A car in every frame, a person on the right half of odd ones."""
    found = np.zeros(SIZE, np.uint8)
    found[:10, :10] = 1
    if index % 2:
        found[30:40, 50:60] = 2
    return found


@pytest.fixture
def drive(tmp_path):
    with BagWriter(tmp_path / 'drive') as bag:
        for index in range(7):
            stamp = START + index * STEP
            bag.write_image(HEAT, heat(index), stamp_ns=stamp)
            bag.write_image(COLOR, color(index), stamp_ns=stamp)
            if index != 4:
                bag.write_image(LABEL, label(index), stamp_ns=stamp)
    return tmp_path / 'drive'


def tag(drive, out, *more, classes=('car', 'person')):
    return main(['tag', str(drive), '--out', str(out), '--classes', *classes, '--quiet', *more])


def name(index):
    return f't{START + index * STEP}'


def test_frames_keep_their_bits_and_nothing_is_tagged_yet(drive, tmp_path, capsys):
    out = tmp_path / 'tagged'
    assert tag(drive, out, '--image-topic', HEAT, '--stride', '3') == 0
    table = read_tag_table(out / 'tags.csv')
    assert table.rows == {name(0): None, name(3): None, name(6): None}
    for index in (0, 3, 6):
        stored = cv2.imread(str(out / 'frames' / f'{name(index)}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(stored, heat(index))
        small = cv2.imread(str(out / 'thumbnails' / f'{name(index)}.jpg'))
        assert small.shape == (*SIZE, 3)
    assert '3 images, 0 of them tagged' in capsys.readouterr().out


def test_color_is_stored_as_color(drive, tmp_path):
    assert tag(drive, tmp_path / 'out', '--image-topic', COLOR, '--max-frames', '1') == 0
    stored = cv2.imread(str(tmp_path / 'out' / 'frames' / f'{name(0)}.png'))
    np.testing.assert_array_equal(stored[..., ::-1], color(0))


def test_labels_fill_in_tags(drive, tmp_path):
    out = tmp_path / 'out'
    options = ('--image-topic', HEAT, '--stride', '1', '--label-topic', LABEL)
    assert tag(drive, out, *options) == 0
    rows = read_tag_table(out / 'tags.csv').rows
    assert rows == {
        name(k): None if k == 4 else (True, bool(k % 2)) for k in range(7)
    }  # fmt: skip


def test_tiles_are_tagged_apart(drive, tmp_path):
    out = tmp_path / 'out'
    options = ('--image-topic', HEAT, '--stride', '3', '--max-frames', '2')
    assert tag(drive, out, *options, '--tiles', '2x2', '--label-topic', LABEL) == 0
    rows = read_tag_table(out / 'tags.csv').rows
    assert rows[f'{name(3)}_0_0'] == (True, False) and rows[f'{name(3)}_1_1'] == (False, True)
    assert rows[f'{name(0)}_1_1'] == (False, False) and len(rows) == 8
    tiles = [
        [cv2.imread(str(out / 'frames' / f'{name(3)}_{y}_{x}.png'), -1) for x in range(2)]
        for y in range(2)
    ]
    np.testing.assert_array_equal(np.block(tiles), heat(3))


def test_tags_are_kept_when_the_set_is_made_again(drive, tmp_path):
    out, options = tmp_path / 'out', ('--image-topic', HEAT, '--stride', '3')
    tag(drive, out, *options)
    table = read_tag_table(out / 'tags.csv')
    table.rows[name(3)] = (False, True)
    table.write(out / 'tags.csv')
    before = (out / 'frames' / f'{name(3)}.png').stat().st_mtime_ns
    tag(drive, out, '--image-topic', HEAT, '--stride', '1', classes=('person', 'bike'))
    rows = read_tag_table(out / 'tags.csv').rows
    assert rows[name(3)] == (True, False) and len(rows) == 7 and rows[name(1)] is None
    assert (out / 'frames' / f'{name(3)}.png').stat().st_mtime_ns == before


def test_a_class_that_comes_later_is_warned_of(drive, tmp_path, capsys):
    out, options = tmp_path / 'out', ('--image-topic', HEAT, '--stride', '3')
    tag(drive, out, *options)
    tag(drive, out, *options, classes=('car', 'bus'))
    assert capsys.readouterr().err == '', 'nothing was tagged yet'
    table = read_tag_table(out / 'tags.csv')
    table.rows[name(0)], table.rows[name(3)] = (False, True), (False, False)
    table.write(out / 'tags.csv')
    assert tag(drive, out, *options, classes=('car', 'bike')) == 0
    error = capsys.readouterr().err
    assert error.startswith('warning: 2 frames were tagged before bike came')
    assert 'tags of bus are left out' in error and len(error.splitlines()) == 1
    assert read_tag_table(out / 'tags_before.csv') == table
    tag(drive, out, *options, classes=('car', 'bike'))
    assert capsys.readouterr().err == '', 'said once'
    assert read_tag_table(out / 'tags_before.csv') == table


def test_tags_of_frames_that_are_not_chosen_again_are_kept(drive, tmp_path):
    out, options = tmp_path / 'out', ('--image-topic', HEAT)
    tag(drive, out, *options, '--stride', '1')
    table = read_tag_table(out / 'tags.csv')
    table.rows[name(1)], table.rows[name(2)] = (False, True), (True, False)
    table.write(out / 'tags.csv')
    (out / 'frames' / f'{name(2)}.png').unlink()
    tag(drive, out, *options, '--stride', '3')
    rows = read_tag_table(out / 'tags.csv').rows
    assert rows == {name(0): None, name(3): None, name(6): None, name(1): (False, True)}
    assert list(rows) == [name(0), name(1), name(3), name(6)]


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (['--image-topic', COLOR], 'another image than the one'),
        (['--tiles', '3x3'], 'another image than the one'),
        (['--tiles', '1x1'], 'holds tiles: choose another --out'),
    ],
)
def test_tags_are_not_given_to_other_images(drive, tmp_path, capsys, options, text):
    out, plain = tmp_path / 'out', ['--image-topic', HEAT, '--tiles', '2x2']
    tag(drive, out, *plain)
    before = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    assert tag(drive, out, *plain, *options) == 2
    assert text in capsys.readouterr().err
    assert all(path.read_bytes() == data for path, data in before.items())


def test_color_may_be_tagged_again(drive, tmp_path):
    for _ in range(2):
        assert tag(drive, tmp_path / 'out', '--image-topic', COLOR) == 0


def test_the_page_holds_all_it_needs(drive, tmp_path):
    out = tmp_path / 'out'
    tag(drive, out, '--image-topic', HEAT, '--stride', '3', '--label-topic', LABEL)
    page = (out / 'index.html').read_text()
    data = json.loads(re.search(r'const data = (.*);', page)[1])
    assert data['classes'] == ['car', 'person']
    assert [frame['name'] for frame in data['frames']] == [name(0), name(3), name(6)]
    assert data['frames'][1]['tags'] == [True, True]


def test_pictures_of_tiles_have_the_gain_of_their_image(drive, tmp_path):
    out = tmp_path / 'out'
    tag(drive, out, '--image-topic', HEAT, '--tiles', '1x2', '--max-frames', '1')
    gray = normalize(heat(0), *agc_limits(heat(0), AgcConfig()))
    shown = np.hstack(
        [cv2.imread(str(out / 'thumbnails' / f'{name(0)}_0_{x}.jpg'), 0) for x in (0, 1)]
    )
    assert np.abs(shown - 255.0 * gray).mean() < 8.0
    tile = normalize(heat(0)[:, :32], *agc_limits(heat(0)[:, :32], AgcConfig()))
    assert np.abs(tile - gray[:, :32]).max() > 0.001


def test_labels_are_kept_for_scoring(drive, tmp_path):
    out = tmp_path / 'out'
    options = ('--image-topic', HEAT, '--stride', '4', '--tiles', '1x2')
    tag(drive, out, *options, '--label-topic', LABEL)
    tiles = [cv2.imread(str(out / 'labels' / f'{name(0)}_0_{x}.png'), -1) for x in (0, 1)]
    np.testing.assert_array_equal(np.hstack(tiles), label(0))
    assert len(list((out / 'labels').iterdir())) == 2, 'the other image has none'
    tag(drive, tmp_path / 'plain', *options)
    assert not (tmp_path / 'plain' / 'labels').exists()


def test_neighbors_are_those_of_the_recording(drive, tmp_path):
    out = tmp_path / 'out'
    options = ('--image-topic', HEAT, '--stride', '3', '--tiles', '1x2')
    tag(drive, out, *options, '--neighbors')

    def neighbor(index, side):
        return cv2.imread(str(neighbor_path(out, name(index), side)), -1)

    for index in (0, 3, 6):
        for side, other in (('before', index - 1), ('after', index + 1)):
            if 0 <= other < 7:
                np.testing.assert_array_equal(neighbor(index, side), heat(other))
            else:
                assert neighbor(index, side) is None
    assert read_tag_table(out / 'tags.csv').tagged() == {}
    tag(drive, tmp_path / 'plain', *options)
    assert not (tmp_path / 'plain' / 'neighbors').exists()


def test_where_images_come_from_is_said_where_it_is_known(drive, tmp_path):
    out = tmp_path / 'out'
    assert origin_of(out) == 'recording, origin not known'
    (drive / 'world.json').write_text('{"synthetic": true}')
    tag(drive, out, '--image-topic', HEAT, '--stride', '3')
    assert origin_of(out) == 'synthetic'
    real = drive.rename(tmp_path / 'real')
    (real / 'world.json').unlink()
    tag(real, out, '--image-topic', HEAT)
    assert origin_of(out) == 'recording, origin not known', 'not all of it is rendered'
    assert len(json.loads((out / 'source.json').read_text())['recordings']) == 2
    (out / 'source.json').write_text('{}')
    with pytest.raises(DatasetError, match='say where the images come from'):
        origin_of(out)


@pytest.mark.parametrize(
    ('options', 'code', 'text'),
    [
        (['--stride', '0'], 2, 'stride and max_frames must be >= 1'),
        (['--tiles', '3'], 2, 'ROWSxCOLUMNS'),
        (['--tiles', '8x8'], 2, '16 pixels'),
        (['--image-topic', '/none'], 1, 'is not in'),
        ([], 1, 'Name the image topic'),
        (['--image-topic', HEAT, '--label-topic', '/none'], 1, 'is not in'),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(drive, tmp_path, capsys, options, code, text):
    if options[:1] == ['--tiles'] or options[:1] == ['--stride']:
        options = [*options, '--image-topic', HEAT]
    assert tag(drive, tmp_path / 'out', *options) == code
    error = capsys.readouterr().err
    assert text in error and len(error.strip().splitlines()) == 1


def test_a_recording_without_usable_images_is_refused(tmp_path, capsys):
    with BagWriter(tmp_path / 'drive') as bag:
        bag.write_image(HEAT, np.zeros(SIZE, np.float32), stamp_ns=START)
    assert tag(tmp_path / 'drive', tmp_path / 'out') == 1
    assert 'received 32FC1' in capsys.readouterr().err


def test_labels_must_know_the_classes(tmp_path):
    with pytest.raises(ConfigError, match='labels know the classes car, person'):
        TagSetConfig(tmp_path, ('tram',), label_topic=LABEL)
    assert tiles_from_text('2x10') == (2, 10)
