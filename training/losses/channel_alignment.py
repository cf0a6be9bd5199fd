# SPDX-License-Identifier: Apache-2.0
"""A layer that gives the student's features as many channels as the teacher's have."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from kd_perception.errors import ConfigError
from training.tensor_checks import check_shape

Form = Literal['norm_relu', 'bare']


class ChannelAlignment(nn.Module):
    """A 1x1 convolution between the student's features and a loss that needs equal channels.

    It is a module of its own: give its parameters to the optimizer of the student, and leave it
    behind after training. The student's weights know nothing of it.

    Args:
        student_channels: >= 1.
        teacher_channels: >= 1.
        form: `norm_relu` is the authors' convolution without bias, batch normalization and ReLU;
            `bare` the convolution without bias alone, as in other codes.

    Raises:
        ConfigError: a number or the form is out of range.

    Reference:
        C. Shu, Y. Liu, J. Gao, Z. Yan, C. Shen, "Channel-Wise Knowledge Distillation for Dense
        Prediction", ICCV 2021.
    """

    def __init__(
        self, student_channels: int, teacher_channels: int, *, form: Form = 'norm_relu'
    ) -> None:
        """Create the layers."""
        super().__init__()
        if min(student_channels, teacher_channels) < 1:
            raise ConfigError(
                'student_channels and teacher_channels must be >= 1, '
                f'received {student_channels} and {teacher_channels}'
            )
        if form not in get_args(Form):
            raise ConfigError(f'form must be one of {list(get_args(Form))}, received {form!r}')
        self.conv = nn.Conv2d(student_channels, teacher_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(teacher_channels) if form == 'norm_relu' else None

    def forward(self, student_features: Tensor) -> Tensor:
        """Map [batch, student channels, height, width] to [batch, teacher channels, ...].

        Raises:
            ShapeError: wrong rank or channels.
        """
        check_shape(
            'student_features', student_features, (None, self.conv.in_channels, None, None)
        )
        y: Tensor = self.conv(student_features)
        if self.norm is not None:
            y = self.norm(y).relu()
        return y
