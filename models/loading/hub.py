"""A model of the Hugging Face hub, fetched beforehand into the hub's own cache, where transformers finds it without a network.

huggingface_hub throws away a file that broke off. Here it is kept beside its place (``.part``), and the next try asks for the
rest alone. What is fetched is chosen from the hub's list of files: config, tokenizer, templates and safetensors, and never code,
pickles or GGUF. Each file is held against the sum that the hub names. Knows no terminal.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from huggingface_hub import HfApi, constants, get_session, hf_hub_url, snapshot_download
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import build_hf_headers, disable_progress_bars, hf_raise_for_status  # type: ignore[attr-defined]

from models.errors import DownloadError, ForwardPassError, ModelError, ModelNotFoundError
from models.loading.explaining import causes, explained
from models.loading.sources import INDEX, check_index, find_source
from models.sentences import Sentence
from models.types import ModelConfig

log = logging.getLogger(__name__)

WHOLE = "model.safetensors"
_BESIDE = re.compile(r"[^/\\]+\.(json|jinja|model|txt|tiktoken)|additional_chat_templates/[^/\\]+\.jinja")
_NOT = re.compile(r"(requirements.*|license.*|notice.*|use_policy.*)\.txt|(trainer_state|training_args)\.json", re.IGNORECASE)
_SUM = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_BLOCK = 1 << 20
_ATTEMPTS = 5  # that bring little
_PAUSE = 0.5
_BROKE_OFF = frozenset({"TransportError", "ProtocolError", "RequestError", "ConnectionError", "TimeoutError", "IncompleteRead"})


@dataclass(frozen=True, slots=True)
class File:
    """One file of the hub's list."""

    name: str
    size: int
    digest: str
    """SHA-256 of a large file, git's SHA-1 of a small one: its name in the cache."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a download is: files and bytes, those counted that were here already."""

    files: int
    of_files: int
    done: int
    total: int


Tell = Callable[[Step], None]


def pull(config: ModelConfig, tell: Tell = lambda _step: None) -> Path:
    """Fetch the model that ``config`` names, and return its folder in the cache.

    Raises:
        ModelNotFoundError: the hub has no such model or revision, or no safetensors of it.
        ModelError: it is gated, its index names what is never read, or it is no model of the hub.
        DownloadError: the network broke off (what came is kept), the disk is too full, or a file is not what the hub says.
    """
    if not find_source(config).on_hub:
        raise ModelError(Sentence("`{id}` lies on this machine already.", id=config.id), hint="")
    with _explained(config):
        repo = _Repo(config)
        files = repo.chosen()
        repo.check_room(files)
        repo.fetch(files, tell)
        disable_progress_bars()
        names = [re.sub(r"([\[*?])", r"[\1]", file.name) for file in files]
        return Path(snapshot_download(config.id, revision=config.revision, allow_patterns=names))


