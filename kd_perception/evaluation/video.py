# SPDX-License-Identifier: Apache-2.0
"""Write a video of predictions with the encoder that OpenCV brings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from kd_perception.errors import BagError
from kd_perception.frames import ByteImage

# H.264 plays in every browser, but OpenCV's wheels bring no encoder for it; builds of Linux
# distributions do. MPEG-4 part 2 is always there and plays in VLC, mpv and most desktop players.
CODECS = {'avc1': 'H.264', 'mp4v': 'MPEG-4 part 2'}

_RATES_HZ = (1.0, 120.0)
_UNKNOWN_RATE_HZ = 10.0
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class OverlayVideo:
    """Writes pictures side by side.

    Use it as a context manager. The file appears under its name when it is complete.

    Args:
        path: File to write, ``.mp4``.
        rate_hz: Frames per second of the recording; limited to 1 to 120.

    Attributes:
        codec: Name of the codec in use; empty before the first frame.
        frame_count: Frames written.
    """

    def __init__(self, path: Path, rate_hz: float) -> None:
        self.path = path
        self.codec = ''
        self.frame_count = 0
        self._rate_hz = float(np.clip(rate_hz if rate_hz > 0 else _UNKNOWN_RATE_HZ, *_RATES_HZ))
        self._partial = path.with_name(f'.{path.stem}.partial{path.suffix}')
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def __enter__(self) -> OverlayVideo:
        """Do nothing yet: the first frame decides the size."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Complete the file, or delete what was written if the block failed."""
        if self._writer is None:
            return
        self._writer.release()
        if exc_type is None:
            self._partial.replace(self.path)
        self._partial.unlink(missing_ok=True)

    def write(self, pictures: Sequence[ByteImage], caption: str) -> None:
        """Add a frame; one of another size is scaled to that of the first.

        Args:
            pictures: Of the frame, HxWx3 uint8 RGB of one height.
            caption: Plain ASCII text at the bottom left.

        Raises:
            BagError: No encoder works, or the folder cannot be written.
        """
        picture = cv2.cvtColor(np.concatenate(pictures, axis=1), cv2.COLOR_RGB2BGR)
        if self._writer is None:
            self._size = (picture.shape[1], picture.shape[0])
            self._writer = self._open()
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size)
        self._writer.write(_captioned(picture, caption))
        self.frame_count += 1

    def _open(self) -> cv2.VideoWriter:
        # Trying encoders writes to stderr what is of no use to anybody.
        os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
        level = _set_log_level(0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for code, name in CODECS.items():
                fourcc = int.from_bytes(code.encode(), 'little')
                writer = cv2.VideoWriter(str(self._partial), fourcc, self._rate_hz, self._size)
                if writer.isOpened():
                    self.codec = name
                    return writer
        except OSError as error:
            raise BagError(f'The video {self.path} cannot be written: {error}') from error
        finally:
            _set_log_level(level)
        raise BagError(
            f'OpenCV must write {self.path} in {" or ".join(CODECS.values())}; neither works.'
        )


def _set_log_level(level: int) -> int:
    """Set OpenCV's log level and return the one before; older releases cannot."""
    if not hasattr(cv2.utils, 'logging'):
        return level
    return int(cv2.utils.logging.setLogLevel(level))


def _captioned(picture: cv2.typing.MatLike, caption: str) -> cv2.typing.MatLike:
    place = (8, picture.shape[0] - 8)
    cv2.putText(picture, caption, place, _FONT, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, caption, place, _FONT, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return picture
