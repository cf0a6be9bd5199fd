# SPDX-License-Identifier: Apache-2.0
"""ROS for the processes of one run only: on this machine, in a domain that nobody else uses."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kd_perception.errors import KdPerceptionError
from kd_perception.middleware import prepare_middleware

_DOMAINS = range(50, 100)


class DomainError(KdPerceptionError):
    """No ROS domain is free."""


@contextmanager
def private_ros() -> Iterator[None]:
    """Talk ROS on this machine only, in a domain of this process and those it starts.

    It does so by environment variables, which are as they were before once it ends.

    Raises:
        DomainError: If no domain is free.
    """
    with reserved_domain() as domain, _restored_environment():
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        os.environ['ROS_LOCALHOST_ONLY'] = '1'  # the name of the same up to ROS 2 Humble
        os.environ['ROS_DOMAIN_ID'] = str(domain)
        os.environ['PYTHONUNBUFFERED'] = '1'
        prepare_middleware()
        checkout = Path(__file__).resolve().parents[2]
        if (checkout / 'setup.py').is_file():  # not installed: the others must find the package
            paths = [str(checkout), os.environ.get('PYTHONPATH', '')]
            os.environ['PYTHONPATH'] = os.pathsep.join(path for path in paths if path)
        yield


@contextmanager
def _restored_environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def reserved_domain() -> Iterator[int]:
    """Hold a ROS domain that no node uses and that no other run holds on this machine.

    A port alone does not hold a domain: the middleware opens it with the first node of a process
    and closes it with the last, so another run could take the domain before or between.

    Raises:
        DomainError: If no domain is free.
    """
    for domain in random.sample(_DOMAINS, len(_DOMAINS)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as holder:
            if _hold(holder, domain) and _is_silent(domain):
                yield domain
                return
    raise DomainError(
        f'No ROS domain from {_DOMAINS[0]} to {_DOMAINS[-1]} is free on this machine. '
        'End other nodes.'
    )


def _hold(holder: socket.socket, domain: int) -> bool:
    """Take the name of a domain, which goes with the process; say whether it was free."""
    try:
        holder.bind(f'\0kd_perception/ros_domain/{domain}')
    except OSError:
        return False
    return True


def _is_silent(domain: int) -> bool:
    """Say whether nobody on this machine uses the first discovery port of a domain."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', 7400 + 250 * domain + 10))
        except OSError:
            return False
    return True
