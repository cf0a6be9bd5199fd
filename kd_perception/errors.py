# SPDX-License-Identifier: Apache-2.0
"""The errors that this package raises on purpose.

A message says what must hold, what was received and what to do about it. The node and the command
line catch :class:`KdPerceptionError` only; anything else is a defect of the package.
"""


class KdPerceptionError(Exception):
    """Base of every error that the package raises on purpose."""


class ConfigError(KdPerceptionError):
    """A setting is out of range, unknown or contradicts another one."""


class ImageEncodingError(KdPerceptionError):
    """An image buffer does not hold what its header says, or its encoding is not supported."""


class ShapeError(KdPerceptionError):
    """An array has the wrong number of dimensions, size or type."""


class BundleError(KdPerceptionError):
    """A student bundle is missing, damaged, unsafe or of another format."""


class BackendError(KdPerceptionError):
    """An inference backend or device is not available, or the network cannot run on it."""


class BagError(KdPerceptionError):
    """A bag cannot be read or written."""


class DatasetError(KdPerceptionError):
    """A data set on disk is missing, incomplete or not laid out as its loader expects."""
