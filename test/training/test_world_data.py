# SPDX-License-Identifier: Apache-2.0
"""The cache of rendered frames: right, atomic, resumable, shared."""

from __future__ import annotations

import fcntl
import multiprocessing
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.world import WorldConfig, render_frame
from kd_perception.world.splits import SPLITS, split_seed
from training.data import rendering
from training.data import world as world_data
from training.data.field_storage import decode, encode
from training.data.rendering import chunk_path
from training.data.world import WorldSplit, load_world, main
from training.data.world_fields import FIELDS, WorldSample, views_of

SMALL = {'height': 64, 'width': 96}
WORLD = WorldConfig(**SMALL)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(world_data, 'CHUNK_FRAMES', 3)


def split_of(count, *fields, **changes):
    return WorldSplit(
        'test', 4, count, world=SMALL, fields=fields or ('thermal', 'label'), **changes
    )


def test_every_field_is_that_of_the_world(tmp_path):
    data = load_world(split_of(5, *FIELDS), tmp_path)
    assert len(data) == 5
    for index in (0, 2, 3, 4):
        sample, expected = data[index], render_frame(WORLD, split_seed('test', 4), index)
        for name in FIELDS:
            found, true = getattr(sample, name), np.asarray(getattr(expected, name))
            assert (found.shape, found.dtype) == (true.shape, true.dtype), name
            tolerance = 0.5 / 256 if name in ('depth_m', 'lidar_m') else 0.0
            np.testing.assert_allclose(found, true, rtol=0.0, atol=tolerance, err_msg=name)
    with pytest.raises(IndexError, match='0 to 4'):
        data[5]


def test_fields_that_were_not_asked_for_are_neither_rendered_nor_kept(tmp_path, monkeypatch):
    asked = []

    def watched(config, seed, index, views):
        asked.append(tuple(views))
        return render_frame(config, seed, index, views)

    monkeypatch.setattr(world_data, 'render_frame', watched)
    data = load_world(split_of(2, 'label', 'rgb'), tmp_path)
    assert set(asked) == {('rgb',)}
    assert {name for name in FIELDS if getattr(data[0], name) is not None} == {'label', 'rgb'}
    assert len(list(data.folder.glob('*.npy'))) == 2


def test_later_fields_join_those_that_are_there(tmp_path, monkeypatch):
    first = load_world(split_of(4), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.folder.glob('*.npy')}
    both = load_world(split_of(4, 'thermal', 'rgb', 'label'), tmp_path)
    assert both.folder == first.folder
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in before.items())
    monkeypatch.setattr(world_data, 'render_frame', None)
    alone = load_world(split_of(4, 'rgb'), tmp_path)
    np.testing.assert_array_equal(alone[3].rgb, both[3].rgb)


def test_second_load_renders_nothing(tmp_path, monkeypatch):
    first = load_world(split_of(5), tmp_path).digest()
    monkeypatch.setattr(world_data, 'render_frame', None)
    assert load_world(split_of(5), tmp_path).digest() == first


def test_pixels_are_mapped_not_loaded(tmp_path):
    sample = load_world(split_of(2), tmp_path)[1]
    assert isinstance(sample.thermal, np.memmap)
    with pytest.raises(ValueError, match='read-only'):
        sample.thermal[0, 0] = 1


def test_killed_rendering_goes_on_with_whole_chunks(tmp_path, monkeypatch):
    rendered = []

    def dying(config, seed, index, views):
        rendered.append(index)
        if len(rendered) == 5:
            raise KeyboardInterrupt
        return render_frame(config, seed, index, views)

    monkeypatch.setattr(world_data, 'render_frame', dying)
    with pytest.raises(KeyboardInterrupt):
        load_world(split_of(8), tmp_path)
    data = load_world(split_of(8), tmp_path)
    assert rendered == [0, 1, 2, 3, 4, 3, 4, 5, 6, 7]
    assert data.digest() == load_world(split_of(8), tmp_path / 'other').digest()


def test_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_arguments, **_keywords):
        raise OSError('no space left on device')

    monkeypatch.setattr(rendering.np, 'save', full)
    with pytest.raises(OSError, match='no space'):
        load_world(split_of(2), tmp_path)
    monkeypatch.undo()
    assert not list(tmp_path.rglob('*.npy'))
    assert not list(tmp_path.rglob('*.tmp'))


def test_what_a_killed_renderer_left_is_removed(tmp_path):
    split = split_of(5)
    folder = tmp_path / split.key()
    folder.mkdir()
    names = ('thermal_000003_000005.npy', 'label_000000_000003.npy', 'description.json')
    for name in names:
        (folder / f'{name}.k1ll3d.tmp').write_bytes(b'half')
    later = folder / 'rgb_000000_000003.npy.k1ll3d.tmp'  # may be at work: not in this split
    later.write_bytes(b'half')
    load_world(split, tmp_path)
    assert list(folder.glob('*.tmp')) == [later]


def test_files_can_be_read_by_other_users(tmp_path):
    files = list(load_world(split_of(2), tmp_path).folder.glob('*.*'))
    assert len(files) == 3
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}


