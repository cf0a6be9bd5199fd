# SPDX-License-Identifier: Apache-2.0
"""What compression saves: networks of CEKD beside those that run on the robot, at one image size.

    python -m benchmarks.network_sizes --out results/latency/network_sizes.jsonl

Networks alone, from a thermal image to logits, by OpenVINO in fp32 and in turn, medians; ratios
are against `rep_unet_s` in the same run. Weights are random: they change no time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openvino
from torch import nn
from tqdm import tqdm

from kd_perception.machine import describe
from kd_perception.models import EKNet, EKNetConfig, RepUNet, RepUNetConfig
from kd_perception.models.architectures import LogitsOnly
from training.student_files import onnx_from_network

BASELINE = 'rep_unet_s'
NAMES = (BASELINE, 'rep_unet', 'EKNet tiny', 'EKNet small', 'EKNet paper')


class Timed(NamedTuple):
    """A network ready to run.

    Attributes:
        name: of `NAMES`.
        parameters: weights as deployed.
        request: of OpenVINO.
    """

    name: str
    parameters: int
    request: Any


def build(name: str, image_size: tuple[int, int]) -> nn.Module:
    """The deployed form of a network of `NAMES`."""
    if name.startswith('rep_unet'):
        return RepUNet(RepUNetConfig.preset(name)).folded()
    preset = name.partition(' ')[2]
    return LogitsOnly(EKNet(EKNetConfig.preset(preset, image_size=image_size))).eval()


def compiled(name: str, image_size: tuple[int, int], threads: int) -> Timed:
    """Build, export and compile a network."""
    network = build(name, image_size)
    core = openvino.Core()
    settings = {
        'PERFORMANCE_HINT': 'LATENCY',
        'NUM_STREAMS': '1',
        'INFERENCE_NUM_THREADS': threads,
        'INFERENCE_PRECISION_HINT': openvino.Type.f32,
    }
    graph = core.read_model(model=onnx_from_network(network, image_size))
    request = core.compile_model(graph, 'CPU', settings).create_infer_request()
    return Timed(name, sum(p.numel() for p in network.parameters()), request)


def median_ms(networks: Sequence[Timed], image_size: tuple[int, int], rounds: int) -> list[float]:
    """Median time of each network; in every round each runs twice, the second one counts."""
    image = np.random.default_rng(0).random((1, 1, *image_size), dtype=np.float32)
    times: list[list[float]] = [[] for _ in networks]
    for _ in tqdm(range(rounds), 'rounds'):
        for own, network in zip(times, networks, strict=True):
            network.request.infer([image])
            start = time.perf_counter()
            network.request.infer([image])
            own.append(1e3 * (time.perf_counter() - start))
    return [float(np.median(own)) for own in times]


def main() -> None:
    """Measure, print and keep the rows."""
    parser = argparse.ArgumentParser(description='Time networks of CEKD beside compressed ones.')
    parser.add_argument('--size', type=int, nargs=2, default=[480, 640], help='height and width')
    parser.add_argument('--networks', nargs='+', choices=NAMES, default=NAMES)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', type=Path, help='write one JSON line per row')
    own = parser.parse_args()
    size = (own.size[0], own.size[1])
    names = [BASELINE, *(name for name in own.networks if name != BASELINE)]
    networks = [compiled(name, size, own.threads) for name in names]
    rows = []
    print(f'{"network":<12} {"weights":>9} {"ms":>8} {"times " + BASELINE:>16}')
    found = median_ms(networks, size, own.rounds)
    for network, ms in zip(networks, found, strict=True):
        row = {
            'network': network.name,
            'image_size': list(size),
            'weights': network.parameters,
            'ms': round(ms, 2),
            f'times_{BASELINE}': round(ms / found[0], 2),
        }
        rows.append(row)
        weights = f'{1e-6 * network.parameters:.2f} M'
        print(f'{network.name:<12} {weights:>9} {ms:>8.1f} {ms / found[0]:>16.1f}')
    if own.out:
        machine = {'machine': describe(), 'threads': own.threads, 'rounds': own.rounds}
        own.out.parent.mkdir(parents=True, exist_ok=True)
        own.out.write_text('\n'.join(json.dumps(row) for row in (machine, *rows)) + '\n')


if __name__ == '__main__':
    main()
