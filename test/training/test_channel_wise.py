# SPDX-License-Identifier: Apache-2.0
"""Channel-wise distillation: who sees what, that runs resume, share, are scored and refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from channel_wise_runs import LOOP, TERMS, shareable, tiny_run, with_loop
from run_processes import run_recipe
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models import PSPNet, RepUNet
from training.losses import class_weights
from training.recipes import channel_wise
from training.recipes.cekd_losses import shown_to
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_data import Drawing, class_shares, split_frames
from training.recipes.channel_wise_networks import NetworkConfig, Segmenter
from training.recipes.channel_wise_report import evaluate, table_row
from training.recipes.channel_wise_terms import TermConfig
from training.settings import load_config

FOLDER = Path(channel_wise.__file__).parents[1] / 'configs' / 'channel_wise'
CONFIGS = sorted(FOLDER.rglob('*.yaml'))


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache, 'channel_wise_logits')


def weights_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_what_is_drawn_is_what_both_networks_see(config):
    alone = replace(config, terms=())
    rgb = replace(config.teacher, modality='rgb')
    assert config.drawn_modality('student') == config.drawn_modality('teacher') == 'rgbt'
    assert alone.drawn_modality('student') == 'thermal'
    assert replace(config, teacher=rgb).drawn_modality('student') == 'rgbt'
    assert replace(config, teacher=rgb).drawn_modality('teacher') == 'rgb'
    assert replace(config, teacher=rgb, student=rgb).drawn_modality('student') == 'rgb'


def test_rows_of_a_seed_see_the_same_views(config):
    """Also those that draw heat alone, so that rows can be compared seed by seed."""
    alone, taught = Drawing(replace(config, terms=()), 'student'), Drawing(config, 'student')
    image, label, mix = taught(3, 1)
    assert image.shape == (4, 64, 64) and image.dtype == np.float32 and image.flags.c_contiguous
    assert label.dtype == np.int64 and 0.0 <= mix <= 1.0
    np.testing.assert_array_equal(alone(3, 1)[0], image[:1])
    np.testing.assert_array_equal(alone(3, 1)[1], label)
    assert not np.array_equal(taught(3, 2)[0], image)
    other = Drawing(replace(config, seed=1), 'student')
    assert not np.array_equal(other(3, 1)[0], image)
    assert not np.array_equal(Drawing(config, 'teacher')(3, 1)[0], image)


def test_drawing_goes_to_other_processes_by_its_settings(config):
    own = Drawing(config, 'student')
    expected = own(3, 1)
    sent = pickle.dumps(own)
    assert len(sent) < 10_000
    for part, other in zip(expected, pickle.loads(sent)(3, 1), strict=True):
        np.testing.assert_array_equal(part, other)


def test_a_network_sees_the_channels_of_its_modality():
    images = torch.arange(4.0).view(1, 4, 1, 1)
    for modality, channels in (('thermal', [0]), ('rgb', [1, 2, 3]), ('rgbt', [0, 1, 2, 3])):
        assert shown_to(images, 'rgbt', modality).flatten().tolist() == channels
    assert shown_to(images[:, 1:], 'rgb', 'rgb').flatten().tolist() == [1, 2, 3]


def test_the_teacher_answers_for_what_it_sees(config, fabric, monkeypatch):
    drawing = Drawing(config, 'student')
    samples = zip(*(drawing(0, k) for k in range(2)), strict=True)
    batch = tuple(torch.from_numpy(np.stack(part)) for part in samples)
    teacher = channel_wise.trained_teacher(config, fabric)
    seen = []

    def spying(images, labels, mix, maps):
        seen.append((images, labels, mix, maps))
        return {}

    channel_wise.step_losses(spying, batch, config, 'student', teacher)
    images, labels, mix, maps = seen[0]
    assert torch.equal(images, batch[0][:, :1]) and torch.equal(labels, batch[1])
    assert torch.equal(mix, batch[2])
    network = channel_wise.trained_network(config, 'teacher')
    with torch.no_grad():
        expected = network(batch[0])
    assert maps.features.shape == (2, 64, 16, 16)
    for found, own in zip(maps[:2], expected[:2], strict=True):
        assert torch.equal(found, own) and not found.requires_grad
    channel_wise.step_losses(spying, batch, replace(config, terms=()), 'teacher', None)
    assert torch.equal(seen[1][0], batch[0]) and seen[1][3] is None


def test_classes_weigh_by_the_shares_of_the_training_frames(config):
    shares = np.zeros(9)
    frames = split_frames(config, 'train')
    for k in range(len(frames)):
        label = frames[k].label[::7, ::7].ravel()
        shares += np.bincount(label, minlength=9) / len(frames) / label.size
    np.testing.assert_allclose(class_shares(config), shares, rtol=1e-9)
    learner = channel_wise.new_learner(config, 'student')
    torch.testing.assert_close(learner.weight, class_weights(shares))
    assert 'weight' not in learner.state_dict()
    plain = replace(config, class_weighted=False)
    assert channel_wise.new_learner(plain, 'student').weight is None


def test_labels_teach_pspnet_at_full_size_and_rep_unet_at_half_of_it():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 9, (2, 64, 64), generator=generator)
    labels[:, :10] = 255
    image, weight = torch.rand(2, 1, 64, 64, generator=generator), torch.linspace(1, 3, 9)

    def entropy(logits, target, align):
        upsampled = functional.interpolate(
            logits, target.shape[1:], mode='bilinear', align_corners=align
        )
        return functional.cross_entropy(upsampled, target, weight, ignore_index=255)

    for network, target, align in (
        (NetworkConfig(), labels[:, 1::2, 1::2], False),
        (NetworkConfig('pspnet', 'tiny'), labels, True),
    ):
        segmenter = Segmenter(network, 9).train()
        maps = segmenter(image)
        terms = segmenter.label_terms(maps, labels, weight)
        torch.testing.assert_close(terms['label'], entropy(maps.logits, target, align))
        if network.architecture == 'pspnet':
            expected = 0.4 * entropy(maps.auxiliary_logits, target, align)
            torch.testing.assert_close(terms['auxiliary'], expected)
        else:
            assert list(terms) == ['label']
        scores = segmenter.eval().scores(image)
        assert scores.shape[2:] == ((16, 16) if network.architecture == 'rep_unet' else (64, 64))


def test_pixels_of_the_authors_code_are_blue_first_and_less_a_mean():
    config = NetworkConfig('pspnet', 'tiny', modality='rgb', pixels='bgr_mean')
    segmenter = Segmenter(config, 9).eval()
    image = torch.rand(1, 3, 32, 32)
    mean = torch.tensor([104.007, 116.669, 122.679]).view(1, 3, 1, 1)
    expected = segmenter.network((255.0 * image)[:, [2, 1, 0]] - mean)
    found = segmenter(image)
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-5)


def test_teacher_and_student_by_configuration(tmp_path):
    assert NetworkConfig('pspnet', 'paper', depth=101, modality='rgb').feature_channels == 512
    assert NetworkConfig('pspnet', 'paper', depth=18, modality='rgb').feature_channels == 128
    assert NetworkConfig(preset='rep_unet').feature_channels == 64
    assert isinstance(Segmenter(NetworkConfig('pspnet', 'tiny'), 19).network, PSPNet)
    network = Segmenter(NetworkConfig(preset='rep_unet', modality='rgbt'), 5).network
    assert isinstance(network, RepUNet) and network.config.in_channels == 4
    assert network.config.out_channels == 5
    weights = Segmenter(NetworkConfig('pspnet', 'tiny', modality='rgb'), 19).network.encoder
    torch.save(weights.state_dict(), tmp_path / 'resnet.pth')
    named = NetworkConfig('pspnet', 'tiny', modality='rgb', weights_file=f'{tmp_path}/resnet.pth')
    loaded = Segmenter(named, 19).network.encoder
    assert torch.equal(loaded.conv1.weight, weights.conv1.weight)


@pytest.mark.parametrize(
    'names',
    [('channel_wise_logits', 'channel_wise_features'), ('holistic_logits',)],
    ids=['alignment', 'discriminator'],
)
def test_six_and_six_steps_equal_twelve(tmp_path, world_cache, fabric, monkeypatch, names):
    run = tiny_run(tmp_path / 'whole', world_cache, *names)
    config = with_loop(run, steps=12, batch_size=2, checkpoint_steps=6)
    (whole,) = channel_wise.networks(config, fabric).values()
    expected = [weights_of(part) for part in (whole.network, whole.average)]
    halves, ends = replace(config, output=tmp_path / 'halves'), []
    fit = channel_wise.fit

    def dying(run, **arguments):
        draw, folder = arguments['draw'], arguments['folder']

        def drawn(step, index):
            if step == 8 and folder not in ends:
                ends.append(folder)
                raise KeyboardInterrupt
            return draw(step, index)

        fit(run, **{**arguments, 'draw': drawn})

    monkeypatch.setattr(channel_wise, 'fit', dying)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            channel_wise.networks(halves, fabric)
    (resumed,) = channel_wise.networks(halves, fabric).values()
    assert ends == [halves.folder_of('teacher'), halves.folder_of('student')]
    assert resumed.step == 12
    for part, weights in zip((resumed.network, resumed.average), expected, strict=True):
        for name, value in part.state_dict().items():
            assert torch.equal(value, weights[name]), name


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_learn_what_one_learns_with_each_loss(tmp_path, world_cache, fabric):
    split_frames(tiny_run(tmp_path, world_cache), 'train')  # renders them
    folder = tmp_path / 'two'
    run_recipe('channel_wise_runs', folder, world_cache, timeout_s=800)
    states = torch.load(folder / 'states.pt')
    assert list(states) == list(TERMS)
    for name, state in states.items():
        config = shareable(tmp_path / 'one', world_cache, name)
        first = weights_of(channel_wise.build(config, 'student').network)
        (run,) = channel_wise.networks(config, fabric).values()
        found = run.network.state_dict()
        assert list(found) == list(state)
        for key, value in found.items():
            if value.is_floating_point():
                moved = (value - first[key]).abs().max()
                difference = (value - state[key]).abs().max()
                assert difference <= 2e-3 * moved + 1e-6, (name, key, difference, moved)


def test_rows_share_a_teacher_and_only_its_settings_make_another(config):
    other = replace(config, name='other', terms=(TermConfig('attention_transfer'),))
    assert other.folder_of('teacher') == config.folder_of('teacher')
    assert other.fingerprint('student') != config.fingerprint('student')
    assert replace(config, teacher_seed=0).folder_of('teacher') == config.folder_of('teacher')
    teacher = replace(config.teacher, modality='thermal')
    for changed in (
        replace(config, seed=1),
        replace(config, teacher=teacher),
        replace(config, class_weighted=False),
        replace(config, train=replace(config.train, count=11)),
    ):
        assert changed.folder_of('teacher') != config.folder_of('teacher')
        assert changed.fingerprint('student') != config.fingerprint('student')
    assert replace(config, seed=1, teacher_seed=0).folder_of('teacher') == config.folder_of(
        'teacher'
    )


def test_fingerprints_hold_what_teaches_and_nothing_else(config):
    alone = replace(config, terms=())
    teacher = replace(config.teacher, modality='thermal')
    assert replace(alone, teacher=teacher).fingerprint('student') == alone.fingerprint('student')
    scored = replace(config, image_size=(96, 128), results=Path('elsewhere'))
    assert scored.fingerprint('student') == config.fingerprint('student')
    wider = replace(config.opponent, base_width=16)
    assert replace(config, opponent=wider).fingerprint('student') == config.fingerprint('student')
    holistic = replace(config, terms=(TERMS['holistic_logits'],))
    assert replace(holistic, opponent=wider).fingerprint('student') != holistic.fingerprint(
        'student'
    )
    heavier = replace(config, terms=(replace(config.terms[0], weight=2.0),))
    assert heavier.fingerprint('student') != config.fingerprint('student')


def test_a_run_is_recorded_and_scored_without_what_learnt_beside_it(
    tmp_path, world_cache, fabric, capsys, monkeypatch
):
    config = tiny_run(tmp_path, world_cache, 'channel_wise_features')
    monkeypatch.setattr(channel_wise, 'load_config', lambda kind, arguments: config)
    channel_wise.main([])
    record = json.loads(config.record_path.read_text())
    assert (record['recipe'], record['trained_on']) == ('channel_wise', 'synthetic')
    assert list(record['metrics']) == list(record['training_seconds']) == ['student']
    student = record['metrics']['student']
    assert list(student) == ['validation', 'test']
    assert {'miou_nanmean', 'miou_frequent', 'miou_rare', 'recall_by_size'} <= set(student['test'])
    assert record['frame_keys'].keys() == {'train', 'validation', 'test'}
    assert '| tiny student |' in capsys.readouterr().out
    network = channel_wise.trained_network(config, 'student')
    assert isinstance(network, Segmenter) and isinstance(network.network, RepUNet)
    assert not any(p.requires_grad for p in network.parameters())
    learner = channel_wise.build(config, 'student').average
    assert len(learner.alignments) == 1
    assert torch.equal(network.network.head.weight, learner.segmenter.network.head.weight)
    assert evaluate(network, config) == student


def test_the_teacher_may_be_trained_alone(config, fabric):
    (role,) = channel_wise.networks(replace(config, stage='teacher'), fabric)
    assert role == 'teacher'
    with pytest.raises(ConfigError, match='must hold a checkpoint of step 6, got none'):
        channel_wise.trained_network(config, 'student')
    longer = replace(config, student=replace(config.student, loop=replace(LOOP, steps=8)))
    assert isinstance(channel_wise.trained_network(longer, 'teacher'), Segmenter)


def test_another_world_is_refused(config, fabric, monkeypatch):
    channel_wise.train(replace(config, terms=()), fabric, 'student')
    monkeypatch.setattr('training.data.world._SOURCES', ('changed',))
    with pytest.raises(ConfigError, match='the code of the world has changed'):
        channel_wise.build(replace(config, terms=()), 'student')


def test_a_row_in_percent():
    metrics = {'miou_nanmean': 0.25, 'miou_frequent': 0.4, 'miou_rare': None}
    metrics |= {'macc_nanmean': 0.301, 'boundary_f_3px': 0.5}
    assert table_row('row', metrics) == '| row | 25.0 | 40.0 | - | 30.1 | 50.0 |'


BAD = [
    ({'stage': 'both'}, 'stage must be one of'),
    ({'terms': (TERMS['hint_features'],) * 2}, 'once on logits and once on features'),
    ({'cityscapes': 'folder'}, "color images alone, got modalities .*'thermal'"),
    (
        {'terms': (TermConfig('channel_wise', at='features', options={'temperature': 4.0}),)},
        'must have an alignment: features of the student have 32 channels.* 64',
    ),
]


@pytest.mark.parametrize(('values', 'message'), BAD)
def test_bad_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ChannelWiseConfig(**values)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'architecture': 'unet'}, "architecture must be one of .*got 'unet'"),
        ({'preset': 'tiny'}, 'network must be one of'),
        ({'modality': 'depth'}, 'modality must be one of'),
        ({'pixels': 'imagenet'}, 'pixels must be one of'),
        ({'pixels': 'bgr_mean'}, "must come with modality rgb, got 'thermal'"),
        ({'weights_file': 'resnet.pth'}, 'must be empty with rep_unet'),
        ({'architecture': 'pspnet', 'preset': 'tiny', 'depth': 19}, 'depth'),
    ],
)
def test_bad_networks_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        NetworkConfig(**values)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_complete(path):
    config = load_config(ChannelWiseConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    assert (path.parent.name == 'cityscapes') == bool(config.cityscapes)


def test_rows_of_the_table_differ_in_their_terms_alone():
    for folder, prefix in ((FOLDER, ''), (FOLDER / 'cityscapes', 'cityscapes_')):
        alone = load_config(ChannelWiseConfig, ['--config_path', f'{folder}/{prefix}alone.yaml'])
        for short, loss in (
            ('at', 'attention_transfer'), ('pi', 'pixel_wise'), ('local', 'local_similarity'),
            ('pa', 'pairwise_affinity'), ('ifvd', 'intra_class_variation'), ('ho', 'holistic'),
            ('cwd', 'channel_wise'),
        ):  # fmt: skip
            for place in ('logits', 'features'):
                name = f'{prefix}{short}_{place}'
                row = load_config(ChannelWiseConfig, ['--config_path', f'{folder}/{name}.yaml'])
                assert [(term.loss, term.at) for term in row.terms] == [(loss, place)]
                assert replace(row, name=alone.name, terms=()) == alone


def test_cityscapes_has_the_recipe_of_the_paper():
    path = FOLDER / 'cityscapes' / 'cityscapes_cwd_features.yaml'
    config = load_config(ChannelWiseConfig, ['--config_path', str(path)])
    for network, depth, channels in ((config.teacher, 101, 512), (config.student, 18, 128)):
        assert (network.depth, network.feature_channels) == (depth, channels)
        assert network.sizes(19).ceil_pooling
        loop, optimizer = network.loop, network.optimizer
        assert (loop.steps, loop.batch_size, loop.average_decay) == (40000, 8, 0.0)
        values = (optimizer.kind, optimizer.learning_rate, optimizer.momentum)
        assert values == ('sgd', 0.01, 0.9)
        values = (optimizer.weight_decay, optimizer.schedule, optimizer.power)
        assert values == (5e-4, 'polynomial', 0.9)
    view = config.augmentation.view
    assert (view.height, view.width, view.scale_low, view.scale_high) == (512, 512, 0.7, 2.1)
    (term,) = config.terms
    assert (term.weight, term.options, term.alignment) == (50.0, {'temperature': 4.0}, 'norm_relu')
    assert config.label_set.num_classes == 19 and not config.class_weighted
