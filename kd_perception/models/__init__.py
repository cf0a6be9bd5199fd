# SPDX-License-Identifier: Apache-2.0
"""Networks in PyTorch: used by training and the torch backend, not on a node's default path."""

from kd_perception.models.architectures import (
    LogDepthAndSigma,
    LogitsOnly,
    build_network,
    build_trainable_network,
)
from kd_perception.models.cenet import CENet, CENetConfig, CENetOutput
from kd_perception.models.class_maps import ClassMapConfig, ClassMapNet, ClassMapOutput
from kd_perception.models.deeplab import DeepLab, DeepLabConfig, DeepLabOutput
from kd_perception.models.eknet import EKNet, EKNetConfig, EKNetOutput
from kd_perception.models.hrnet import HRNet, HRNetConfig, HRNetOutput
from kd_perception.models.monodepth_unet import (
    MonodepthOutput,
    MonodepthUNet,
    MonodepthUNetConfig,
)
from kd_perception.models.pose_network import Motion, PoseNetwork, PoseNetworkConfig
from kd_perception.models.pspnet import PSPNet, PSPNetConfig, PSPNetOutput
from kd_perception.models.rep_unet import RepUNet, RepUNetConfig
from kd_perception.models.resnet38 import ResNet38, ResNet38Config

__all__ = [
    'CENet',
    'CENetConfig',
    'CENetOutput',
    'ClassMapConfig',
    'ClassMapNet',
    'ClassMapOutput',
    'DeepLab',
    'DeepLabConfig',
    'DeepLabOutput',
    'EKNet',
    'EKNetConfig',
    'EKNetOutput',
    'HRNet',
    'HRNetConfig',
    'HRNetOutput',
    'LogDepthAndSigma',
    'LogitsOnly',
    'MonodepthOutput',
    'MonodepthUNet',
    'MonodepthUNetConfig',
    'Motion',
    'PSPNet',
    'PSPNetConfig',
    'PSPNetOutput',
    'PoseNetwork',
    'PoseNetworkConfig',
    'RepUNet',
    'RepUNetConfig',
    'ResNet38',
    'ResNet38Config',
    'build_network',
    'build_trainable_network',
]
