# SPDX-License-Identifier: Apache-2.0
"""What gets installed, under which name, with which dependencies: for colcon and for pip."""

from __future__ import annotations

import ast
import importlib
import os
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import setuptools

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / 'kd_perception'
LAUNCH_MODULES = {'launch', 'launch_ros'}

# Top-level module -> (name for pip, rosdep key). A module missing here fails the tests below.
MODULES: dict[str, tuple[str, str]] = {
    'cv2': ('opencv-python-headless', 'python3-opencv'),
    'jinja2': ('jinja2', 'python3-jinja2'),
    'markupsafe': ('markupsafe', 'python3-jinja2'),  # a dependency of jinja2 in every distribution
    'numba': ('numba', 'python3-numba'),
    'numpy': ('numpy', 'python3-numpy'),
    'onnxruntime': ('onnxruntime', 'python3-onnxruntime-pip'),
    'openvino': ('openvino', ''),  # has no rosdep key
    'rosbags': ('rosbags', 'python3-rosbags-pip'),
    'tqdm': ('tqdm', 'python3-tqdm'),
    'yaml': ('pyyaml', 'python3-yaml'),
}
ROS_MODULES = {
    'builtin_interfaces': 'ros-builtin-interfaces',
    'diagnostic_msgs': 'ros-diagnostic-msgs',
    'launch': '',  # not on PyPI, where another program has the name
    'launch_ros': '',
    'lifecycle_msgs': 'ros-lifecycle-msgs',
    'rcl_interfaces': 'ros-rcl-interfaces',
    'rclpy': 'ros-rclpy',
    'rosgraph_msgs': 'ros-rosgraph-msgs',
    'sensor_msgs': 'ros-sensor-msgs',
    'std_msgs': 'ros-std-msgs',
    'std_srvs': 'ros-std-srvs',
    'vision_msgs': '',  # not on PyPI
}
TORCH_MODULES = {'torch': 'torch', 'safetensors': 'safetensors'}


@pytest.fixture(scope='module')
def setup_arguments() -> dict[str, Any]:
    """What setup.py hands to setuptools."""
    received: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, 'setup', received.update)
        patch.chdir(REPOSITORY)
        runpy.run_path('setup.py', run_name='__main__')
    return received


@pytest.fixture(scope='module')
def manifest() -> ElementTree.Element:
    return ElementTree.parse(REPOSITORY / 'package.xml').getroot()


def requirement_name(requirement: str) -> str:
    return re.split(r'[\[<>=!~; ]', requirement)[0].lower()


def third_party_modules() -> set[str]:
    """Top-level names that the installed package imports and does not hold itself."""
    found = set()
    for path in PACKAGE.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split('.')[0])
    return found - set(sys.stdlib_module_names) - {'kd_perception'}


def test_setup_and_manifest_agree(
    setup_arguments: dict[str, Any], manifest: ElementTree.Element
) -> None:
    for field in ('name', 'version', 'maintainer'):
        assert setup_arguments[field] == manifest.findtext(field)
    assert setup_arguments['license'] == manifest.findtext('license')
    maintainer = manifest.find('maintainer')
    assert maintainer is not None
    assert setup_arguments['maintainer_email'] == maintainer.get('email')


def test_manifest_is_one_that_colcon_takes_for_ament_python(manifest: ElementTree.Element) -> None:
    assert manifest.get('format') == '3'
    assert manifest.findtext('export/build_type') == 'ament_python'
    # With an address that does not parse colcon falls back to a plain Python package.
    for person in [*manifest.findall('maintainer'), *manifest.findall('author')]:
        assert re.fullmatch(r'[\w.+-]+@[\w-]+(\.[\w-]+)+', person.get('email') or '')


def test_manifest_passes_the_parser_of_the_ros_tools() -> None:
    package = pytest.importorskip('catkin_pkg.package', reason='catkin_pkg is not installed')
    warnings: list[str] = []
    parsed = package.parse_package(str(REPOSITORY / 'package.xml'), warnings=warnings)
    parsed.validate(warnings=warnings)
    assert warnings == []


def test_every_import_is_a_requirement_and_every_requirement_is_imported(
    setup_arguments: dict[str, Any],
) -> None:
    extras = setup_arguments['extras_require']
    imported = third_party_modules()
    core = {MODULES[name][0] for name in imported - set(ROS_MODULES) - set(TORCH_MODULES)}
    assert core == {requirement_name(line) for line in setup_arguments['install_requires']}
    ros = {ROS_MODULES[name] for name in imported & set(ROS_MODULES)} - {''}
    assert ros <= {requirement_name(line) for line in extras['ros']}
    torch = {TORCH_MODULES[name] for name in imported & set(TORCH_MODULES)}
    assert torch <= {requirement_name(line) for line in extras['training']}


