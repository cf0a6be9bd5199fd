# SPDX-License-Identifier: Apache-2.0
"""CEKD on data sets of cameras: their classes in networks, scores, records and pictures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from cekd_runs import tiny_run, with_steps
from labeled_folders import SETS, WRITERS, frame

from kd_perception.errors import ConfigError
from kd_perception.label_sets import MFNET
from training.cekd_export import export_student
from training.recipes import cekd
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_data import split_frames, teacher_frames
from training.recipes.cekd_report import scored_splits, show, shown_frames


@pytest.fixture(params=SETS)
def kind(request):
    return request.param


@pytest.fixture
def config(kind, tmp_path):
    write, counts = WRITERS[kind]
    root = tmp_path / 'set'
    write(root, counts)
    return with_steps(tiny_run(tmp_path, tmp_path / 'cache', **{kind: str(root)}), 2)


def test_splits_are_those_of_the_set(kind, config):
    names = {'mfnet': ('train', 'validation', 'test'), 'pst900': ('train', 'test')}[kind]
    assert config.split_names == names
    lengths = [len(split_frames(config, name)) for name in names]
    assert lengths == list(WRITERS[kind][1].values())
    assert tuple(scored_splits(config)) == names[1:]
    frames = teacher_frames(config)
    assert (len(frames.frames), frames.labeled) == (9, 5)
    assert not config.cache.exists(), 'nothing is rendered'


def test_class_shares_are_those_of_the_boxes(kind, config):
    """Every seventh pixel of the first five frames, counted by hand."""
    labels, size = SETS[kind]
    counts = np.zeros(labels.num_classes)
    for number in range(5):
        seen = frame(number, labels.num_classes, size)[2][::7, ::7]
        counts += [(seen == k).sum() for k in range(labels.num_classes)]
    shares = teacher_frames(config).class_shares(labels.num_classes)
    np.testing.assert_allclose(shares, counts / counts.sum())


@pytest.mark.parametrize('random_cameras', [False, True])
def test_samples_have_the_size_of_the_networks(config, random_cameras):
    config = replace(config, random_cameras=random_cameras)
    image, label = teacher_frames(config).draw(np.random.default_rng(0), config, labeled_only=True)
    assert image.shape == (4, 64, 64) and label.shape == (64, 64)
    assert 0.0 <= image.min() < image.max() <= 1.0
    assert set(np.unique(label)) <= {*range(config.label_set.num_classes), 255}


def test_a_run_and_its_record(kind, config, monkeypatch, capsys):
    labels = SETS[kind][0]
    monkeypatch.setattr(cekd, 'load_config', lambda kind, arguments: config)
    cekd.main([])
    record = json.loads(config.record_path.read_text())
    assert (record['trained_on'], record['frame_keys']) == ('real', {})
    assert record['config'][kind] == str(getattr(config, kind))
    splits = set(config.split_names) - {'train'}
    assert set(record['metrics']['teacher']) == splits
    assert set(record['metrics']['student']) == {*splits, 'enhancement'}
    contrast = record['metrics']['student']['enhancement']['contrast_ratio']
    assert tuple(contrast) == labels.names
    for report in (record['metrics'][role]['test'] for role in ('teacher', 'student')):
        for by_class in ('iou', 'accuracy', 'boundary_f_3px_by_class'):
            assert tuple(report[by_class]) == labels.names
        known = [value for value in report['iou'].values() if value is not None]
        assert report['miou_nanmean'] == pytest.approx(np.mean(known), abs=1e-4)
        groups = [report[f'miou_{name}'] for name in ('hot', 'cold', 'frequent', 'rare')]
        assert [value is None for value in groups] == [kind == 'pst900'] * 4
    state = torch.load(config.folder / 'latest.pt', weights_only=True)['network']
    assert state['decoder.stages.stage1.1.bn3.weight'].shape == (labels.num_classes,)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('|')]
    assert rows[0].count(' - ') == (2 if kind == 'pst900' else 0)


def test_pictures_have_the_colors_of_the_set(kind, config):
    labels = SETS[kind][0]

    class Warmest(torch.nn.Module):
        """Says the last class everywhere."""

        config = None

        def __init__(self):
            super().__init__()
            self.score = torch.nn.Parameter(torch.eye(labels.num_classes)[-1])

        def forward(self, image):
            scores = self.score.view(1, -1, 1, 1).expand(-1, -1, *image.shape[2:])
            return type('Output', (), {'logits': scores})

    frames = shown_frames(config)
    assert len(frames) == {'mfnet': 2, 'pst900': 9}[kind]
    picture = show(Warmest(), frames, config)['frame 1']
    assert {tuple(color) for color in picture[:, 128:].reshape(-1, 3)} == {labels.colors[-1]}
    expected = {labels.colors[0], labels.colors[2]}
    assert {tuple(color) for color in picture[:, 64:128].reshape(-1, 3)} == expected


def test_both_sets_at_once_are_refused():
    with pytest.raises(ConfigError, match=r"one data set.*got 'a' and 'b'"):
        CekdConfig(mfnet='a', pst900='b')


def test_the_world_keeps_its_splits(tmp_path):
    config = tiny_run(tmp_path, tmp_path, presets=('night',))
    assert config.split_names == ('train', 'validation', 'test', 'night')
    assert config.label_set is MFNET


def test_a_set_without_validation_split_gives_no_bundle(tmp_path):
    with pytest.raises(ConfigError, match='validation split, which PST900 has not'):
        export_student(tiny_run(tmp_path, tmp_path, pst900=str(tmp_path)), tmp_path)
