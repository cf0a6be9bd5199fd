# SPDX-License-Identifier: Apache-2.0
"""Wide ResNet-38: its sizes, what is frozen, and its weights from files of MXNet."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from kd_perception.errors import ConfigError
from kd_perception.models import ResNet38, ResNet38Config
from kd_perception.models.mxnet_weights import read_mxnet_params, resnet38_names

TINY = ResNet38Config(base_width=1)


def conv(out_channels, in_channels, side):
    return out_channels * in_channels * side * side


def expected_parameters(w=64):
    """Counted from the table of the paper, stage by stage; normalization has two per channel."""
    convs = conv(w, 3, 3)
    norms = 0
    for count, entry, middle, out in (
        (3, w, 2 * w, 2 * w), (3, 2 * w, 4 * w, 4 * w), (6, 4 * w, 8 * w, 8 * w),
        (3, 8 * w, 8 * w, 16 * w),
    ):  # fmt: skip
        for k in range(count):
            first = entry if k == 0 else out
            convs += conv(middle, first, 3) + conv(out, middle, 3)
            convs += conv(out, first, 1) if k == 0 else 0
            norms += first + middle
    for entry, out in ((16 * w, 32 * w), (32 * w, 64 * w)):
        convs += conv(out // 4, entry, 1) + conv(out // 2, out // 4, 3) + conv(out, out // 2, 1)
        convs += conv(out, entry, 1)
        norms += entry + out // 4 + out // 2
    return convs + 2 * (norms + 64 * w)


@pytest.mark.parametrize('width', [1, 64])
def test_size(width):
    with torch.device('meta'):
        network = ResNet38(ResNet38Config(base_width=width))
    assert sum(p.numel() for p in network.parameters()) == expected_parameters(width)
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()}.items() >= {
        'conv1a.weight': (width, 3, 3, 3),
        'b2.conv_branch1.weight': (2 * width, width, 1, 1),
        'b4_5.conv_branch2b1.weight': (8 * width, 8 * width, 3, 3),
        'b5_2.bn_branch2b1.running_var': (8 * width,),
        'b7.conv_branch2b2.weight': (64 * width, 32 * width, 1, 1),
        'bn7.bias': (64 * width,),
    }.items()
    assert 'b4_5.conv_branch1.weight' not in network.state_dict()


def test_features_are_those_of_an_eighth():
    features = ResNet38(ResNet38Config(base_width=1, frozen=False))(torch.rand(2, 3, 128, 136))
    assert features.shape == (2, 64, 16, 17) and (features >= 0.0).all()


def test_features_see_as_far_as_the_dilations_say():
    network = ResNet38(ResNet38Config(base_width=1)).double().eval()
    for parameter in network.parameters():
        if parameter.dim() == 4:
            torch.nn.init.constant_(parameter, 1.0 / parameter[0].numel())
    image = torch.zeros(1, 3, 8, 512, dtype=torch.float64)
    image[..., 0] = 1.0
    # 1 + 1 pixels at stride 1, 5 + 1 convolutions at stride 2, 5 + 1 at 4, then 11 plain ones, b5
    # with 1 and five times 2, b6 and b7 with 4 each, all at 8.
    reach = 1 + 1 + 2 * 6 + 4 * 6 + 8 * (11 + 1 + 5 * 2 + 4 + 4)
    assert network(image)[0, 0, 0].nonzero().max() == reach // 8 == 34


def test_frozen_parts_stay_frozen_and_keep_their_statistics():
    network = ResNet38(TINY).train()
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 2 * 15 + 3 * 2 + 1 and not any(norm.training for norm in norms)
    assert network.b6.dropout_2b1.training and not network.eval().b6.dropout_2b1.training
    learning = {n for n, p in network.named_parameters() if p.requires_grad}
    assert all('conv_' in name for name in learning)
    assert not any(name.startswith(('conv1a', 'b2')) for name in learning)
    assert {'b3.conv_branch2a.weight', 'b7.conv_branch1.weight'} <= learning
    before = {k: v.clone() for k, v in network.train().state_dict().items()}
    network(torch.rand(2, 3, 16, 16)).sum().backward()
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_what_starts_from_nothing_learns_everything():
    network = ResNet38(ResNet38Config(base_width=1, frozen=False)).train()
    assert all(p.requires_grad for p in network.parameters()) and network.bn7.training
    with pytest.raises(ConfigError, match='base_width and in_channels'):
        ResNet38Config(base_width=0)


def params_file(arrays, form):
    """What MXNet writes, in one of the three forms that it had over time."""
    data = struct.pack('<QQQ', 0x112, 0, len(arrays))
    for array in arrays.values():
        if form == 'dense':
            data += struct.pack('<Ii', 0xF993FAC9, 0)
        elif form == 'first':
            data += struct.pack('<I', 0xF993FAC8)
        sides = 'I' if form == 'old' else 'q'
        data += struct.pack(f'<I{array.ndim}{sides}', array.ndim, *array.shape)
        data += struct.pack(
            '<iii', 1, 0, {'float32': 0, 'float64': 1, 'float16': 2}[str(array.dtype)]
        )
        data += array.tobytes()
    data += struct.pack('<Q', len(arrays))
    for name in arrays:
        data += struct.pack('<Q', len(name)) + name.encode()
    return data


@given(st.integers(0, 2**20), st.sampled_from(['old', 'first', 'dense']))
def test_params_files_are_read_back(tmp_path_factory, seed, form):
    rng = np.random.default_rng(seed)
    arrays = {
        f'arg:a{k}': rng.normal(size=rng.integers(1, 4, rng.integers(1, 5))).astype(kind)
        for k, kind in enumerate(['float32', 'float64', 'float16'])
    }
    path = tmp_path_factory.mktemp('mxnet') / 'net-0001.params'
    path.write_bytes(params_file(arrays, form))
    found = read_mxnet_params(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), array.astype(np.float32))


GOOD = params_file({'arg:a': np.ones((2, 3), np.float32)}, 'dense')


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'', 'unpack'),
        (b'\x13' + GOOD[1:], 'begins with 0x113'),
        (GOOD[:-1], 'ends within 5 bytes'),
        (GOOD[:70], 'ends within 24 bytes'),
        (GOOD[:16] + struct.pack('<Q', 2**40), 'claims to have'),
        (GOOD[:28] + struct.pack('<i', 1) + GOOD[32:], 'not dense'),
        (GOOD[:32] + struct.pack('<I', 40) + GOOD[36:], '40 dimensions'),
        (GOOD[:36] + struct.pack('<q', 2**62) + GOOD[44:], 'ends within'),
        (GOOD[:36] + struct.pack('<q', -1) + GOOD[44:], 'shape'),
        (GOOD[:60] + struct.pack('<i', 7) + GOOD[64:], 'type 7'),
        (params_file({}, 'old')[:-8] + struct.pack('<QQ', 1, 2**20), 'a name of'),
    ],
)
def test_damaged_params_files_are_refused(tmp_path, data, message):
    path = tmp_path / 'net.params'
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=message):
        read_mxnet_params(path)


def test_params_files_are_bounded(tmp_path):
    path = tmp_path / 'net.params'
    path.write_bytes(GOOD)
    with pytest.raises(ConfigError, match=f'at most {len(GOOD) - 1} bytes'):
        read_mxnet_params(path, max_bytes=len(GOOD) - 1)


def mxnet_name(name):
    """A name of `ResNet38` as MXNet has it, built the other way round."""
    kinds = {'bias': 'beta', 'running_mean': 'moving_mean', 'running_var': 'moving_var'}
    place, _, rest = name.partition('.')
    prefix = 'aux:' if 'running' in name else 'arg:'
    if place in ('conv1a', 'bn7'):
        kind = kinds.get(rest, 'gamma' if place == 'bn7' else 'weight')
        return f'{prefix}{place}_{kind}'
    layer, _, end = rest.partition('.')
    sort, branch = layer.split('_')
    stage, _, number = place[1:].partition('_')
    block = f'b{number}' if number else 'a'
    kind = kinds.get(end, 'gamma' if sort == 'bn' else 'weight')
    return f'{prefix}{"res" if sort == "conv" else "bn"}{stage}{block}_{branch}_{kind}'


def test_names():
    names = ['arg:res2a_branch2a_weight', 'aux:bn4b5_branch2b1_moving_var', 'arg:bn7_beta',
             'arg:conv1a_weight', 'b3_1.conv_branch2a.weight']  # fmt: skip
    found = resnet38_names({name: torch.zeros(1) for name in names})
    assert list(found) == [
        'b2.conv_branch2a.weight', 'b4_5.bn_branch2b1.running_var', 'bn7.bias',
        'conv1a.weight', 'b3_1.conv_branch2a.weight',
    ]  # fmt: skip


def random_weights():
    torch.manual_seed(3)
    state = ResNet38(TINY).state_dict()
    return {
        k: torch.rand_like(v) for k, v in state.items() if not k.endswith('num_batches_tracked')
    }


@pytest.mark.parametrize('kind', ['mxnet', 'safetensors', 'torch'])
@pytest.mark.parametrize('in_channels', [1, 3])
def test_weights_load_under_either_name(tmp_path, kind, in_channels):
    weights = random_weights()
    if kind == 'mxnet':
        path = tmp_path / 'ilsvrc-cls_rna-a1_cls1000_ep-0001.params'
        arrays = {mxnet_name(k): v.numpy() for k, v in weights.items()}
        assert len(arrays) == len(weights)
        arrays['arg:linear1000_weight'] = np.zeros((10, 64), np.float32)
        path.write_bytes(params_file(arrays, 'old'))
    elif kind == 'safetensors':
        path = tmp_path / 'weights.safetensors'
        save_file({mxnet_name(k): v for k, v in weights.items()}, path)
    else:
        path = tmp_path / 'weights.pth'
        torch.save({**weights, 'fc8.weight': torch.zeros(3)}, path)
    network = ResNet38(ResNet38Config(base_width=1, in_channels=in_channels))
    network.load_imagenet_weights(path)
    loaded = network.state_dict()
    if in_channels == 1:
        red, green, blue = weights.pop('conv1a.weight').unbind(1)
        gray = loaded['conv1a.weight'][:, 0]
        torch.testing.assert_close(gray, (red + green + blue) / 3)
    for key, value in weights.items():
        assert torch.equal(loaded[key], value), key


def test_weights_of_another_network_are_refused(tmp_path):
    weights = {mxnet_name(k): v.numpy() for k, v in random_weights().items()}
    del weights['arg:res5b2_branch2a_weight']
    weights['arg:res8a_branch2a_weight'] = np.zeros(1, np.float32)
    path = tmp_path / 'net.params'
    path.write_bytes(params_file(weights, 'dense'))
    with pytest.raises(ConfigError, match=r'missing, as .*b5_2\.conv_branch2a.*unknown.*res8a'):
        ResNet38(TINY).load_imagenet_weights(path)
