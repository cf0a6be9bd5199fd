# SPDX-License-Identifier: Apache-2.0
"""A hash of what code computes: not of comments and docstrings, nor of where definitions stand.

Every statement at the top of a module counts with the statements that it refers to, wherever they
are. So moving a function to another module, renaming a module or reordering definitions changes
nothing; an edit of a definition does, and so does an import that takes another definition of the
same name.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

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
    modules = {name: _parsed(source, package) for name, source in sources.items()}
    linked = {
        _linked(statement, name, modules)
        for name, parsed in modules.items()
        for statement in parsed.statements
    }
    return _hash(sorted(linked))


def imported_modules(source: str) -> set[str]:
    """Names that absolute imports anywhere in a source mention; some may be no modules."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f'{node.module}.{alias.name}' for alias in node.names)}
    return names


class _Statement(NamedTuple):
    """A statement at the top of a module: the hash of its code, and the names that it uses."""

    code: str
    uses: frozenset[str]


class _Module(NamedTuple):
    """What a module says.

    Attributes:
        statements: at its top, without imports, docstrings and `__all__`.
        definitions: hashes of the statements that give a name its value; for what is imported from
            elsewhere, its name with dots.
        imports: what names stand for that are imported from the package, with dots.
    """

    statements: list[_Statement]
    definitions: dict[str, list[str]]
    imports: dict[str, str]


def _parsed(source: str, package: str) -> _Module:
    tree = ast.parse(source)
    parsed = _Module([], {}, {})
    for imported, name in _imported_names(tree):
        if imported.startswith(f'{package}.'):
            parsed.imports[name] = imported
        else:
            parsed.definitions[name] = [imported]
    for node in _Definitions().visit(tree).body:
        code = _hash([ast.dump(node)])
        parsed.statements.append(_Statement(code, frozenset(_used_names(node))))
        for name in _defined_names(node):
            parsed.definitions.setdefault(name, []).append(code)
    return parsed


def _imported_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What is imported, with dots, and the name it gets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition('.')[0]
                yield (alias.name, alias.asname) if alias.asname else (first, first)
        elif isinstance(node, ast.ImportFrom):
            origin = '.' * node.level + (node.module or '')
            yield from ((f'{origin}.{a.name}', a.asname or a.name) for a in node.names)


class _Definitions(ast.NodeTransformer):
    """Drops what computes nothing: imports, strings that stand alone, the list of public names."""

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        value = node.value
        text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        return None if text else node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        return None if '__all__' in _defined_names(node) else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        kept = self.generic_visit(node)
        return kept if node.body or node.orelse else None  # none is left: `if TYPE_CHECKING`


def _defined_names(node: ast.stmt) -> set[str]:
    """Names that a statement gives to its module."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and _is_stored(n)}


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _used_names(node: ast.stmt) -> set[str]:
    """Names that a statement takes from its module, `a.b` for attributes of names.

    Names that a function makes itself are left out, so that it is not tied to a neighbor that
    happens to have such a name.
    """
    own = {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    own |= {name.id for name in names if _is_stored(name)}
    attributes = [
        f'{n.value.id}.{n.attr}'
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
    ]
    return {n for n in (*(name.id for name in names), *attributes) if n.split('.')[0] not in own}


def _linked(statement: _Statement, module: str, modules: dict[str, _Module]) -> str:
    """A statement with the code of what it refers to."""
    found = {name: _definition(name, module, modules) for name in statement.uses}
    links = sorted(f'{name}={_hash(code)}' for name, code in found.items() if code)
    return _hash([statement.code, *links])


def _definition(
    name: str, module: str, modules: dict[str, _Module], depth: int = 4
) -> list[str] | None:
    """Hashes of the statements that define a name as a module sees it, through imports."""
    if module not in modules or not depth:
        return None
    parsed, (first, _, attribute) = modules[module], name.partition('.')
    if name in parsed.definitions:
        return parsed.definitions[name]
    if first not in parsed.imports:
        return None
    target = parsed.imports[first]
    if attribute:
        return _definition(attribute, target, modules, depth - 1)
    origin, _, original = target.rpartition('.')
    return _definition(original, origin, modules, depth - 1)


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256('\n'.join(texts).encode()).hexdigest()


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
