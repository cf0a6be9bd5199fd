# SPDX-License-Identifier: Apache-2.0
"""Inference costs nothing more: the graph of a student that learnt with boundaries is its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from inverse_form_runs import STUDENT, tiny_run

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import ConfigError
from kd_perception.models import LogitsOnly, RepUNet
from training.data.modality import CHANNELS
from training.deployment import deployable
from training.distributed import launch
from training.inverse_form_export import export_student, model_card
from training.losses import class_weights
from training.recipes import inverse_form
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_data import class_shares
from training.recipes.inverse_form_students import NETWORKS, new_student, without_head
from training.settings import load_config
from training.student_files import onnx_from_network

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxscript')

SHIPPED = Path(inverse_form.__file__).parents[1] / 'configs/inverse_form/thermal_seg_s.yaml'
PLAIN = {'boundary_weight': 0.0, 'attention_weight': 0.0, 'inverse_form_weight': 0.0}


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Configurations of a run with all terms and of one without boundaries, both trained."""
    folder = tmp_path_factory.mktemp('export')
    loop = replace(STUDENT.loop, steps=2)
    found = {}
    for name, changes in (('full', {}), ('none', PLAIN)):
        student = replace(STUDENT, loop=loop, **changes)
        config = tiny_run(
            folder, folder / 'world', name=name, student=student, prior_correction=0.5
        )
        fabric = launch(config.launch)
        inverse_form.run_stages(config, fabric)
        found[name] = config
    return found


def deployed(config):
    weight = class_weights(class_shares(config))
    return inverse_form.deployable_network(inverse_form.build(config), config, weight)


@pytest.fixture(scope='module')
def graphs(runs):
    """The graph of each run as it is written."""
    return {name: onnx_from_network(deployed(config), (64, 64)) for name, config in runs.items()}


def structure(model):
    """Everything of a graph but the numbers."""
    graph = model.graph
    shapes = {each.name: (tuple(each.dims), each.data_type) for each in graph.initializer}
    nodes = [
        (node.op_type, tuple(node.input), tuple(node.output), [a.name for a in node.attribute])
        for node in graph.node
    ]
    ends = [[each.name for each in part] for part in (graph.input, graph.output)]
    return nodes, shapes, ends


def test_graphs_with_and_without_boundaries_are_equal_but_for_their_weights(graphs):
    full, none = (onnx.load_model_from_string(graphs[name]) for name in ('full', 'none'))
    assert structure(full) == structure(none)
    assert [each.name for each in full.graph.output] == ['logits']
    kinds = Counter(node.op_type for node in full.graph.node)
    assert kinds['Conv'] == 16 and 'Sigmoid' not in kinds
    weights = [
        {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
        for model in (full, none)
    ]
    assert any(not np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_graph_is_that_of_the_network_alone(runs, graphs):
    """As if there had never been a head: the same bytes as of a network with these weights."""
    network = deployed(runs['full'])
    assert isinstance(network, RepUNet)
    student = inverse_form.tested_student(inverse_form.build(runs['full'])).student
    alone = RepUNet(student.config)
    alone.load_state_dict(student.state_dict())
    folded = alone.eval().folded()
    weight = class_weights(class_shares(runs['full']))
    with torch.no_grad():
        folded.head.bias -= 0.5 * (weight / weight.min()).log()
    torch.testing.assert_close(dict(network.state_dict()), dict(folded.state_dict()))
    folded.load_state_dict(network.state_dict())
    assert onnx_from_network(folded, (64, 64)) == graphs['full']


@pytest.mark.parametrize(
    ('architecture', 'preset', 'modality'),
    [
        ('rep_unet', 'rep_unet_s', 'thermal'),
        ('eknet', 'tiny', 'thermal'),
        ('cenet', 'tiny', 'rgb'),
        ('hrnet', 'tiny', 'rgb'),
        ('pspnet', 'tiny', 'thermal'),
    ],
)
def test_no_student_takes_its_head_along(tmp_path, architecture, preset, modality):
    """Its graph is, byte by byte, that of the network built without a head."""
    student = replace(STUDENT, architecture=architecture, network=preset)
    config = tiny_run(tmp_path, tmp_path, modality=modality, student=student)
    learnt = new_student(config)
    alone = NETWORKS[architecture](config)
    alone.load_state_dict(learnt.student.state_dict())
    alone = (
        deployable(alone.eval(), None, 0.0) if architecture == 'rep_unet' else LogitsOnly(alone)
    )
    one, other = (
        onnx_from_network(network.eval(), (64, 64), channels=CHANNELS[modality])
        for network in (without_head(learnt, None, 0.0), alone)
    )
    assert one == other
    graph = onnx.load_model_from_string(one).graph
    assert [each.name for each in graph.output] == ['logits']


def test_the_bundle_runs_on_the_robot(runs, tmp_path):
    digest = export_student(runs['full'], tmp_path / 'student')
    student = load_student(tmp_path / 'student', sha256=digest)
    assert student.spec.image_size == (64, 64) and student.spec.output_shape == (1, 9, 16, 16)
    assert student.spec.provenance['recipe'] == 'inverse_form'
    image = np.random.default_rng(0).random((1, 1, 64, 64), dtype=np.float32)
    network = deployed(runs['full'])
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    for kind in ('openvino', 'torch'):
        options = {'precision': 'fp32'} if kind == 'openvino' else {}
        backend = create_backend(student, backend=kind, device='cpu', **options)
        np.testing.assert_allclose(backend.infer(image), expected, atol=1e-3)
    card = (tmp_path / 'student' / 'MODEL_CARD.md').read_text()
    assert (
        'boundary 0.3, edge attention 0.1, InverseForm 0.3' in card
        and '2 steps' in card.replace('\n', ' ')
    )


def test_the_card_says_where_the_student_started(runs):
    report = {
        'synthetic_test': {'boundary_f_3px': None, 'miou_nanmean': 0.5},
        'calibration': {'temperature': 1.2},
    }
    card = model_card(runs['full'], report, 2)
    assert '| Learnt from | 12 synthetic frames |\n| Terms | segmentation 1,' in card
    shipped = load_config(InverseFormConfig, ['--config_path', str(SHIPPED), '--seed', '2'])
    card = model_card(shipped, report, 3200)
    start = 'averaged weights of the run in `runs/supervised/thermal_seg_s/seed2`'
    assert f'| Started from | {start} |\n| Terms | compress terms 1,' in card


def test_what_no_bundle_can_hold_is_refused(runs, tmp_path):
    with pytest.raises(ConfigError, match='must see thermal images'):
        export_student(replace(runs['full'], modality='rgb'), tmp_path)
    with pytest.raises(ConfigError, match='train this run first'):
        export_student(replace(runs['full'], output=tmp_path), tmp_path)
