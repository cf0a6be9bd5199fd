# SPDX-License-Identifier: Apache-2.0
"""KITTI raw drives and the depth benchmark, for monocular, stereo and supervised depth.

    <root>/<date>/calib_cam_to_cam.txt, calib_velo_to_cam.txt
    <root>/<date>/<date>_drive_<NNNN>_sync/
        image_02/data/%010d.png          left color camera, or .jpg after monodepth2's conversion
        image_03/data/%010d.png          right color camera
        velodyne_points/data/%010d.bin   float32 x, y, z, reflectance
        proj_depth/groundtruth/image_0{2,3}/%010d.png     uint16, meters = value / 256, 0 = none
        proj_depth/velodyne_raw/image_0{2,3}/%010d.png    the benchmark's sparse input, the same

The depth benchmark may also stay as its archives unpack: <depth_root>/{train,val}/<drive>/
proj_depth/.... Images are rectified, of about 375x1242; sizes differ by a few pixels per date.
Splits: training/data/kitti_splits.py. The Garg crop belongs to the metrics.

    frames = read_split(lists / 'eigen' / 'test_files.txt')
    test = KittiRaw(root, frames, views=('eigen_target',))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from training.data.folders import Frames, check_files, check_views, file_names
from training.data.images import KITTI_STEPS_PER_M, check_sizes, read_depth_m, read_rgb
from training.data.kitti_calibration import read_raw_calibration
from training.data.kitti_lidar import eigen_depth_m, lidar_depth_m, read_velodyne
from training.data.kitti_splits import KITTI_RAW, KittiFrame

Array = npt.NDArray[Any]

VIEWS = ('previous', 'next', 'right', 'lidar', 'eigen_target', 'target', 'sparse')
"""What may be asked for beside the image."""

_DEPTH_FOLDERS = {'target': 'groundtruth', 'sparse': 'velodyne_raw'}
_SCAN_DEPTHS = {'lidar': lidar_depth_m, 'eigen_target': eigen_depth_m}


class KittiSample(NamedTuple):
    """A frame with the views that were asked for; the others are None.

    Attributes:
        frame: which one.
        rgb: uint8 [h, w, 3].
        camera_matrix: float64 [3, 3].
        right_from_camera: float64 [4, 4], points of this camera's frame -> other color camera's.
        baseline_m: how far the other color camera stands along +X of this one; negative for
            camera 3, whose `right` is the left one.
        previous, next: uint8 [h, w, 3], one frame earlier and later by the same camera.
        right: uint8 [h, w, 3], the other color camera at the same moment.
        lidar_m: float32 [h, w], z of the camera's frame in meters, 0 = no return.
        eigen_target_m: float32 [h, w], ground truth of the Eigen protocol, 0 = none.
        target_m: float32 [h, w], ground truth of the depth benchmark, 0 = none.
        sparse_m: float32 [h, w], the benchmark's sparse input, 0 = none.
    """

    frame: KittiFrame
    rgb: Array
    camera_matrix: Array
    right_from_camera: Array
    baseline_m: float
    previous: Array | None = None
    next: Array | None = None
    right: Array | None = None
    lidar_m: Array | None = None
    eigen_target_m: Array | None = None
    target_m: Array | None = None
    sparse_m: Array | None = None


class KittiRaw(Frames[KittiSample]):
    """Frames of the raw drives.

    Args:
        root: folder with the dates.
        frames: of `kitti_splits.read_split`, `eigen_zhou_frames` or `annotated_frames`.
        views: of VIEWS.
        depth_root: of the depth benchmark; the root itself if not given.

    Raises:
        ConfigError: a view is unknown, or there is no frame.
        DatasetError: a file that the frames and the views need is missing, or a calibration is
            damaged.
    """

    def __init__(
        self,
        root: Path | str,
        frames: Sequence[KittiFrame],
        *,
        views: Sequence[str] = (),
        depth_root: Path | str | None = None,
    ) -> None:
        if not frames:
            raise ConfigError('a split must have at least one frame')
        self.root, self.frames, self.views = Path(root), tuple(frames), check_views(views, VIEWS)
        self._depth_root = Path(depth_root or root)
        drives = {(frame.date, frame.drive) for frame in self.frames}
        self._suffixes = {drive: _suffix(self.root / '/'.join(drive)) for drive in drives}
        self._depths_in = {drive: _depth_folder(self._depth_root, *drive) for drive in drives}
        check_files(self.root, self._files(), KITTI_RAW)
        check_files(self._depth_root, self._depth_files(), KITTI_RAW)
        dates = sorted({date for date, _ in drives})
        self.calibrations = {date: read_raw_calibration(self.root / date) for date in dates}

    def __len__(self) -> int:
        return len(self.frames)

    def name_of(self, index: int) -> str:
        """Path of a frame's image below the root, without its ending."""
        return self._image_file(self.frames[index]).rpartition('.')[0]

    def _read(self, index: int) -> KittiSample:
        frame = self.frames[index]
        calibration, other = self.calibrations[frame.date], frame.stereo().camera
        rgb = self._image(frame)
        self._require_size(frame, rgb)
        views = self._images(frame) | self._depths(frame) | self._scans(frame)
        check_sizes(self.root / self._image_file(frame), {'rgb': rgb} | views)
        return KittiSample(
            frame,
            rgb,
            calibration.camera_matrix(frame.camera),
            calibration.other_from_camera(other, frame.camera),
            calibration.baseline_m(frame.camera, other),
            **views,
        )

    def _files(self) -> Iterator[str]:
        """Paths below the root that the frames and the views need."""
        for date in sorted({frame.date for frame in self.frames}):
            yield f'{date}/calib_cam_to_cam.txt'
            yield f'{date}/calib_velo_to_cam.txt'
        for frame in self.frames:
            yield self._image_file(frame)
            yield from (self._image_file(other) for other in self._others(frame).values())
            if {'lidar', 'eigen_target'} & {*self.views}:
                yield _scan_file(frame)

    def _depth_files(self) -> Iterator[str]:
        views = [view for view in _DEPTH_FOLDERS if view in self.views]
        return (self._depth_file(frame, view) for frame in self.frames for view in views)

    def _others(self, frame: KittiFrame) -> dict[str, KittiFrame]:
        others = {
            'previous': frame.neighbor(-1),
            'next': frame.neighbor(1),
            'right': frame.stereo(),
        }
        return {view: other for view, other in others.items() if view in self.views}

    def _images(self, frame: KittiFrame) -> dict[str, Array]:
        return {view: self._image(other) for view, other in self._others(frame).items()}

    def _depths(self, frame: KittiFrame) -> dict[str, Array]:
        return {
            f'{view}_m': read_depth_m(
                self._depth_root / self._depth_file(frame, view), KITTI_STEPS_PER_M
            )
            for view in _DEPTH_FOLDERS
            if view in self.views
        }

    def _scans(self, frame: KittiFrame) -> dict[str, Array]:
        wanted = [view for view in _SCAN_DEPTHS if view in self.views]
        points = read_velodyne(self.root / _scan_file(frame)) if wanted else np.empty((0, 4))
        calibration, camera = self.calibrations[frame.date], frame.camera
        return {
            f'{view}_m': _SCAN_DEPTHS[view](points, calibration, camera, calibration.sizes[camera])
            for view in wanted
        }

    def _image(self, frame: KittiFrame) -> Array:
        return read_rgb(self.root / self._image_file(frame))

    def _image_file(self, frame: KittiFrame) -> str:
        suffix = self._suffixes[frame.date, frame.drive]
        folder = f'{frame.date}/{frame.drive}/image_0{frame.camera}/data'
        return f'{folder}/{frame.number:010d}{suffix}'

    def _depth_file(self, frame: KittiFrame, view: str) -> str:
        folder = f'{self._depths_in[frame.date, frame.drive]}/proj_depth/{_DEPTH_FOLDERS[view]}'
        return f'{folder}/image_0{frame.camera}/{frame.number:010d}.png'

    def _require_size(self, frame: KittiFrame, image: Array) -> None:
        size = self.calibrations[frame.date].sizes[frame.camera]
        if image.shape[:2] != size:
            raise DatasetError(
                f'{self._image_file(frame)} must be of {size[0]}x{size[1]} pixels as its '
                f'calibration says; it has {image.shape[0]}x{image.shape[1]}: intrinsics and '
                'lidar would not fit. Use the images as downloaded, not resized.'
            )


def _scan_file(frame: KittiFrame) -> str:
    return f'{frame.date}/{frame.drive}/velodyne_points/data/{frame.number:010d}.bin'


def _suffix(drive: Path) -> str:
    """Of a drive's images: .jpg only where monodepth2's conversion left no .png."""
    names = [name for camera in (2, 3) for name in file_names(drive / f'image_0{camera}/data')]
    jpg = any(name.endswith('.jpg') for name in names)
    return '.jpg' if jpg and not any(name.endswith('.png') for name in names) else '.png'


def _depth_folder(depth_root: Path, date: str, drive: str) -> str:
    """Where a drive's maps of the depth benchmark are: in the raw drive, or as unpacked."""
    places = [f'{place}/{drive}' for place in (date, 'train', 'val')]
    return next((p for p in places if (depth_root / p / 'proj_depth').is_dir()), places[0])
