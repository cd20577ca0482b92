"""Import arrows, and what `import r2rise` may load."""

import ast
from pathlib import Path

import pytest
from imports import loaded_by

import r2rise

ROOT = Path(__file__).parent.parent
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
HEAVY = {
    "torch", "gymnasium", "sklearn", "stable_baselines3", "imitation", "matplotlib", "scipy",
    "dask", "distributed", "fastapi", "prometheus_client", "pydantic_settings", "sqlalchemy",
    "structlog", "uvicorn", "h5py", "datasets",
}  # fmt: skip


def imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_import_arrows(package):
    files = sorted(PACKAGES[package].rglob("*.py"))
    assert files
    for path in files:
        ours = imported_packages(path) & PACKAGES.keys()
        assert ours <= ALLOWED[package], f"{path} imports {ours - ALLOWED[package]}"


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
