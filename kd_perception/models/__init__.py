# SPDX-License-Identifier: Apache-2.0
"""Networks in PyTorch: used by training and the torch backend, not on a node's default path."""

from kd_perception.models.rep_unet import RepUNet, RepUNetConfig, build_network

__all__ = ['RepUNet', 'RepUNetConfig', 'build_network']
