# SPDX-License-Identifier: Apache-2.0
"""Builds kd_perception for colcon (ament_python) and for pip alike."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = 'kd_perception'
SHARE = f'share/{PACKAGE}'


def shared_files(folder):
    """Lists one (target, files) pair for a folder and each folder below it.

    data_files copies flat lists only: a folder that is not listed is silently not installed.
    """
    folders = [Path(folder), *sorted(p for p in Path(folder).rglob('*') if p.is_dir())]
    pairs = []
    for source in folders:
        files = sorted(str(p) for p in source.glob('[!.]*') if p.is_file())
        if files and source.name != '__pycache__':
            pairs.append((f'{SHARE}/{source.as_posix()}', files))
    return pairs


# What the robot needs. torch is absent on purpose: students run as ONNX graphs.
INSTALL_REQUIRES = [
    'jinja2',
    'markupsafe',
    'numba',
    'numpy',
    'onnxruntime',
    'opencv-python-headless',
    'openvino',
    'pyyaml',
    'rosbags>=0.10',
    'tqdm',
]

EXTRAS_REQUIRE = {
    # The real rclpy from PyPI, for machines without a ROS installation. Never beside one.
    'ros': [
        'ros-rclpy[fastrtps]',
        'ros-builtin-interfaces',
        'ros-diagnostic-msgs',
        'ros-lifecycle-msgs',
        'ros-rcl-interfaces',
        'ros-rosgraph-msgs',
        'ros-sensor-msgs',
        'ros-std-msgs',
        'ros-std-srvs',
    ],
    'training': [
        'draccus',
        'h5py',
        'lightning-fabric',
        'onnx',
        'onnxscript',
        'pillow',
        'safetensors',
        'scipy',
        'tensorboard',
        'torch',
    ],
    # colcon looks for pytest under this very name; tests_require would give zero tests.
    'test': [
        'hypothesis',
        'pytest',
        'pytest-cov',
        'pytest-timeout',
        'pytest-xdist',
    ],
    'dev': [
        'colcon-common-extensions',
        'mypy',
        'ruff',
        'types-PyYAML',
        'types-tqdm',
    ],
}

setup(
    name=PACKAGE,
    version='0.1.0',
    description='Live thermal segmentation and depth for ROS 2 robots with calibrated uncertainty',
    long_description='See README.md.',
    author='kd_perception maintainers',
    author_email='maintainers@kd-perception.example.org',
    maintainer='kd_perception maintainers',
    maintainer_email='maintainers@kd-perception.example.org',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['py.typed', 'evaluation/templates/*', 'tagging/templates/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (SHARE, ['package.xml']),
        *shared_files('launch'),
        *shared_files('config'),
        *shared_files('students'),
    ],
    zip_safe=False,
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={
        'console_scripts': [
            f'kd-perception = {PACKAGE}.cli:run_and_exit',
            f'mono_depth_node = {PACKAGE}.nodes.mono_depth_node:main',
            f'thermal_seg_node = {PACKAGE}.nodes.thermal_seg_node:main',
        ],
    },
)
