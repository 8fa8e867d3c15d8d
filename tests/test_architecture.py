"""What the documents say of the architecture is so: doors, contract, one place for each idea."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "featx"
# These files are copied into deployments, where they run without featx.
COPIED = PACKAGE / "deployment" / "runner"
# The common language, and what results offer only where it is installed.
NO_DOOR = {"numpy", "pandas", "polars", "IPython", "typing_extensions"}


@dataclass(frozen=True)
class Module:
    """What one file of the package imports and calls."""

    name: str
    imports: set[str]
    imports_at_once: set[str]
    calls: set[str]


@cache
def modules() -> list[Module]:
    return [module(path) for path in sorted(PACKAGE.rglob("*.py")) if path.parent != COPIED]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module(path: Path) -> Module:
    tree = tree_of(path)
    nodes = list(ast.walk(tree))
    calls = {called(node.func) for node in nodes if isinstance(node, ast.Call)}
    name = path.relative_to(PACKAGE).with_suffix("").as_posix()
    return Module(name, imported(nodes), imported(tree.body), calls)


def called(function: ast.expr) -> str:
    """The dotted name of what is called; empty where it has none."""
    names = []
    while isinstance(function, ast.Attribute):
        names.append(function.attr)
        function = function.value
    return ".".join([function.id, *reversed(names)]) if isinstance(function, ast.Name) else ""


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Every module that is imported in one of these statements, by its first name."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def callers_of(*functions: str) -> set[str]:
    """The modules that call a function by its dotted name, such as `os.replace`."""
    return {module.name for module in modules() if module.calls & set(functions)}


def rooms_of_each_library() -> dict[str, set[str]]:
    importers: dict[str, set[str]] = defaultdict(set)
    for module in modules():
        for library in module.imports - set(sys.stdlib_module_names) - {"featx"} - NO_DOOR:
            importers[library].add(module.name.split("/")[0])
    return importers


def test_each_library_is_imported_just_where_the_table_of_doors_says():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Doors")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE)
    assert {library: set(re.findall(r"`(\w+)`", rooms)) for library, rooms in rows} == rooms_of_each_library()


def test_the_import_contract_protects_each_library():
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter")
    allowed = {}
    for section in map(contract.__getitem__, contract.sections()):
        if section.get("type") == "protected":
            rooms = {importer.split(".")[1] for importer in section["allowed_importers"].split()}
            allowed |= dict.fromkeys(section["protected_modules"].split(), rooms)
    for library, rooms in rooms_of_each_library().items():
        if library == "msgspec":  # records may be made in every room; the table says where they are
            continue
        assert rooms <= allowed[library], library


def test_no_two_modules_import_each_other_however_far_around():
    """Not even in a function or for a type; `featx/__init__.py` only names what others define."""
    files = {dotted(path): path for path in PACKAGE.rglob("*.py") if path.parent not in (COPIED, PACKAGE)}
    arrows = {name: imported_modules(path, set(files)) - {name} for name, path in files.items()}
    TopologicalSorter(arrows).prepare()  # a CycleError names the circle


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """Every known module that one file imports something from."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name if name in known else name.rpartition(".")[0] for name in names} & known


def test_data_frames_are_imported_only_by_the_function_that_makes_one():
    assert [module.name for module in modules() if "pandas" in module.imports_at_once] == []


def test_no_module_imports_what_only_posix_systems_have():
    posix = {"fcntl", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog"}
    everywhere = [*modules(), *map(module, sorted(COPIED.glob("*.py")))]
    assert [module.name for module in everywhere if module.imports & posix] == []


# A classifier's file gets its second name by a link first; `latest` is a link itself.
RENAMED_BY_HAND = {"files/atomic", "classifiers/persistence", "reporting/files"}


def test_files_are_put_in_place_by_one_module():
    assert callers_of("os.replace", "os.rename") <= RENAMED_BY_HAND


def test_tables_are_written_by_one_module():
    """The manifest of the sample catalogue is no table for a spreadsheet."""
    assert callers_of("csv.writer") <= {"files/spreadsheet", "samples/write"}


def test_directions_are_made_by_one_module():
    """Lengths are taken for other ends: distances on the map, features one by one, sides of lines and samples."""
    own = {"compute/vectors", "reporting/map_layout", "extraction/verification", "backbones/engines/base"}
    own |= {"text/rapid_reader"}
    assert {name for name in callers_of("np.linalg.norm") if not name.startswith("samples/")} <= own


# A file for each command, for each part of a report, for each solver: their names say what is in them.
UNLISTED = {"cli", "reporting", "solvers"}


def test_every_folder_lists_its_files():
    for folder in sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE):
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
        if folder.name not in UNLISTED:
            assert {name for name in files if not re.search(rf"\b{name}\b", text)} == set(), folder


def test_no_path_of_a_module_in_the_documents_is_out_of_date():
    for page in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "README.md"]:
        for path in re.findall(r"`(featx/[\w/]+\.py)`", page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
        for room, file in re.findall(r"`(\w+)/(\w+\.py)`", page.read_text(encoding="utf-8")):
            assert (PACKAGE / room / file).exists() or (ROOT / room / file).exists(), f"{page.name}: {room}/{file}"
