# SPDX-License-Identifier: Apache-2.0
"""Names and places of the files of Cityscapes."""

from __future__ import annotations

import pytest

from kd_perception.errors import DatasetError
from training.data.cityscapes_tree import (
    IMAGE_END,
    file_of,
    names_in,
    neighbor_name,
    sequence_and_number,
)


def test_names_of_neighbors_keep_their_form():
    assert neighbor_name('aachen_000000_000004', -2) == 'aachen_000000_000002'
    assert neighbor_name('bad-honnef_000001_000099', 1) == 'bad-honnef_000001_000100'
    assert sequence_and_number('ulm_000003_000019') == ('ulm_000003', 19)


@pytest.mark.parametrize('name', ['ulm_3_19', 'ulm_000003', '000003_000019', 'ulm_000003_0000190'])
def test_other_names_are_refused(name):
    with pytest.raises(DatasetError, match=f'got {name}'):
        sequence_and_number(name)


def test_names_are_found_where_their_files_are(tmp_path):
    names = {'ulm_000003_000019', 'jena_000001_000024'}
    for name in names:
        path = tmp_path / file_of('leftImg8bit', 'val', name, IMAGE_END)
        assert path.parent.name == name.split('_')[0]
        path.parent.mkdir(parents=True)
        path.touch()
        path.with_name('README.txt').touch()
    assert names_in(tmp_path, 'leftImg8bit', 'val', IMAGE_END) == names
    assert names_in(tmp_path, 'leftImg8bit', 'train', IMAGE_END) == set()
