"""Which way imports point, also those of tests, and what `import r2rise` may load."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from imports import loaded_by
from places import ROOT

import r2rise

PACKAGES = {
    "r2rise": ROOT / "r2rise",
    "r2rise_service": ROOT / "service" / "r2rise_service",
    "r2rise_envs": ROOT / "envs" / "r2rise_envs",
}
ALLOWED = {
    "r2rise": {"r2rise"},
    "r2rise_service": {"r2rise_service", "r2rise", "r2rise_envs"},
    "r2rise_envs": {"r2rise_envs", "r2rise"},
}
LAYERS = {
    "r2rise": [
        "errors", "files", "limits", "study", "data", "observations", "environments", "design",
        "ledger", "algorithms", "evaluation", "statistics", "results", "formats", "run", "ask",
        "report",
    ],
    "r2rise_service": [
        "kinds", "models", "keys", "records", "addresses", "installed", "logs", "settings",
        "operator_file", "storage", "opening", "client", "keyring", "queue", "api", "worker",
        "server", "cli",
    ],
    "r2rise_envs": ["presets", "planted", "junctions"],
}  # fmt: skip
"""The folders and modules of each package: each may import those before it."""

HEAVY = {
    "torch", "gymnasium", "sklearn", "stable_baselines3", "imitation", "matplotlib", "scipy",
    "dask", "distributed", "fastapi", "prometheus_client", "pydantic_settings", "sqlalchemy",
    "structlog", "uvicorn", "h5py", "datasets",
}  # fmt: skip


def module_name(package: str, path: Path) -> str:
    parts = path.relative_to(PACKAGES[package]).with_suffix("").parts
    return ".".join((package, *parts)).removesuffix(".__init__")


MODULES = {
    module_name(package, path): path
    for package, folder in PACKAGES.items()
    for path in sorted(folder.rglob("*.py"))
}


def imports(name: str) -> set[str]:
    """Our modules that one imports, wherever in it, also for its types alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one in MODULES else str(node.module) for one in inside}
    return (found & MODULES.keys()) - {name}


IMPORTS = {name: imports(name) for name in MODULES}


def layer(name: str) -> str:
    """The folder or module of its package that a module belongs to; none for the package."""
    return name.split(".")[1] if "." in name else ""


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package):
    for name, others in IMPORTS.items():
        if name.partition(".")[0] == package:
            wrong = {other for other in others if other.partition(".")[0] not in ALLOWED[package]}
            assert not wrong, f"{name} imports {wrong}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_goes_back_up(package):
    order = LAYERS[package]
    ours = {name: layer(name) for name in MODULES if name.partition(".")[0] == package}
    assert {own for own in ours.values() if own} == set(order)
    for name, own in ours.items():
        for other in IMPORTS[name] & ours.keys():
            allowed = not own or order.index(ours[other]) <= order.index(own)
            assert allowed, f"{name} imports {other}, which is above it"


def test_no_imports_go_round_in_a_circle():
    tuple(TopologicalSorter(IMPORTS).static_order())


def test_no_test_imports_another():
    files = {path.stem: ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("*.py")}
    tests = {name for name in files if name == "conftest" or name.startswith("test_")}
    for name, tree in files.items():
        nodes = list(ast.walk(tree))
        whole = {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
        parts = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not tests & (whole | parts), f"{name} imports a test"


def test_heavy_packages_load_when_used():
    program = "import r2rise, r2rise_service.cli, r2rise_service.client"
    assert not HEAVY & loaded_by(program)


def test_reading_a_file_loads_no_environments():
    program = "import r2rise_service.storage.inspect_upload; from r2rise import Demonstrations"
    assert "gymnasium" not in loaded_by(program)


def test_installed_packages_carry_type_information():
    for folder in PACKAGES.values():
        assert (folder / "py.typed").exists()


def test_every_public_name_is_there():
    assert [name for name in r2rise.__all__ if not hasattr(r2rise, name)] == []


def texts(tree: ast.AST) -> list[str]:
    """The texts of a module, without its docstrings."""
    docs = {
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    return [
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs
    ]  # fmt: skip


def test_the_library_speaks_of_arguments_not_of_options_of_the_command_line():
    """Only the report shows commands."""
    speaking = {
        name: text
        for name, path in MODULES.items()
        if name.startswith("r2rise.") and name != "r2rise.report.report"
        for text in texts(ast.parse(path.read_text()))
        if re.search(r"--[a-z]", text)
    }
    assert speaking == {}