def test_a_short_last_chunk_is_rendered_again_in_a_full_one(tmp_path, monkeypatch):
    short = load_world(split_of(5), tmp_path)
    rendered = []

    def watched(config, seed, index, views):
        rendered.append(index)
        return render_frame(config, seed, index, views)

    monkeypatch.setattr(world_data, 'render_frame', watched)
    data = load_world(split_of(8), tmp_path)
    assert rendered == [3, 4, 5, 6, 7]
    np.testing.assert_array_equal(data[4].thermal, short[4].thermal)


def test_two_processes_give_the_same_data(tmp_path):
    # Spawned renderers import the module anew: chunk borders come with the chunks, not from it.
    alone = load_world(split_of(7, 'thermal', 'rgb', 'label'), tmp_path / 'alone')
    pair = load_world(split_of(7, 'thermal', 'rgb', 'label'), tmp_path / 'pair', processes=2)
    assert pair.digest() == alone.digest()


def hold_chunk(path, start, held, leave):
    """Another renderer, at work on the chunk that starts at a frame."""
    with open(path, 'ab') as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 1, start)
        held.set()
        leave.wait(30)


def test_chunk_of_another_renderer_is_done_last(tmp_path, monkeypatch):
    split = split_of(8)
    folder = tmp_path / split.key()
    folder.mkdir()
    context = multiprocessing.get_context('fork')
    held, leave = context.Event(), context.Event()
    other = context.Process(target=hold_chunk, args=(folder / 'lock', 3, held, leave))
    other.start()
    assert held.wait(10)
    rendered = []

    def watched(config, seed, index, views):
        rendered.append(index)
        if index == 7:
            leave.set()  # the other renderer leaves without a result, as a killed one does
        return render_frame(config, seed, index, views)

    monkeypatch.setattr(world_data, 'render_frame', watched)
    data = load_world(split, tmp_path)
    other.join(10)
    assert rendered == [0, 1, 2, 6, 7, 3, 4, 5]
    assert data.digest() == load_world(split, tmp_path / 'alone').digest()


def test_renderers_of_other_code_are_refused(tmp_path):
    split = split_of(2)
    with pytest.raises(DatasetError, match='same code'):
        rendering._render_chunk(tmp_path, split, 'key of another world', False, (0, 2))


def test_splits_do_not_share_a_folder():
    splits = [
        *(WorldSplit(name, seed, 5, world=SMALL) for name in SPLITS for seed in (0, 1, 2)),
        WorldSplit('train', 0, 5),
        WorldSplit('train', 0, 5, preset='night', world=SMALL),
    ]
    assert len({split.key() for split in splits}) == len(splits)
    others = WorldSplit('train', 0, 50, world=SMALL, fields=('rgb',))
    assert others.key() == splits[0].key()


def test_key_follows_the_code_of_the_renderer(monkeypatch):
    before = split_of(2).key()
    monkeypatch.setattr(world_data, '_SOURCES', ('edited', world_data._SOURCES[1]))
    assert split_of(2).key() != before


@given(st.floats(0.0, 255.0, width=32))
def test_depths_are_kept_within_two_millimeters(depth_m):
    stored = encode('depth_m', np.float32([[depth_m]]))
    assert stored.dtype == np.uint16
    assert abs(float(decode('depth_m', stored)[0, 0]) - depth_m) <= 0.5 / 256 + 1e-6


@pytest.mark.parametrize('depth_m', [-0.1, 256.0, np.nan])
def test_depths_that_do_not_fit_are_refused(depth_m):
    with pytest.raises(ConfigError, match='0 to 255 m'):
        encode('lidar_m', np.float32([[1.0, depth_m]]))


def test_views_of_fields():
    assert views_of(['label', 'depth_m', 'sky']) == ()
    assert views_of(['lidar_m', 'thermal']) == ('thermal', 'lidar')
    assert set(FIELDS) == set(WorldSample.__dataclass_fields__)


def test_class_shares_sum_to_one(tmp_path):
    shares = load_world(split_of(4), tmp_path).class_shares()
    assert shares.shape == (9,)
    assert shares.sum() == pytest.approx(1.0)
    assert shares.argmax() == 0


def test_command_fills_the_cache(tmp_path, capsys):
    arguments = ['--split', 'shifted', '--preset', 'shifted', '--count', '4', '--seed', '3']
    arguments += ['--world', '{"height": 64, "width": 96}', '--fields', 'lidar_m', 'label']
    main([*arguments, '--cache', str(tmp_path)])
    split = WorldSplit('shifted', 3, 4, 'shifted', SMALL, ('lidar_m', 'label'))
    assert split.key() in capsys.readouterr().out
    assert chunk_path(tmp_path / split.key(), 'lidar_m', (3, 4)).exists()
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'count': 0}, 'count'),
        ({'seed': -1}, 'seed'),
        ({'split': 'dev'}, 'split'),
        ({'preset': 'snow'}, 'preset'),
        ({'world': {'hight': 64}}, 'WorldConfig'),
        ({'fields': ('thermal', 'depth')}, 'fields'),
        ({'fields': ()}, 'fields'),
        ({'fields': ('label', 'label')}, 'fields'),
    ],
)
def test_bad_splits_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        WorldSplit(**changes)
