"""How the package hangs together: rooms, arrows between them, circles, lines.

    python benchmarks/architecture.py [CHECKOUT ...]

A room is a module or folder directly under featx/; an arrow is one room importing another, lazily or not.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path


def modules(package: Path) -> Iterator[tuple[str, Path]]:
    """Every module of the package with the room it belongs to; `featx/__init__.py` only names what others define."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[0] not in ("__init__", "__main__"):
            yield parts[0], path


def imported(path: Path) -> Iterator[str]:
    """The rooms a module imports from."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "featx" else [module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "featx" and len(parts) > 1:
                yield parts[1]


def circles(arrows: set[tuple[str, str]]) -> int:
    """How many rooms can reach themselves again."""
    rooms = {room for arrow in arrows for room in arrow}

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            here = waiting.pop()
            for source, target in arrows:
                if source == here and target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return seen

    return sum(room in reached(room) for room in rooms)


def main() -> None:
    """Print one line for each checkout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path(__file__).parents[1]])
    print(f"{'rooms':>6} {'arrows':>7} {'in circles':>11} {'modules':>8} {'lines':>7}  checkout")
    for checkout in parser.parse_args().checkouts:
        package = checkout / "featx"
        files = list(modules(package))
        rooms = {room for room, _ in files}
        arrows = {(room, other) for room, path in files for other in imported(path) if other in rooms - {room}}
        lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in package.rglob("*.py"))
        print(f"{len(rooms):>6} {len(arrows):>7} {circles(arrows):>11} {len(files):>8} {lines:>7,}  {checkout}")


if __name__ == "__main__":
    main()
