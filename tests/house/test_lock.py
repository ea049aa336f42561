"""The locks hold the versions of constraints.txt, each with sums; `.ci/lock` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([\w.\-]+)==(\S+?)(?: \\)?$", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return {re.sub(r"[-_.]+", "-", key).lower(): version for key, version in PIN.findall(text)}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_says_what_the_constraints_say(name: str) -> None:
    wanted = pins("constraints.txt")
    assert {key: wanted.get(key) for key in pins(name)} == pins(name)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_each_version_has_sums(name: str) -> None:
    blocks = re.split(r"^(?=\w)", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins(name))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)


def test_pip_and_torch_are_not_locked() -> None:
    assert "pip" not in pins("requirements-dev.lock")
    assert "torch" not in pins("requirements-dev.lock")
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()
