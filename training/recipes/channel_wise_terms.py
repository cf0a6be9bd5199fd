# SPDX-License-Identifier: Apache-2.0
"""What a student may learn from a teacher's maps: channel-wise distillation and its rivals."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.losses import (
    MeanCount,
    attention_transfer_loss,
    channel_wise_loss,
    cross_entropy_loss,
    edge_hint_loss,
    holistic_loss,
    intra_class_variation_loss,
    local_similarity_loss,
    pairwise_affinity_loss,
    pixel_wise_loss,
    soft_cross_entropy_loss,
)
from training.losses.channel_alignment import Form

PLACES = ('logits', 'features')
ALIGNMENTS = ('none', *get_args(Form))


def hint_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the maps themselves."""
    return edge_hint_loss(student, teacher)


def classes_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    weight: Tensor | None = None,
    mean_count: MeanCount | None = None,
) -> Tensor:
    """Cross-entropy against the class that the teacher finds most likely at each place."""
    found = teacher.detach().max(dim=1).indices
    return cross_entropy_loss(student, found, weight=weight, mean_count=mean_count)


LOSSES: dict[str, Callable[..., Tensor]] = {
    'attention_transfer': attention_transfer_loss,
    'channel_wise': channel_wise_loss,
    'classes': classes_loss,
    'hint': hint_loss,
    'holistic': holistic_loss,
    'intra_class_variation': intra_class_variation_loss,
    'local_similarity': local_similarity_loss,
    'pairwise_affinity': pairwise_affinity_loss,
    'pixel_wise': pixel_wise_loss,
    'soft_cross_entropy': soft_cross_entropy_loss,
}
"""By the name that a configuration has for them."""

NEED_EQUAL_CHANNELS = ('channel_wise', 'hint', 'holistic', 'pixel_wise')
"""On features; the others compare maps of any number of channels, or scores alone."""

OF_SCORES = ('classes', 'soft_cross_entropy')
"""What compares class scores, and nothing else."""

WEIGHTED = (*OF_SCORES, 'pixel_wise')
"""What weighs each place by the class that the teacher finds most likely there."""

_GIVEN = ('weight', 'classes', 'num_classes', 'ignore_index', 'mean_count')
"""Keywords that come from the run, not from the term."""

_TRIED_SIZE = (4, 4)


@dataclass(frozen=True)
class TermConfig:
    """One thing that the student learns from the teacher.

    Args:
        loss: of `LOSSES`.
        at: `logits`, or `features`, what the last convolution sees.
        weight: of the loss, above 0.
        alignment: layer between the student's features and the loss, see `ChannelAlignment`, or
            `none`. It learns with the student and is left behind.
        options: further keywords of the loss, as `{temperature: 4.0}`.

    Raises:
        ConfigError: a name is unknown, the weight is not above 0, or the loss does not take the
            options.
    """

    loss: str = 'channel_wise'
    at: str = 'logits'
    weight: float = 1.0
    alignment: str = 'none'
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check names and the weight."""
        for name, names in (('loss', LOSSES), ('at', PLACES), ('alignment', ALIGNMENTS)):
            if getattr(self, name) not in names:
                raise ConfigError(
                    f'{name} must be one of {list(names)}, got {getattr(self, name)!r}'
                )
        if not 0.0 < self.weight < float('inf'):
            raise ConfigError(f'weight must be above 0 and finite, got {self.weight}')
        if self.at == 'logits' and self.alignment != 'none':
            raise ConfigError('alignment must be none on logits: they have the same classes')
        if self.at == 'features' and self.loss in OF_SCORES:
            raise ConfigError(f'{self.loss} compares class scores: at must be logits')
        known = _options(self.loss)
        needed = {name for name, required in known.items() if required}
        if not needed <= self.options.keys() <= known.keys():
            raise ConfigError(
                f'options of {self.loss} must be of {sorted(known)} and hold {sorted(needed)}, '
                f'got {sorted(self.options)}'
            )
        self._try_options()

    def _try_options(self) -> None:
        """Refuse values of options as the loss itself does, on a small map."""
        if self.loss == 'holistic':
            return
        maps = torch.zeros(1, 2, *_TRIED_SIZE)
        given = Given(torch.zeros(1, *_TRIED_SIZE, dtype=torch.int64), 2)
        try:
            loss_of(self, maps, maps, given)
        except TypeError as error:
            raise ConfigError(
                f'options of {self.loss} must be of the types that it takes, got {self.options}'
            ) from error

    @property
    def name(self) -> str:
        """Of the term among those of a step."""
        return f'{self.loss}_{self.at}'


def _options(loss: str) -> dict[str, bool]:
    """Keywords of a loss that a term may set, and whether it must."""
    parameters = inspect.signature(LOSSES[loss]).parameters.values()
    return {
        p.name: p.default is inspect.Parameter.empty
        for p in parameters
        if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in _GIVEN
    }


class Given(NamedTuple):
    """What losses may need beside both maps.

    Attributes:
        labels: int64 [batch, height, width].
        num_classes: of the label set.
        weight: of the classes, or None for equal ones; for terms that weigh places by class.
        scores: class scores of the teacher [batch, classes, ...], which say the class of a place
            where features are weighed.
        mean_count: over the processes that share a batch, see `training.losses.counts`.
    """

    labels: Tensor
    num_classes: int
    weight: Tensor | None = None
    scores: Tensor | None = None
    mean_count: MeanCount | None = None


def loss_of(term: TermConfig, student: Tensor, teacher: Tensor, given: Given) -> Tensor:
    """The loss of a term, without its weight; not for `holistic`, which needs a discriminator.

    Args:
        term: what is compared.
        student: aligned, of the size of `teacher`.
        teacher: [batch, channels, height, width].
        given: by the run.
    """
    loss = partial(LOSSES[term.loss], student, teacher, **term.options)
    if term.loss == 'intra_class_variation':
        return loss(given.labels, num_classes=given.num_classes)
    if term.loss not in WEIGHTED or given.weight is None:
        return loss()
    weighted = partial(loss, weight=given.weight, mean_count=given.mean_count)
    if term.loss == 'classes':
        return weighted()
    scores = teacher if term.at == 'logits' else given.scores
    assert scores is not None
    return weighted(classes=most_likely(scores, (teacher.shape[2], teacher.shape[3])))


def most_likely(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """The class with the largest score at each place of a map.

    Args:
        scores: [batch, classes, ...] of any size.
        size: (height, width) of the map; of each of its places the nearest score counts.

    Returns:
        int64 [batch, height, width].
    """
    classes = scores.detach().max(dim=1).indices
    if tuple(classes.shape[1:]) == size:
        return classes
    return functional.interpolate(classes[:, None].float(), size, mode='nearest')[:, 0].long()


def of_equal_size(student: Tensor, teacher: Tensor) -> Tensor:
    """The student's map, resized to that of the teacher where they differ."""
    if student.shape[2:] == teacher.shape[2:]:
        return student
    return functional.interpolate(student, teacher.shape[2:], mode='bilinear', align_corners=False)
