# SPDX-License-Identifier: Apache-2.0
"""A hash of code that does not change when comments, docstrings or the layout of lines do."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from kd_perception.errors import ConfigError


@lru_cache(maxsize=8)
def source_digest(module: str) -> str:
    """Hash a module and whatever it imports, directly or not, from its own package.

    The answer is that of the first call: what a process computes by is the code it has loaded,
    even when the files change later.

    Args:
        module: full name, such as `kd_perception.world.render`.
    """
    package = module.rpartition('.')[0]
    sources = _imported_sources(module, package)
    text = '\n'.join(f'{name}\n{_code(sources[name])}' for name in sorted(sources))
    return hashlib.sha256(text.encode()).hexdigest()


def imported_modules(source: str) -> set[str]:
    """Names that absolute imports anywhere in a source mention; some may be no modules."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f'{node.module}.{alias.name}' for alias in node.names)}
    return names


def _imported_sources(module: str, package: str) -> dict[str, str]:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigError(f'{module} must be a module in a package that can be imported')
    folder = Path(spec.origin).parent
    sources: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = None if name in sources else _source_path(folder, name[len(package) + 1 :])
        if path is None:
            continue
        sources[name] = path.read_text(encoding='utf-8')
        inside = (n for n in imported_modules(sources[name]) if n.startswith(f'{package}.'))
        waiting += sorted(inside)
    return sources


def _source_path(folder: Path, name: str) -> Path | None:
    """The file of a module in a package, None for a name that is a function or a class."""
    place = folder.joinpath(*name.split('.'))
    candidates = (place / '__init__.py', place.with_suffix('.py'))
    return next((path for path in candidates if path.is_file()), None)


class _WithoutTexts(ast.NodeTransformer):
    """Drops statements that are only a string: docstrings of modules, functions and constants."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        value = node.value
        text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        return None if text else node


def _code(source: str) -> str:
    return ast.dump(_WithoutTexts().visit(ast.parse(source)))