def test_the_robot_installs_no_torch(setup_arguments: dict[str, Any]) -> None:
    ros = setup_arguments['extras_require']['ros']
    names = {requirement_name(line) for line in [*setup_arguments['install_requires'], *ros]}
    assert names & {'torch', 'lightning-fabric', 'onnxscript', 'opencv-python'} == set()


def test_manifest_names_every_run_time_dependency(manifest: ElementTree.Element) -> None:
    declared = {node.text for kind in ('depend', 'exec_depend') for node in manifest.iter(kind)}
    imported = third_party_modules() - set(TORCH_MODULES)
    keys = {MODULES[name][1] if name in MODULES else name for name in imported} - {''}
    assert keys | LAUNCH_MODULES <= declared


def test_tests_are_found_by_colcon(setup_arguments: dict[str, Any]) -> None:
    # With tests_require colcon test reports success after running nothing.
    assert 'tests_require' not in setup_arguments
    assert 'pytest' in map(requirement_name, setup_arguments['extras_require']['test'])


def test_pins_cover_every_requirement(setup_arguments: dict[str, Any]) -> None:
    text = (REPOSITORY / 'constraints.txt').read_text(encoding='utf-8')
    pins = [line for line in text.splitlines() if line and not line.startswith('#')]
    exact = re.compile(r"[a-z0-9-]+==[\w.]+(; python_version (<|>=) '3\.\d+')?")
    assert [line for line in pins if not exact.fullmatch(line)] == []
    wanted = set(map(requirement_name, setup_arguments['install_requires']))
    for lines in setup_arguments['extras_require'].values():
        wanted |= set(map(requirement_name, lines))
    assert wanted <= {line.split('==')[0] for line in pins}


def test_shared_files_are_all_installed(setup_arguments: dict[str, Any]) -> None:
    targets = {
        f'{target}/{Path(name).name}': name
        for target, names in setup_arguments['data_files']
        for name in names
    }
    assert 'share/ament_index/resource_index/packages/kd_perception' in targets
    for folder in ('launch', 'config', 'students'):
        for path in (REPOSITORY / folder).rglob('*'):
            relative = path.relative_to(REPOSITORY).as_posix()
            if path.is_file() and '__pycache__' not in relative and path.name[0] != '.':
                assert targets.get(f'share/kd_perception/{relative}') == relative
    assert 'share/kd_perception/package.xml' in targets


def test_every_package_and_template_is_installed(setup_arguments: dict[str, Any]) -> None:
    folders = {path.parent for path in PACKAGE.rglob('*.py')}
    packages = {folder.relative_to(REPOSITORY).as_posix().replace('/', '.') for folder in folders}
    assert packages == set(setup_arguments['packages'])
    patterns = setup_arguments['package_data']['kd_perception']
    covered = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    kinds = ('.py', '.pyc', '.nbi', '.nbc')
    others = {p for p in PACKAGE.rglob('*') if p.is_file() and p.suffix not in kinds}
    assert others == covered


def test_entry_points_resolve(setup_arguments: dict[str, Any]) -> None:
    scripts = setup_arguments['entry_points']['console_scripts']
    names = {line.split(' = ')[0] for line in scripts}
    assert names == {'kd-perception', 'mono_depth_node', 'thermal_seg_node'}
    for line in scripts:
        module, function = line.split(' = ')[1].split(':')
        if module.startswith('kd_perception.nodes'):
            pytest.importorskip('rclpy')
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.slow
def test_a_colcon_style_installation_puts_things_where_ros2_looks(tmp_path: Path) -> None:
    prefix = tmp_path / 'prefix'
    build = tmp_path / 'build'
    build.mkdir()
    command = [
        *(sys.executable, '-W', 'ignore', 'setup.py', '-q'),
        *('egg_info', '--egg-base', str(build)),
        *('build', '--build-base', str(build)),
        *('install', '--prefix', str(prefix), '--record', str(build / 'record.txt')),
        '--single-version-externally-managed',
    ]
    site = prefix / 'lib' / f'python{sys.version_info[0]}.{sys.version_info[1]}' / 'site-packages'
    environment = os.environ | {'PYTHONPATH': str(site)}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert (prefix / 'lib/kd_perception/thermal_seg_node').is_file()
    assert (prefix / 'lib/kd_perception/mono_depth_node').is_file()
    share = prefix / 'share/kd_perception'
    for name in ('thermal_seg', 'mono_depth'):
        assert (share / f'launch/{name}.launch.py').is_file()
        assert (share / f'config/{name}.yaml').is_file()
    help_text = subprocess.run(
        [prefix / 'lib/kd_perception/kd-perception', '--help'],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert help_text.returncode == 0, help_text.stderr
    assert 'replay' in help_text.stdout
