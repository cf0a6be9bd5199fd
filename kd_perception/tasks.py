# SPDX-License-Identifier: Apache-2.0
"""What students are for: each task has its parameters and its pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kd_perception.backends import Backend, create_backend
from kd_perception.bundle import Student, load_student
from kd_perception.errors import ConfigError
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.parameters.spec import ParameterValue
from kd_perception.parameters.table import THERMAL_SEG, ParameterTable
from kd_perception.pipeline import DepthPipeline, FramePipeline, Pipeline
from kd_perception.resources import student_folder

SomePipeline = TypeVar('SomePipeline', bound=FramePipeline[Any])


@dataclass(frozen=True)
class Task(Generic[SomePipeline]):
    """A task.

    Attributes:
        name: As ``student.yaml`` has it.
        table: Parameters of its node.
        make_pipeline: Makes its pipeline of student, backend and settings.
    """

    name: str
    table: ParameterTable[Any]
    make_pipeline: Callable[[Student, Backend, Any], SomePipeline]


SEGMENTATION: Task[Pipeline] = Task('segmentation', THERMAL_SEG, Pipeline)
DEPTH: Task[DepthPipeline] = Task('depth', MONO_DEPTH, DepthPipeline)
TASKS: dict[str, Task[Any]] = {task.name: task for task in (SEGMENTATION, DEPTH)}

RGB_SEG_NODE = 'rgb_seg'
"""Name of the segmentation node on a color camera; its parameters are those of thermal_seg."""

USUAL_NODE_NAMES = (*(task.table.node_name for task in TASKS.values()), RGB_SEG_NODE)


def task_of(table: ParameterTable[Any]) -> Task[Any]:
    """Return the task of a node."""
    return next(task for task in TASKS.values() if task.table is table)


def usual_node_name(student: Student) -> str:
    """Return the name that the launch file for such a student gives to the node."""
    spec = student.spec
    if (spec.task, spec.input.modality) == (SEGMENTATION.name, 'rgb'):
        return RGB_SEG_NODE
    return TASKS[spec.task].table.node_name


def require_thermal_segmentation(student: Student, purpose: str) -> None:
    """Refuse other students.

    Args:
        student: Any.
        purpose: What needs them, for the message.

    Raises:
        ConfigError: The student is for another task or for color images.
    """
    spec = student.spec
    if (spec.task, spec.input.modality) != (SEGMENTATION.name, 'thermal'):
        raise ConfigError(
            f'{purpose} must have a student for segmentation of thermal images; {spec.name} is '
            f'for {spec.task} of {spec.input.modality} ones: `kd-perception replay` and '
            '`evaluate` take it'
        )


def load_pipeline(task: Task[SomePipeline], values: Mapping[str, ParameterValue]) -> SomePipeline:
    """Load, check and warm up the student that the parameters name.

    Args:
        task: What the student is for.
        values: Parameters of the task's node.

    Raises:
        KdPerceptionError: The parameters contradict one another, the bundle or the backend
            cannot be used, or the student is of another task.
    """
    config = task.table.pipeline_config(values)
    options = task.table.backend_options(values)
    folder = student_folder(str(values['model.path']))
    student = load_student(folder, sha256=str(values['model.sha256']))
    backend = create_backend(student, **options)
    try:
        pipeline = task.make_pipeline(student, backend, config)
        pipeline.warm_up(int(values['warmup_iterations']))
    except BaseException:
        backend.close()
        raise
    return pipeline
