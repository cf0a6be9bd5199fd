# SPDX-License-Identifier: Apache-2.0
"""Which KITTI raw frames belong to which split: the published lists, and rules that make them.

Lists of monodepth2 (splits/*/{train,val,test}_files.txt), frame zero-padded or not, l = camera 2:

    2011_09_26/2011_09_26_drive_0002_sync 0000000069 l

Lists of SfMLearner (data/kitti/): the same test frames, the 28 test scenes, the static frames:

    test_files_eigen.txt     2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png
    test_scenes_eigen.txt    2011_09_26_drive_0117
    static_frames.txt        2011_09_26 2011_09_26_drive_0009_sync 0000000386

| split | frames | list |
|---|---|---|
| Eigen, test | 697 | eigen/test_files.txt or test_files_eigen.txt |
| Eigen benchmark, test | 652 | eigen_benchmark/test_files.txt |
| Eigen-Zhou, train + val | 39810 + 4424 | eigen_zhou/*.txt; together: `eigen_zhou_frames` |
| Eigen, train (stereo) | 45200 | eigen_full/train_files.txt |
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from kd_perception.errors import ConfigError, DatasetError
from training.data.folders import DataSource, check_root, file_names, read_list

LEFT_CAMERA, RIGHT_CAMERA = 2, 3
"""The color cameras: image_02 and image_03."""

KITTI_RAW = DataSource(
    'KITTI raw',
    """
    <date>/calib_cam_to_cam.txt, calib_velo_to_cam.txt
    <date>/<date>_drive_<NNNN>_sync/image_0{2,3}/data/%010d.png (or .jpg)
    <date>/<date>_drive_<NNNN>_sync/velodyne_points/data/%010d.bin       for lidar
    <date>/<date>_drive_<NNNN>_sync/proj_depth/{groundtruth,velodyne_raw}/image_0{2,3}/%010d.png
        for the depth benchmark; also found as {train,val}/<drive>/proj_depth/... of depth_root
    """,
    'register at https://www.cvlibs.net/datasets/kitti/raw_data.php, download "synced+rectified '
    'data" and "calibration" of the drives (and "annotated depth maps" of the depth benchmark), '
    'unpack all below one folder. The first and last frame of a drive have no neighbors: take a '
    'split that leaves them out, or `with_neighbors`.',
)

_SIDES = {'l': LEFT_CAMERA, 'r': RIGHT_CAMERA}
_DRIVE = r'(\d{4}_\d\d_\d\d)/(\1_drive_\d{4}_sync)'
_LINE = re.compile(_DRIVE + r'\s+(\d{1,10})\s+([lr])')
_PATH = re.compile(_DRIVE + r'/image_0([23])/data/(\d{10})\.(?:png|jpg)')


class KittiFrame(NamedTuple):
    """One image of the raw drives.

    Attributes:
        date: such as 2011_09_26.
        drive: such as 2011_09_26_drive_0002_sync.
        number: of the frame in its drive, >= 0.
        camera: 2 (left) or 3 (right).
    """

    date: str
    drive: str
    number: int
    camera: int

    def neighbor(self, offset: int) -> KittiFrame:
        """The frame of the same camera that many frames later; it may not exist."""
        return self._replace(number=self.number + offset)

    def stereo(self) -> KittiFrame:
        """The same moment in the other color camera."""
        return self._replace(camera=LEFT_CAMERA + RIGHT_CAMERA - self.camera)


def read_split(path: Path) -> tuple[KittiFrame, ...]:
    """Frames of a split list of monodepth2 or SfMLearner, in its order.

    Raises:
        DatasetError: the list is missing, has another form, or names a frame twice.
    """
    frames = tuple(_frame(line, path) for line in read_list(path, KITTI_RAW))
    if len(set(frames)) < len(frames):  # 69 and 0000000069 are one frame
        raise DatasetError(f'a split list must name each frame once; {path} does not')
    return frames


def read_scenes(path: Path) -> frozenset[str]:
    """Scenes of a list such as test_scenes_eigen.txt: names of drives without `_sync`.

    Raises:
        DatasetError: the list is missing or has another form.
    """
    lines = read_list(path, KITTI_RAW)
    _require(lines, r'\d{4}_\d\d_\d\d_drive_\d{4}', path)
    return frozenset(lines)


def read_static_frames(path: Path) -> frozenset[tuple[str, int]]:
    """(drive, index) of the frames at which the car stands, from static_frames.txt.

    Raises:
        DatasetError: the list is missing or has another form.
    """
    lines = read_list(path, KITTI_RAW, unique=False)
    _require(lines, r'(\d{4}_\d\d_\d\d) \1_drive_\d{4}_sync \d+', path)
    return frozenset((drive, int(index)) for _, drive, index in map(str.split, lines))


def drive_frames(root: Path | str) -> dict[tuple[str, int], list[int]]:
    """Indices of the images on disk by (drive, camera 2 or 3), in order.

    Raises:
        DatasetError: there is no such folder, or no image in it.
    """
    root = Path(root)
    check_root(root, KITTI_RAW)
    found = {
        (drive.name, camera): _indices(drive / f'image_0{camera}' / 'data')
        for drive in sorted(root.glob('????_??_??/*_drive_????_sync'))
        for camera in _SIDES.values()
    }
    if not any(found.values()):
        raise DatasetError(
            f'{root} must hold raw drives as{KITTI_RAW.layout}\nbut there is no image of one.'
            f'\nHow to get it: {KITTI_RAW.how_to_get}'
        )
    return found


def eigen_zhou_frames(
    drives: Mapping[tuple[str, int], Iterable[int]],
    test_scenes: Collection[str],
    static_frames: Collection[tuple[str, int]],
    *,
    reach: int = 1,
) -> tuple[KittiFrame, ...]:
    """Frames for training on video: all moving ones that have neighbors, of no test scene.

    A neighbor is the image with the next number and may itself be static. With reach 1 and the 61
    drives of the categories city, residential and road these are the 44,234 frames of monodepth2's
    eigen_zhou lists, train and val together. A download with other categories (campus, person,
    calibration) gives more.

    Args:
        drives: of `drive_frames`.
        test_scenes: of `read_scenes`.
        static_frames: of `read_static_frames`.
        reach: neighbors needed on either side, >= 1; 2 for sequences of five.

    Raises:
        ConfigError: reach is below 1.
    """
    if reach < 1:
        raise ConfigError(f'reach must be >= 1, got {reach}')
    frames = (
        KittiFrame(drive[:10], drive, index, camera)
        for (drive, camera), indices in sorted(drives.items())
        if drive.removesuffix('_sync') not in test_scenes
        for index in indices
        if (drive, index) not in static_frames
    )
    return with_neighbors(frames, drives, reach=reach)


def with_neighbors(
    frames: Iterable[KittiFrame],
    drives: Mapping[tuple[str, int], Iterable[int]],
    *,
    reach: int = 1,
) -> tuple[KittiFrame, ...]:
    """Those frames whose neighbors up to `reach` on either side are among the drives' images."""
    there = {key: frozenset(indices) for key, indices in drives.items()}
    offsets = [offset for offset in range(-reach, reach + 1) if offset]
    return tuple(
        frame
        for frame in frames
        if all(frame.number + o in there.get((frame.drive, frame.camera), ()) for o in offsets)
    )


