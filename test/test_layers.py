# SPDX-License-Identifier: Apache-2.0
"""The three layers: the core knows neither ROS nor torch, and imports point one way."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / 'kd_perception'
ROS_ENDINGS = ('_msgs', '_interfaces', '_srvs')
TORCH_LIBRARIES = (
    *('torch', 'safetensors', 'onnxscript', 'draccus'),
    *('lightning', 'lightning_fabric', 'tensorboard'),
)
ROS_MODULES = ('rclpy', 'launch', 'launch_ros', 'cv_bridge', 'rosbag2_py', 'message_filters')


def imported_modules(source: str, *, inside_functions: bool = True) -> Iterator[str]:
    """Dotted names of what a file imports, type checking included."""
    for node in _nodes(ast.parse(source), inside_functions):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield '.' * node.level + (node.module or '')
            yield from (f'{node.module}.{alias.name}' for alias in node.names if not node.level)


def _nodes(parent: ast.AST, inside_functions: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(parent):
        if inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            yield from _nodes(node, inside_functions)


def is_ros(module: str) -> bool:
    root = module.split('.')[0]
    return root in ROS_MODULES or root.endswith(ROS_ENDINGS) or root.startswith('rosidl')


def is_torch(module: str) -> bool:
    return module.split('.')[0] in TORCH_LIBRARIES


def is_fabric(module: str) -> bool:
    return module.split('.')[0] in ('lightning', 'lightning_fabric')


def belongs_to(module: str, package: str) -> bool:
    return module == package or module.startswith(package + '.')


TORCH_MODULES = (
    'kd_perception.models',
    'kd_perception.backends.torch_backend',
    'kd_perception.backends.torch_cuda_backend',
    'kd_perception.bench.torch_parts',
)
UPPER = (
    'kd_perception.nodes',
    *TORCH_MODULES,
)


def is_core(module: str) -> bool:
    return not any(belongs_to(module, package) for package in UPPER)


def module_name(path: Path) -> str:
    return '.'.join(path.relative_to(REPOSITORY).with_suffix('').parts).removesuffix('.__init__')


def files_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob('*.py'))


def violations(files: list[Path], forbidden: Callable[[str], bool]) -> list[str]:
    return [
        f'{path.relative_to(REPOSITORY)}: {module}'
        for path in files
        for module in imported_modules(path.read_text(encoding='utf-8'))
        if forbidden(module)
    ]


def test_the_rule_sees_every_form_of_import() -> None:
    source = (
        'import torch.nn as nn\n'
        'from sensor_msgs.msg import Image\n'
        'def f():\n    from rclpy import spin\n'
        'if TYPE_CHECKING:\n    import std_srvs\n'
    )
    found = set(imported_modules(source))
    assert {'torch.nn', 'sensor_msgs.msg', 'rclpy', 'std_srvs'} <= found
    at_import_time = set(imported_modules(source, inside_functions=False))
    assert 'rclpy' not in at_import_time
    assert {'torch.nn', 'sensor_msgs.msg', 'std_srvs'} <= at_import_time


def test_ros_is_imported_by_the_nodes_only() -> None:
    files = [
        path
        for path in files_below(PACKAGE)
        if not belongs_to(module_name(path), 'kd_perception.nodes')
    ]
    assert len(files) > 10
    assert violations(files, is_ros) == []


def test_torch_is_imported_by_few_modules_only() -> None:
    files = [
        path
        for path in files_below(PACKAGE)
        if not any(belongs_to(module_name(path), package) for package in TORCH_MODULES)
    ]
    assert violations(files, is_torch) == []


def test_the_package_imports_nothing_that_is_not_installed_with_it() -> None:
    outside = ('training', 'benchmarks', 'test')
    found = violations(
        files_below(PACKAGE), lambda module: module.split('.')[0] in outside or module[0] == '.'
    )
    assert found == []


def test_core_modules_reach_nodes_and_torch_modules_only_from_inside_functions() -> None:
    found = [
        f'{path.relative_to(REPOSITORY)}: {module}'
        for path in files_below(PACKAGE)
        if is_core(module_name(path))
        for module in imported_modules(path.read_text(encoding='utf-8'), inside_functions=False)
        if not is_core(module)
    ]
    assert found == []


def test_training_imports_neither_ros_nor_the_nodes() -> None:
    training = files_below(REPOSITORY / 'training')
    if not training:
        pytest.skip('training/ is not part of this copy: only the source checkout has it')

    def forbidden(module: str) -> bool:
        return is_ros(module) or belongs_to(module, 'kd_perception.nodes')

    assert violations(training, forbidden) == []


def test_few_modules_of_training_know_the_loop_and_its_display() -> None:
    def found(forbidden: Callable[[str], bool]) -> set[str]:
        lines = violations(files_below(REPOSITORY / 'training'), forbidden)
        return {line.partition(':')[0] for line in lines}

    if not (REPOSITORY / 'training').is_dir():
        pytest.skip('training/ is not part of this copy: only the source checkout has it')
    assert found(is_fabric) == {'training/distributed.py', 'training/engine.py'}
    assert found(lambda module: 'tensorboard' in module) == {'training/tracking.py'}


def loaded_after(code: str, *arguments: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running some code."""
    program = f'{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))'
    done = subprocess.run(
        [sys.executable, '-c', program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=REPOSITORY,
        env=os.environ | {'PYTHONDONTWRITEBYTECODE': '1'},
    )
    assert done.returncode == 0, done.stderr
    return {name.split('.')[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_importing_the_whole_core_loads_neither_torch_nor_ros() -> None:
    names = [name for name in map(module_name, files_below(PACKAGE)) if is_core(name)]
    assert len(names) > 10
    code = 'import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)'
    loaded = loaded_after(code, *names)
    assert 'kd_perception' in loaded
    assert [name for name in loaded if is_ros(name) or is_torch(name)] == []


@pytest.mark.parametrize('backend', ['openvino', 'onnxruntime'])
def test_running_a_student_loads_neither_torch_nor_ros(
    backend: str, tiny_student_folder: Path
) -> None:
    code = (
        'import sys\nfrom pathlib import Path\nimport numpy as np\n'
        'from kd_perception.backends import create_backend\n'
        'from kd_perception.bundle import load_student\n'
        'from kd_perception.frames import Frame\n'
        'from kd_perception.pipeline import Pipeline\n'
        'student = load_student(Path(sys.argv[1]))\n'
        'pipeline = Pipeline(student, create_backend(student, backend=sys.argv[2]))\n'
        'image = np.arange(96 * 128, dtype=np.uint16).reshape(96, 128)\n'
        "result = pipeline.step(Frame(image, 'mono16', 1))\n"
        'assert result.mask.shape == image.shape\n'
    )
    loaded = loaded_after(code, str(tiny_student_folder), backend)
    assert backend in loaded
    assert [name for name in loaded if is_ros(name) or is_torch(name)] == []
