# SPDX-License-Identifier: Apache-2.0
"""The layout of PASCAL VOC 2012, with what EPS adds to it: image tags and saliency maps.

    VOCdevkit/VOC2012/JPEGImages/<id>.jpg
    VOCdevkit/VOC2012/SegmentationClass/<id>.png       with a palette; 0 to 20, 255 = border
    VOCdevkit/VOC2012/ImageSets/Segmentation/{train,val,trainval,train_aug}.txt
    VOCdevkit/VOC2012/SALImages/<id>.png               saliency, 0 to 255
    VOCdevkit/VOC2012/tags.txt                         lines `<id> <class id> <class id> ...`

Reference:
    M. Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010; S. Lee et al.,
    "Railroad is not a Train", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from kd_perception.frames import ByteImage
from kd_perception.label_sets import VOC21
from kd_perception.uncertainty import IGNORE_INDEX
from kd_perception.world import WorldFrame
from kd_perception.world.classes import CLASS_NAMES
from kd_perception.world_export.layout import Layout, Written, write_lines
from kd_perception.world_export.pictures import Array, write_palette_png, write_picture
from kd_perception.world_export.plan import ExportPlan, Job
from kd_perception.world_export.rendering import single_frames

COUNTERPARTS = {'car': 'car', 'person': 'person', 'bike': 'bicycle'}
"""Class of the set that a class of the world becomes; the others are background."""

ROOT = Path('VOCdevkit', 'VOC2012')

_IDS = {
    CLASS_NAMES.index(name): VOC21.names.index(counterpart)
    for name, counterpart in COUNTERPARTS.items()
}
_BORDER_SHARE = 0.003  # of the width, on either side of an outline


def file_ids_from_world(label: ByteImage, instance: Array) -> ByteImage:
    """Translate class ids of the world to those of VOC, with a border around each object.

    Args:
        label: HxW uint8.
        instance: HxW, object ids: objects of one class have a border between them, too.

    Returns:
        HxW uint8, 0 to 20, and 255 on the border.
    """
    table = np.zeros(256, np.uint8)
    table[list(_IDS)] = list(_IDS.values())
    ids = table[label]
    _, numbers = np.unique(
        np.where(ids > 0, instance.astype(np.int64) + 1, 0), return_inverse=True
    )
    regions = numbers.reshape(label.shape).astype(np.float32) + np.float32(256) * ids
    reach = max(1, round(_BORDER_SHARE * label.shape[1]))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    ids[cv2.dilate(regions, kernel) != cv2.erode(regions, kernel)] = IGNORE_INDEX
    return ids


def write_frame(folder: Path, job: Job, frame: WorldFrame) -> str:
    """Write the files of a frame; returns its line of tags."""
    assert frame.rgb is not None
    name, root = f'2000_{job.number:06d}', folder / ROOT
    label = file_ids_from_world(frame.label, frame.instance)
    write_picture(root / 'JPEGImages' / f'{name}.jpg', frame.rgb)
    write_palette_png(root / 'SegmentationClass' / f'{name}.png', label, VOC21.palette)
    write_picture(root / 'SALImages' / f'{name}.png', frame.saliency)
    tags = sorted(theirs for ours, theirs in _IDS.items() if frame.tags[ours - 1])
    return ' '.join([name, *map(str, tags)])


def finish(folder: Path, plan: ExportPlan, results: Iterator[Written]) -> None:
    """Write the split lists and the tags."""
    names: dict[str, list[str]] = {split: [] for split in plan.splits}
    tags = []
    for job, line in results:
        names[job.split].append(line.partition(' ')[0])
        tags.append(line)
    names['train_aug'] = names.get('train', [])
    names['trainval'] = names.get('train', []) + names.get('val', [])
    for split, lines in names.items():
        if lines:
            write_lines(folder / ROOT / 'ImageSets' / 'Segmentation' / f'{split}.txt', lines)
    write_lines(folder / ROOT / 'tags.txt', tags)


def _jobs(plan: ExportPlan) -> list[Job]:
    return single_frames(plan, ('rgb',))


_LINES = '\n'.join(f'  * {world} -> {theirs}' for world, theirs in COUNTERPARTS.items())

LAYOUT = Layout(
    title='PASCAL VOC 2012',
    splits=('train', 'val', 'shifted'),
    jobs=_jobs,
    write=write_frame,
    finish=finish,
    notes=f"""\
* These are whole street frames with small objects, not the set's photographs of one thing: image
  tags say less about them.
* `tags.txt` names a class only where it has more than a few pixels, so a mask may show a little
  more. `train_aug.txt` is `train.txt`: there are no further masks.
* Saliency is made from the geometry and degraded on purpose; no network took part.
* With `--paired` cones always stand on a hatched patch and bikes beside a rack, as trains do on
  rails.
* Classes, everything else is background (0):
{_LINES}
""",
)
