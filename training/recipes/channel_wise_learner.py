# SPDX-License-Identifier: Apache-2.0
"""A network with all that learns beside it, as one module that gives the terms of a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kd_perception.errors import ConfigError
from training.distributed import LaunchConfig, device_kind, process_count
from training.joined_optimizer import JoinedOptimizer
from training.losses import (
    ChannelAlignment,
    Discriminator,
    DiscriminatorConfig,
    MeanCount,
    discriminator_loss,
    holistic_loss,
)
from training.optimization import RATE_SCALE, OptimizerConfig, create_optimizer
from training.recipes.channel_wise_networks import Maps, NetworkConfig, Segmenter
from training.recipes.channel_wise_terms import Given, TermConfig, loss_of, of_equal_size

_ADAM_BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class OpponentConfig:
    """The discriminator of `holistic` terms; the defaults are those of the authors' code.

    Args:
        base_width: as of `DiscriminatorConfig`.
        levels: as of `DiscriminatorConfig`; 4 in the code, for maps of 65x65.
        weight: of what it minimizes, above 0.
        penalty_weight: of the gradient penalty in that, >= 0.
        learning_rate: of its Adam at the start of the student's schedule, which it follows; above
            0.

    Raises:
        ConfigError: a value is out of range.
    """

    base_width: int = 64
    levels: int = 4
    weight: float = 0.1
    penalty_weight: float = 10.0
    learning_rate: float = 4.0e-4

    def __post_init__(self) -> None:
        """Check ranges."""
        if min(self.weight, self.learning_rate) <= 0.0 or self.penalty_weight < 0.0:
            raise ConfigError(
                'weight and learning_rate must be above 0 and penalty_weight >= 0, got '
                f'{self.weight}, {self.learning_rate} and {self.penalty_weight}'
            )
        self.sizes(1)

    def sizes(self, channels: int) -> DiscriminatorConfig:
        """Sizes of the network for maps of so many channels."""
        return DiscriminatorConfig(channels, self.base_width, self.levels)

    def check(self, map_size: tuple[int, int], launch: LaunchConfig) -> None:
        """Refuse maps that are too small, and several GPUs.

        Torch's `SyncBatchNorm` has no second derivative, which the gradient penalty needs.

        Args:
            map_size: (height, width) of what it will see.
            launch: of the run.

        Raises:
            ConfigError: a level is too many, or a process more than one has a GPU.
        """
        least = self.sizes(1).least_size
        if min(map_size) < least:
            raise ConfigError(
                f'maps that a discriminator of {self.levels} levels sees must be at least '
                f'{least}x{least}, got {map_size[0]}x{map_size[1]}: lower opponent.levels, or '
                'raise the size of augmentation.view'
            )
        processes = process_count(launch)
        if processes > 1 and device_kind(launch) == 'cuda':
            raise ConfigError(
                f'a holistic term must be trained by one GPU, or by processes without, got '
                f'{processes} processes on GPUs: set launch.devices to 1, or launch.accelerator '
                'to cpu'
            )


class Learner(nn.Module):
    """A student, alignment layers and discriminators; without terms a network that labels teach.

    Everything is computed in `forward`, so that processes average the gradients of all parts. The
    student is built first: its first weights do not depend on the terms.

    Args:
        own: network that learns.
        terms: what it learns from the teacher.
        teacher: of these terms; its channels matter.
        opponent: of `holistic` terms.
        num_classes: of the label set.
        weight: of the classes [classes], or None for equal ones.
    """

    weight: Tensor | None

    def __init__(
        self,
        own: NetworkConfig,
        terms: tuple[TermConfig, ...] = (),
        *,
        teacher: NetworkConfig,
        opponent: OpponentConfig,
        num_classes: int,
        weight: Tensor | None,
    ) -> None:
        """Build all parts."""
        super().__init__()
        self.segmenter = Segmenter(own, num_classes)
        self.terms, self.opponent, self.num_classes = terms, opponent, num_classes
        self.register_buffer('weight', weight, persistent=False)
        channels = {'logits': num_classes, 'features': teacher.feature_channels}
        self.alignments = nn.ModuleDict(
            {
                term.name: ChannelAlignment(
                    own.feature_channels,
                    teacher.feature_channels,
                    form=term.alignment,  # type: ignore[arg-type]
                )
                for term in terms
                if term.alignment != 'none'
            }
        )
        self.discriminators = nn.ModuleDict(
            {
                term.name: Discriminator(opponent.sizes(channels[term.at]))
                for term in terms
                if term.loss == 'holistic'
            }
        )

    def forward(
        self,
        images: Tensor,
        labels: Tensor,
        mix: Tensor,
        taught: Maps | None = None,
        mean_count: MeanCount | None = None,
    ) -> dict[str, Tensor]:
        """The weighted terms of a step.

        Args:
            images: float [batch, channels, height, width], what the network sees.
            labels: int64 [batch, height, width], 255 is ignored.
            mix: of the gradient penalty [batch], 0 to 1.
            taught: maps of the teacher; needed where there are terms.
            mean_count: over the processes that share the batch, see `training.losses.counts`.
        """
        maps: Maps = self.segmenter(images)
        values = self.segmenter.label_terms(maps, labels, self.weight, mean_count=mean_count)
        for term in self.terms:
            assert taught is not None
            student, teacher = self.compared(term, maps, taught)
            given = Given(labels, self.num_classes, self.weight, taught.logits, mean_count)
            values[term.name] = term.weight * self.imitation(term, student, teacher, given)
            if term.name in self.discriminators:
                values[f'{term.name}_discriminator'] = self.opponent.weight * discriminator_loss(
                    self.discriminators[term.name],
                    student,
                    teacher,
                    penalty_weight=self.opponent.penalty_weight,
                    mix=mix,
                )
        return values

    def compared(self, term: TermConfig, maps: Maps, taught: Maps) -> tuple[Tensor, Tensor]:
        """What a term compares: the student's map, aligned and resized, and the teacher's."""
        student, teacher = getattr(maps, term.at), getattr(taught, term.at)
        if term.name in self.alignments:
            student = self.alignments[term.name](student)
        return of_equal_size(student, teacher), teacher

    def imitation(
        self, term: TermConfig, student: Tensor, teacher: Tensor, given: Given
    ) -> Tensor:
        """The loss of a term without its weight; both maps as `compared` gives them."""
        if term.loss == 'holistic':
            return holistic_loss(self.discriminators[term.name], student)
        return loss_of(term, student, teacher, given)


def new_optimizer(learner: Learner, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer of a student and its alignment layers, joined with Adam of discriminators."""
    own = [*learner.segmenter.parameters(), *learner.alignments.parameters()]
    optimizer = create_optimizer(own, config)
    opponents = list(learner.discriminators.parameters())
    if not opponents:
        return optimizer
    rate = learner.opponent.learning_rate
    group = {'params': opponents, RATE_SCALE: rate / config.learning_rate}
    adam = torch.optim.Adam([group], lr=rate, betas=_ADAM_BETAS)
    return JoinedOptimizer((optimizer, adam))
