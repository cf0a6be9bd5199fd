# SPDX-License-Identifier: Apache-2.0
"""Where the files of Cityscapes lie and what their names say.

<root>/<folder>/<split>/<city>/<name><end>, <name> = <city>_<sequence>_<frame>
"""

from __future__ import annotations

import re
from pathlib import Path

from kd_perception.errors import DatasetError
from training.data.folders import DataSource, file_names

SOURCE = DataSource(
    'Cityscapes',
    """
    leftImg8bit/{train,val,test}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    gtFine/<split>/<city>/<...>_gtFine_labelIds.png or _gtFine_labelTrainIds.png     for labels
    gtFine/<split>/<city>/<...>_gtFine_instanceIds.png                               for instances
    disparity/<split>/<city>/<...>_disparity.png                                     for disparity
    camera/<split>/<city>/<...>_camera.json                             for disparity and camera
    rightImg8bit/<split>/<city>/<...>_rightImg8bit.png                               for right
    leftImg8bit_sequence/<split>/<city>/<...>_leftImg8bit.png           for previous and next
    """,
    'register at https://www.cityscapes-dataset.com, download leftImg8bit_trainvaltest, '
    'gtFine_trainvaltest, disparity_trainvaltest, camera_trainvaltest, '
    'rightImg8bit_trainvaltest or leftImg8bit_sequence_trainvaltest (.zip) as needed, unpack all '
    'in one folder.',
)

IMAGE_END, CAMERA_END = '_leftImg8bit.png', '_camera.json'
SEQUENCE_FOLDER = 'leftImg8bit_sequence'

_NAME = re.compile(r'((.+)_\d{6})_(\d{6})')


def file_of(folder: str, split: str, name: str, end: str) -> str:
    """Path below the root."""
    return f'{folder}/{split}/{name.rsplit("_", 2)[0]}/{name}{end}'


def names_in(root: Path, folder: str, split: str, end: str) -> set[str]:
    """Names of all files of a folder with that ending, of all cities."""
    cities = root / folder / split
    files = (file for city in file_names(cities) for file in file_names(cities / city, end))
    return {file.removesuffix(end) for file in files}


def sequence_and_number(name: str) -> tuple[str, int]:
    """<city>_<sequence>, and the number of the frame.

    Raises:
        DatasetError: the name is not <city>_<sequence>_<frame>.
    """
    found = _NAME.fullmatch(name)
    if not found:
        raise DatasetError(
            f'a Cityscapes image must be named <city>_<sequence>_<frame>{IMAGE_END} with six '
            f'digits each, got {name}'
        )
    return found[1], int(found[3])


def neighbor_name(name: str, offset: int) -> str:
    """Name of the video frame that many frames later in the same sequence.

    Raises:
        DatasetError: the name is not <city>_<sequence>_<frame>.
    """
    sequence, number = sequence_and_number(name)
    return f'{sequence}_{number + offset:06d}'
