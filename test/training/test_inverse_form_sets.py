# SPDX-License-Identifier: Apache-2.0
"""InverseForm on data sets of cameras: MFNet, NYU-Depth-v2 with 40 classes, Cityscapes."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from inverse_form_runs import STUDENT, tiny_run
from PIL import Image

from kd_perception.label_sets import CITYSCAPES, MFNET, NYU40
from training.recipes import inverse_form
from training.recipes import inverse_form_data as data_module
from training.recipes.inverse_form_data import Drawing, split_frames

SIZE = (60, 80)
SETS = {'mfnet': MFNET, 'nyu': NYU40, 'cityscapes': CITYSCAPES}
COUNTS = {'train': 8, 'validation': 2, 'test': 3}


def frame(number, classes):
    """A box of one class on another, brighter with its id."""
    rng = np.random.default_rng(number)
    label = np.full(SIZE, number % 3, np.uint8)
    label[15:45, 20:60] = 3 + number % (classes - 3)
    gray = (20 + 4 * label + rng.integers(0, 10, SIZE)).astype(np.uint8)
    return gray, np.dstack([gray, gray, 255 - gray]), label


def write_mfnet(root):
    for folder in ('images', 'labels'):
        (root / folder).mkdir(parents=True)
    for split, count in COUNTS.items():
        name = {'validation': 'val'}.get(split, split)
        stems = [f'{number:05d}{split[0].upper()}' for number in range(count)]
        (root / f'{name}.txt').write_text('\n'.join(stems))
        for number, stem in enumerate(stems):
            heat, rgb, label = frame(number, MFNET.num_classes)
            Image.fromarray(np.dstack([rgb, heat])).save(root / 'images' / f'{stem}.png')
            Image.fromarray(label).save(root / 'labels' / f'{stem}.png')


def write_nyu(root):
    for split in ('train', 'test'):
        names = [f'{number + 1:04d}' for number in range(COUNTS[split])]
        for folder in ('rgb', 'depth', 'labels_40'):
            (root / split / folder).mkdir(parents=True)
        (root / f'{split}.txt').write_text('\n'.join(names))
        for number, name in enumerate(names):
            _, rgb, label = frame(number, NYU40.num_classes)
            label = label + 1
            label[:4] = 0
            cv2.imwrite(str(root / split / f'rgb/{name}.png'), rgb[:, :, ::-1])
            depth = np.full(SIZE, 1000, np.uint16)
            cv2.imwrite(str(root / split / f'depth/{name}.png'), depth)
            cv2.imwrite(str(root / split / f'labels_40/{name}.png'), label)


def write_cityscapes(root):
    ids = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33])
    for split, name in (('train', 'train'), ('test', 'val')):
        for number in range(COUNTS[split]):
            _, rgb, label = frame(number, CITYSCAPES.num_classes)
            stem = f'{name}/ulm/ulm_{number:06d}_000019'
            for folder, end, image in (
                ('leftImg8bit', 'leftImg8bit', rgb[:, :, ::-1]),
                ('gtFine', 'gtFine_labelIds', ids[label].astype(np.uint8)),
            ):
                path = root / folder / f'{stem}_{end}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)


WRITERS = {'mfnet': write_mfnet, 'nyu': write_nyu, 'cityscapes': write_cityscapes}


@pytest.fixture(params=SETS)
def kind(request):
    return request.param


@pytest.fixture
def config(kind, tmp_path):
    root = tmp_path / 'set'
    WRITERS[kind](root)
    student = replace(STUDENT, loop=replace(STUDENT.loop, steps=2))
    modality = 'thermal' if kind == 'mfnet' else 'rgb'
    return tiny_run(
        tmp_path, tmp_path / 'cache', modality=modality, student=student, **{kind: str(root)}
    )


def test_splits_and_classes_are_those_of_the_set(kind, config):
    names = ('train', 'validation', 'test') if kind == 'mfnet' else ('train', 'test')
    assert config.split_names == names and config.label_set is SETS[kind]
    assert [len(split_frames(config, name)) for name in names] == [COUNTS[n] for n in names]
    label = np.asarray(split_frames(config, 'train')[4].label)
    assert label[30, 40] == 3 + 4 % (SETS[kind].num_classes - 3)
    assert (label[:4] == 255).all() == (kind == 'nyu')
    assert not config.cache.exists(), 'nothing is rendered'
    image, seen = Drawing(config)(0, 0)
    assert image.shape == (1 if kind == 'mfnet' else 3, 64, 64)
    assert set(np.unique(seen)) <= {*range(SETS[kind].num_classes), 255}


def test_a_run_and_its_record(kind, config, monkeypatch):
    monkeypatch.setattr(inverse_form, 'load_config', lambda kind, arguments: config)
    inverse_form.main([])
    record = json.loads(config.record_path.read_text())
    assert (record['trained_on'], record['frame_keys']) == ('real', {})
    metrics = record['metrics']
    assert set(config.split_names) - {'train'} <= set(metrics)
    assert 'real_tiles' not in metrics
    assert tuple(metrics['test']['iou']) == SETS[kind].names
    assert metrics['inverse']['tiles'] == 20


def test_the_published_form_of_nyu_is_read_by_its_own_splits(tmp_path, monkeypatch):
    (tmp_path / 'nyu_depth_v2_labeled.mat').touch()
    seen = {}

    def opened(path, indices, *, classes, views):
        seen.update(path=path, indices=indices, classes=classes, views=views)
        return []

    monkeypatch.setattr(data_module, 'NyuMat', opened)
    monkeypatch.setattr(data_module, 'read_splits', lambda path: ((1, 2), (3,)))
    monkeypatch.setattr(data_module, 'read_class_mapping', lambda path: path.name)
    config = tiny_run(tmp_path, tmp_path, nyu=str(tmp_path), modality='rgb')
    for split, indices in (('train', (1, 2)), ('test', (3,))):
        split_frames(config, split)
        assert seen['indices'] == indices and seen['views'] == ('label',)
    assert seen['classes'] == 'classMapping40.mat'
