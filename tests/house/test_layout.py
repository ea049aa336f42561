"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

import bot

ROOT = Path(__file__).parents[2]
PACKAGES = ("bot", "cogs", "models")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_its_purpose_and_fits_its_room(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))
    assert source.count("\n") <= 350


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert all((folder / "__init__.py").exists() for folder in folders)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the git checkout")
def test_the_repository_speaks_of_the_product_alone() -> None:
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    machine = re.compile(r"/(?:root|home)/\w|/tmp/\w+/|/work/\w|files\.pythonhosted|pypi\.org")
    for name in filter(None, files):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".txt", ""} and path != Path(__file__):
            found = machine.search(path.read_text(encoding="utf-8", errors="ignore"))
            assert found is None, f"{name}: {found[0] if found else ''}"


def test_the_changelog_knows_this_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert version is not None
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_package_data_travels(tmp_path: Path) -> None:
    """What is read at run time lies inside the package."""
    inside = Path(bot.__file__).parent
    assert (inside / "locales" / "monologue.en-US.yaml").exists()
    assert (inside / "storage" / "migrations" / "env.py").exists()