def annotated_frames(depth_root: Path, split: str) -> tuple[KittiFrame, ...]:
    """All frames with ground truth of the depth benchmark, in order.

    Args:
        depth_root: with {train,val}/<drive>/proj_depth/groundtruth/image_0{2,3}/%010d.png.
        split: train or val.

    Raises:
        DatasetError: there is none.
    """
    frames = tuple(
        KittiFrame(folder.parts[-4][:10], folder.parts[-4], index, int(folder.name[-1]))
        for folder in sorted(
            (depth_root / split).glob('*_sync/proj_depth/groundtruth/image_0[23]')
        )
        for index in _indices(folder)
    )
    if not frames:
        raise DatasetError(
            f'{depth_root} must hold {split}/<drive>/proj_depth/groundtruth/image_0{{2,3}}/'
            '%010d.png, but there is none: unpack data_depth_annotated.zip of the KITTI depth '
            'benchmark there (https://www.cvlibs.net/datasets/kitti/eval_depth_all.php)'
        )
    return frames


def _frame(line: str, path: Path) -> KittiFrame:
    if found := _LINE.fullmatch(line):
        date, drive, index, side = found.groups()
        return KittiFrame(date, drive, int(index), _SIDES[side])
    if found := _PATH.fullmatch(line):
        date, drive, camera, index = found.groups()
        return KittiFrame(date, drive, int(index), int(camera))
    raise DatasetError(
        f'a line of a KITTI raw split must be "<date>/<date>_drive_<NNNN>_sync <frame> <l|r>" or '
        f'a path of an image; {path} has {line!r}'
    )


def _require(lines: Iterable[str], pattern: str, path: Path) -> None:
    for line in lines:
        if not re.fullmatch(pattern, line):
            raise DatasetError(f'a line of {path.name} must match {pattern}; {path} has {line!r}')


def _indices(folder: Path) -> list[int]:
    stems = {Path(name).stem for name in file_names(folder) if name.endswith(('.png', '.jpg'))}
    return sorted(int(stem) for stem in stems if re.fullmatch(r'\d{10}', stem))