class _Repo:
    """One revision of a model on the hub, and its place in the cache."""

    def __init__(self, config: ModelConfig) -> None:
        found = HfApi().model_info(config.id, revision=config.revision, files_metadata=True)
        self.id, self.commit = config.id, str(found.sha)
        self.files = dict(_listed(found.siblings or ()))
        self.blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=config.id, repo_type="model") / "blobs"

    def chosen(self) -> Sequence[File]:
        """What is needed of it, small files first."""
        if "config.json" not in self.files:
            raise ModelNotFoundError(Sentence("`{id}` has no config.json.", id=self.id))
        beside = {name for name in self.files if _BESIDE.fullmatch(name) and not _NOT.fullmatch(name)}
        weights = {WHOLE} if WHOLE in self.files else self._shards()
        if not weights:
            raise ModelNotFoundError(Sentence("`{id}` has no safetensors weights; other formats are not read.", id=self.id))
        if missing := sorted(weights - self.files.keys()):
            raise ModelError(Sentence("The hub's list of `{id}` lacks {file}.", id=self.id, file=missing[0]))
        return sorted((self.files[name] for name in beside | weights), key=lambda file: (file.size, file.name))

    def _shards(self) -> set[str]:
        """The files that the index names, which is fetched and checked first."""
        if INDEX not in self.files:
            return set()
        self.fetch([self.files[INDEX]], lambda _step: None)
        return check_index(self.blobs / self.files[INDEX].digest, self.id)

    def check_room(self, files: Sequence[File]) -> None:
        """Raises DownloadError when the disk has less room than is missing."""
        self.blobs.mkdir(parents=True, exist_ok=True)
        missing = sum(file.size - self._have(file) for file in files)
        free = shutil.disk_usage(self.blobs).free
        if missing > free:
            raise DownloadError(
                Sentence(
                    "The disk is too full to fetch `{id}` into {folder}: it needs {missing:.1f} GB, and {free:.1f} GB are free.",
                    id=self.id,
                    folder=self.blobs.parent,
                    missing=missing / 1e9,
                    free=free / 1e9,
                ),
                hint="Free some space, or set HF_HOME to a folder on a larger disk.",
            )

    def _have(self, file: File) -> int:
        """Bytes of a file that are here."""
        for place in (self.blobs / file.digest, self._part(file)):
            with contextlib.suppress(OSError):
                return min(place.stat().st_size, file.size)
        return 0

    def _part(self, file: File) -> Path:
        return self.blobs / f"{file.digest}.part"

    def fetch(self, files: Sequence[File], tell: Tell) -> None:
        """Bring every file to the cache; two processes take turns."""
        self.blobs.mkdir(parents=True, exist_ok=True)
        have = {file.name: self._have(file) for file in files}
        total = sum(file.size for file in files)
        with FileLock(self.blobs.parent / ".pull.lock"):
            for number, file in enumerate(files):

                def told(done: int, number: int = number, file: File = file) -> None:
                    have[file.name] = done
                    tell(Step(number + (done >= file.size), len(files), sum(have.values()), total))

                if not (self.blobs / file.digest).exists():
                    self._whole(file, told)
                told(file.size)

    def _whole(self, file: File, told: Callable[[int], None]) -> None:
        """Fetch a file, going on as long as each try brings something."""
        part, failed = self._part(file), 0
        while True:
            before = self._have(file)
            try:
                self._continue(file, part, told)
                break
            except Exception as error:
                failed = 1 if self._have(file) - before > _BLOCK else failed + 1
                if not _broke_off(error) or failed == _ATTEMPTS:
                    raise
                log.warning("the download broke off at %d bytes and goes on (%s)", self._have(file), type(error).__name__)
                time.sleep(_PAUSE * failed)
        if _digest(part, file) != file.digest:
            part.unlink()
            raise DownloadError(
                Sentence(
                    "{file} of `{id}` is not what the hub says (its sum differs), so it was removed.", file=file.name, id=self.id
                ),
                hint="Run the same command again.",
            )
        part.replace(self.blobs / file.digest)

    def _continue(self, file: File, part: Path, told: Callable[[int], None]) -> None:
        have = part.stat().st_size if part.exists() else 0
        if have == file.size and have:
            return
        url = hf_hub_url(self.id, file.name, revision=self.commit)
        headers = (
            build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if 0 < have < file.size else {})
        )
        with get_session().stream("GET", url, headers=headers, follow_redirects=True) as response:
            hf_raise_for_status(response)
            have = have if response.status_code == 206 else 0
            with part.open("ab" if have else "wb", buffering=0) as out:
                for block in response.iter_bytes():  # as they come: none is lost when it breaks off
                    have += len(block)
                    if have > file.size:
                        break  # the sum will not be right
                    out.write(block)
                    told(have)
        if have < file.size:
            raise ConnectionError("the server ended early")


def _listed(siblings: Sequence[Any]) -> Iterator[tuple[str, File]]:
    """The files that have a size and a sum; a name or a sum of another form is none that may become a path."""
    for found in siblings:
        lfs = found.lfs
        digest = str((lfs.sha256 if lfs is not None else None) or found.blob_id)
        size = (lfs.size if lfs is not None else None) or found.size
        if _SUM.fullmatch(digest) and isinstance(size, int) and size >= 0:
            yield str(found.rfilename), File(str(found.rfilename), size, digest)


def _digest(path: Path, file: File) -> str:
    """The sum of a file, of the kind that the hub named."""
    large = len(file.digest) == 64
    made = hashlib.sha256() if large else hashlib.sha1(b"blob %d\x00" % file.size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            made.update(block)
    return made.hexdigest()


@contextlib.contextmanager
def _explained(config: ModelConfig) -> Iterator[None]:
    """What breaks off or does not fit in words of a download, all else in the words of loading."""
    with explained(config):
        try:
            yield
        except ForwardPassError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise DownloadError(
                    Sentence("The disk became full while `{id}` was fetched. What came is kept.", id=config.id),
                    hint="Free some space, and run the same command again.",
                ) from error
            if not _broke_off(error) or "ConnectError" in causes(error)[0]:
                raise
            raise DownloadError(
                Sentence("The download of `{id}` broke off. What came is kept, and will not be fetched again.", id=config.id),
                hint="Check the network, and run the same command again.",
            ) from error


def _broke_off(error: Exception) -> bool:
    """Whether the same may go well later: the network, or a server that has trouble."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return bool(status >= 500 or status == 429)
    return bool(causes(error)[0] & _BROKE_OFF)
