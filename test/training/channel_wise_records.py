# SPDX-License-Identifier: Apache-2.0
"""Records of channel-wise distillation made by hand, for the tests of its tables."""

from __future__ import annotations

from training.records import write_record

KEYS = {'train': 'a', 'validation': 'b'}
WEIGHT = 12.5
SCORES = {
    'alone': (0.20, 0.22, 0.21),
    'cwd_logits': (0.25, 0.26),
    'cwd_features': (0.24, 0.28),
    'at_features': (0.19,),
}


def by_size(miou):
    """One group with things and parts, one with parts alone, one without any."""
    own = {'recall': miou, 'things': 3, 'precision': miou / 2, 'parts': 5}
    parts = {'recall': None, 'things': 0, 'precision': 0.1, 'parts': 2}
    none = {'recall': None, 'things': 0, 'precision': None, 'parts': 0}
    return {
        group: {**values, 'by_class': {'car': values, 'person': none}}
        for group, values in (('1-8', own), ('9-16', parts), ('17-', none))
    }


def report(miou):
    names = ('miou_nanmean', 'miou_frequent', 'macc_nanmean', 'boundary_f_3px')
    scores = {**dict.fromkeys(names, miou), 'miou_rare': None, 'iou': {'car': miou, 'bump': None}}
    validation = dict.fromkeys(names, miou + 0.1)
    return {'validation': validation, 'test': {**scores, 'by_size': by_size(miou)}}


def terms_of(name):
    if name in ('alone', 'teacher'):
        return []
    loss = {'cwd': 'channel_wise', 'at': 'attention_transfer'}.get(name.split('_')[0])
    options = {'temperature': 4.0} if loss == 'channel_wise' else {}
    return [
        {'loss': loss, 'at': name.split('_')[-1], 'weight': WEIGHT, 'alignment': 'none',
         'options': options}
    ]  # fmt: skip


def record(name, seed, miou, role='student'):
    return {
        'name': name,
        'seed': seed,
        'metrics': {role: report(miou)},
        'frame_keys': {**KEYS, 'test': 'c'},
        'config': {'terms': terms_of(name), 'train': {'count': 1500}},
    }


def tried(*values):
    """What shorter runs of a ratio score, by seed from 100 on."""
    scores = {str(100 + k): {'miou_nanmean': value} for k, value in enumerate(values)}
    mean = None if None in values else sum(values) / len(values)
    return {'miou_nanmean': mean, 'by_seed': scores}


def tuning(name):
    (term,) = terms_of(name)
    return {
        'name': name,
        'seeds': [100, 101],
        'steps': 500,
        'tried': {'0.1': tried(0.19, 0.21), '0.5': tried(0.9, None), '0.02': tried(0.1, 0.1)},
        'chosen': '0.1',
        'weights': {f'{term["loss"]}_{term["at"]}': WEIGHT},
        'frame_keys': KEYS,
        'config': {'terms': [{**term, 'weight': 3.0}], 'train': {'count': 1500}},
    }


def write_results(folder):
    for name, values in SCORES.items():
        for seed, value in enumerate(values):
            write_record(folder / f'{name}_seed{seed}.json', record(name, seed, value))
    teacher = record('teacher', 0, 0.4, role='teacher')
    write_record(folder / 'teacher_seed0.json', teacher)
    write_record(folder / 'tuning' / 'cwd_logits.json', tuning('cwd_logits'))
    return folder
