"""The house rules of the source, read from its text; and what an import may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bloodfilm

ROOT = Path(bloodfilm.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
ORDER = (
    {"vocabulary", "errors", "helper", "palette", "percentiles", "weights"},
    {"cells"},
    {"io"},
    {"review"},
    {"synth"},
    {"nets"},
    {"detection"},
    {"evaluation"},
    {"training"},
    {"film"},
    {"napari", "cli", "__main__"},
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
NO_TORCH = {"weights", "vocabulary", "errors", "helper", "palette", "percentiles", "cells", "io", "review", "synth"}
GUI = {"napari", "qtpy", "magicgui", "superqt", "vispy", "PySide6", "PyQt6", "PyQt5"}


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_used(path: Path) -> set[str]:
    """Return the rooms that a file imports from; a public name counts as the room it lives in."""
    names = [name.split(".")[1] for name in imports(path) if name.startswith("bloodfilm.")]
    return {bloodfilm._HOMES.get(name, name).split(".")[0] for name in names}


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python has loaded after `code`."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.parent != ROOT or p.stem != "__init__"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_modules_import_only_from_those_left_of_them(path: Path) -> None:
    own = room(path)
    assert own in RANK, f"{own} has no place in the order of the rooms"
    used = {name for name in rooms_used(path) if name != "__version__"}
    assert used <= set(RANK), f"{used - set(RANK)} have no place in the order of the rooms"
    assert not {name for name in used if RANK[name] > RANK[own]}


def test_no_files_import_one_another_in_a_circle() -> None:
    """Not for types alone either."""
    names = {
        ".".join(("bloodfilm", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in SOURCES
    }
    graph = {
        name: {used if used in names else used.rpartition(".")[0] for used in imports(path)}
        for name, path in names.items()
    }
    try:
        TopologicalSorter(graph).prepare()
        circle = []
    except CycleError as error:
        circle = error.args[1]
    assert not circle


def test_the_package_itself_imports_lazily() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    eager = {
        name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ast.unparse(node).split()
    }
    assert not any(name.startswith("bloodfilm") for name in eager)


@pytest.mark.parametrize("name", sorted(bloodfilm.__all__))
def test_public_names_exist(name: str) -> None:
    assert getattr(bloodfilm, name).__name__ == name if name != "LLD" else bloodfilm.LLD.classes


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = bloodfilm.nonsense


def test_only_the_napari_room_imports_a_gui() -> None:
    outside = [path for path in SOURCES if room(path) != "napari"]
    assert not {path for path in outside if {name.split(".")[0] for name in imports(path)} & GUI}


def test_the_first_rooms_do_without_torch() -> None:
    first = [path for path in SOURCES if room(path) in NO_TORCH]
    assert not {path for path in first if {name.split(".")[0] for name in imports(path)} & {"torch", "torchvision"}}


@pytest.mark.parametrize(
    "module",
    [
        "bloodfilm",
        "bloodfilm.cli",
        "bloodfilm.io.coco",
        "bloodfilm.io.lld.dataset",
        "bloodfilm.synth",
        "bloodfilm.film.report",
        "bloodfilm.training.proposals",
    ],
)
def test_importing_loads_neither_torch_nor_a_gui(module: str) -> None:
    assert not loaded_by(f"import {module}") & {"torch", *GUI}


def test_reading_the_napari_manifest_loads_neither_torch_nor_a_gui() -> None:
    pytest.importorskip("npe2")
    manifest = ROOT / "napari.yaml"
    code = f"import npe2; assert npe2.PluginManifest.from_file({str(manifest)!r}).name == 'bloodfilm'"
    assert not loaded_by(code) & {"torch", *GUI}


def test_the_command_lines_help_loads_no_torch() -> None:
    code = "import sys; sys.argv[1:] = ['--help']\nfrom bloodfilm.cli import main\ntry: main()\nexcept SystemExit: pass"
    assert "torch" not in loaded_by(code)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_in_a_file_is_run_as_code(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & {"pickle", "cloudpickle", "dill", "joblib", "shelve"}
    for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
        called, keywords = ast.unparse(call.func), {k.arg: ast.unparse(k.value) for k in call.keywords}
        assert called not in {"eval", "exec", "compile", "__import__"}, f"line {call.lineno}"
        assert called != "torch.load" or keywords.get("weights_only") == "True", f"line {call.lineno}"
        assert keywords.get("weights_only", "True") == "True", f"line {call.lineno}"
        assert keywords.get("allow_pickle", "False") == "False", f"line {call.lineno}"
