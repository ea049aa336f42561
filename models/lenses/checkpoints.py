"""Checkpoints of a training: written whole or not at all, and refused when they are of another one. Knows no lens."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.errors import LensTrainingError


def write_checkpoint(path: Path, held: Mapping[str, Any]) -> None:
    """Write ``held``; an older file of the name is replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    torch.save(dict(held), beside)
    beside.replace(path)


def read_checkpoint(path: Path | None) -> dict[str, Any]:
    """What `write_checkpoint` wrote.

    Raises:
        LensTrainingError: there is none, or it is damaged.
    """
    if path is None or not path.is_file():
        raise LensTrainingError(f"There is no checkpoint {path or ''} to continue from.", hint="Start without --resume.")
    try:
        _check_size(path)
        held: dict[str, Any] = torch.load(path, weights_only=True)
        held["recipe"].keys()  # a file of something else has none
    except Exception as error:  # torch raises what its readers raise
        raise damaged(path) from error
    return held


def _check_size(path: Path) -> None:
    """Torch writes an archive whose members are not packed: one that unpacks to more than the file is none of ours.

    Raises:
        ValueError: it is such a one, or no archive: torch would take sizes of the older format at their word.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise ValueError("it unpacks to more than it is")


def kept_as(held: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """See that a checkpoint was begun with ``identity``, which holds a recipe.

    Raises:
        LensTrainingError: it was not.
    """
    if all(held.get(name) == value for name, value in identity.items()):
        return
    now, then = identity["recipe"], held["recipe"]
    began = ", ".join(f"{k} {v}" for k, v in then.items() if v != now.get(k))
    raise LensTrainingError(
        f"The checkpoint was started with other settings ({began or 'another text'}).",
        hint="Give the same options as when it was started.",
    )


def damaged(path: Path | None) -> LensTrainingError:
    """The error of a checkpoint that cannot be read into this training."""
    return LensTrainingError(f"The checkpoint {path} is damaged, or belongs to another model.", hint="Start without --resume.")
