"""The README and the docs against the disk and the code."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bot.cli import cli
from bot.config import settings_table
from models.network import adapters

ROOT = Path(__file__).parents[2]
README, ARCHITECTURE, COMMANDS, CONFIGURATION, MODELS = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/ARCHITECTURE.md", "docs/COMMANDS.md", "docs/CONFIGURATION.md", "docs/MODELS.md")
)


def tracked(*patterns: str) -> set[str]:
    found = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def listed() -> set[str]:
    """The paths of the file tree: two spaces a level, a folder ends in a slash, then a phrase."""
    block = ARCHITECTURE.split("## File tree")[1].split("```")[1].strip("\n")
    folders: list[str] = []
    paths: set[str] = set()
    for line in block.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        del folders[depth:]
        paths.add("".join(folders) + name)
        if name.endswith("/"):
            folders.append(name)
        if "/" not in name or depth == 0:
            assert len(line.split(maxsplit=1)) == 2, f"no phrase: {line}"
    return paths


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the git checkout")
def test_the_file_tree_names_every_module_and_nothing_else() -> None:
    modules = {path for path in tracked("bot/*.py", "cogs/*.py", "models/*.py") if not path.endswith("__init__.py")}
    top = {path for path in tracked() if "/" not in path} - {".gitignore"}
    files = {path for path in listed() if not path.endswith("/")}
    assert files == modules | top
    folders = {path for path in listed() if path.endswith("/")}
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_the_settings_table_is_that_of_the_code() -> None:
    table = CONFIGURATION.split("<!-- settings")[1].split("<!-- /settings -->")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    code = [tuple(str(cell).replace("|", "\\|") for cell in setting) for setting in settings_table()]
    assert rows == [f"| `{key}` | `{default}` | {allowed} | {what} |" for key, default, allowed, what in code]


def test_the_architectures_are_those_that_the_tests_hold() -> None:
    """`adapters.SUPPORTED` is what the tests of the lens and of batches are parametrized over."""
    table = MODELS.split("<!-- architectures -->")[1].split("<!-- /architectures -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    assert tuple(row[1].strip("`") for row in rows) == adapters.SUPPORTED
    assert all(len(row) == 4 and row[0] and row[2] for row in rows)
    words = " ".join(README.split())
    assert f"exact for {len(rows)} [architectures](docs/MODELS.md#architectures)" in words
    assert f"All {len(rows)}" in MODELS


def terminal() -> Iterator[tuple[str, Any]]:
    """Every command of the terminal, as it is typed."""
    for name, command in typer.main.get_command(cli).commands.items():  # type: ignore[attr-defined]
        for sub, found in getattr(command, "commands", {"": command}).items():
            yield f"forwardpass {name} {sub}".strip(), found


def test_a_stranger_finishes_the_readme() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150
    assert all(len(line) <= 120 for line in lines if not line.startswith(("|", "![")))


def test_every_command_of_the_terminal_is_described() -> None:
    for full, _ in terminal():
        assert f"`{full}" in README, full


def test_every_option_of_the_terminal_is_described() -> None:
    for full, command in terminal():
        row = next(line for line in COMMANDS.splitlines() if re.match(rf"\| `{full}[ `]", line))
        options = {o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("--")}
        assert not [o for o in options - {"--config", "--help"} if not re.search(rf"`{o}[ `]", row)], full


def test_every_slash_command_is_described() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cogs").glob("*.py"))
    names = re.findall(r"app_commands\.command\(name=\"([a-z]+)\"", source)
    assert names
    for name in names:
        assert f"`/{name}" in README, name
        assert f"| `/{name}" in COMMANDS, name


def test_its_pictures_exist() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"
