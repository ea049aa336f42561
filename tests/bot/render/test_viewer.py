"""The viewer's page: small, the same each time, sealed off, and its data exactly the trace's."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from bot.render import viewer
from bot.render.viewer import SCRIPTS, strings, viewer_html
from bot.render.viewer_data import pack, page_data
from models import readings
from models.trace import Trace
from tests.bot.render.viewer_traces import HOSTILE, hostile_trace, large_trace, whole_trace
from tests.bot.strategies import traces

PACKAGE = resources.files("bot")
VENDOR = PACKAGE / "data" / "vendor"
MIB = 1024 * 1024


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


def unpack(packed: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b"]), dtype=f"<{packed['t']}")


def own_part(page: str) -> str:
    """The page without the library."""
    return page.replace((VENDOR / "echarts.min.js").read_text(encoding="utf-8"), "")


def test_the_numbers_are_the_traces_own_bit_by_bit() -> None:
    trace = whole_trace()
    (lens,) = data_of(viewer_html(trace))["lenses"]
    for name, array in {
        "emitted": trace.emitted_prob,
        "rank": trace.emitted_rank,
        "entropy": trace.entropy,
        "kl": trace.kl_to_final,
        "probs": trace.top_probs,
    }.items():
        assert np.array_equal(unpack(lens[name]), array.ravel()), name
    page = page_data([trace])
    ids = np.asarray(page["table"]["ids"])
    assert np.array_equal(ids[unpack(lens["top"])], trace.top_ids.ravel())
    assert np.array_equal(ids[page["answer"]], trace.answer_ids)


def test_the_named_depths_are_those_of_the_readings() -> None:
    trace = whole_trace()
    (lens,) = page_data([trace])["lenses"]
    assert lens["pivotal"] == readings.pivotal(trace)
    for t, figures in enumerate(lens["figures"]):
        settle = readings.settle_depth(trace, t)
        assert figures["settle"] == (None if settle is None else max(1, settle))
        assert figures["handover"] == readings.handover_depth(trace, t)
        on_top = [d for d in range(1, trace.depths + 1) if trace.emitted_rank[t, d] == 0]
        assert figures["seen"] == (on_top[0] if on_top else None)
        assert len(figures["considered"]) == len(readings.considered(trace, t))


@pytest.mark.parametrize("count", [1, 3])
def test_a_large_answer_stays_below_six_mebibytes(count: int) -> None:
    """60 tokens by 80 blocks by 10 candidates, through one lens and through three."""
    first, *others = [large_trace(name) for name in ("logit", "tuned", "jacobian")[:count]]
    size = len(viewer_html(first, others=others).encode())
    print(f"{count} lenses: {size / MIB:.2f} MiB")  # noqa: T201
    assert size < 6 * MIB


def test_the_same_traces_make_the_same_page() -> None:
    trace = whole_trace()
    again = replace(trace, meta={**trace.meta, "answer_seconds": 9.0, "second_pass_seconds": 3.0, "states": "recomputed"})
    assert viewer_html(trace) == viewer_html(again)
    first, second = (viewer_html(trace, created=at) for at in ("2026-01-01", "2026-01-02"))
    assert first != second
    assert first.replace("2026-01-01", "2026-01-02") == second


def test_it_is_sealed_off() -> None:
    page = viewer_html(whole_trace())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].replace("&#39;", "'").split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in rules["script-src"]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
    sums = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert rules["script-src"].split() == [f"'sha256-{one}'" for one in sums]
    assert len(scripts) == 2
    own = own_part(page)
    assert re.findall(r"https?://[^\s\"'<]*", own) == ["https://www.apache.org/)."]  # of the notice
    assert re.findall(r"""(?:src|href)=["']?([^"'\s>]+)""", own) == ["#map"]
    assert not re.search(r"\b(?:fetch|XMLHttpRequest|WebSocket|import|sendBeacon|localStorage)\b|@import|url\(", own)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", own)


def test_hostile_tokens_are_data() -> None:
    page = viewer_html(hostile_trace(), created=HOSTILE[0])
    page.encode("utf-8")  # lone surrogates are escaped
    assert len(re.findall(r"<script", own_part(page))) == 3
    data = data_of(page)
    assert set(HOSTILE) <= set(data["table"]["raw"])
    text = re.search(r'type="application/json">(.*?)</script>', page, re.S)
    assert text is not None
    assert text[1].isascii()
    assert not set(text[1]) & set("<>&")
    shown = json.dumps([data["table"]["shown"], data["meta"], data["tokens"]], ensure_ascii=False)
    assert not re.search("[\u202a-\u202e\u2028\x00]", shown)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(traces())
def test_any_trace_has_a_page(trace: Trace) -> None:
    data = data_of(viewer_html(trace))
    assert len(data["answer"]) == trace.length
    assert len(data["lenses"][0]["figures"]) == trace.length
    assert all(token["shown"] for token in data["tokens"])


def test_figures_that_are_no_numbers_do_not_break_it() -> None:
    trace = whole_trace()
    kl = trace.kl_to_final.copy()
    kl[0, 0] = np.inf
    check = replace(trace.findings.causal, logprob=float("-inf"))
    odd = replace(trace, kl_to_final=kl, meta={**trace.meta, "share": float("nan")}).with_findings(causal=check)
    assert data_of(viewer_html(odd))["findings"]["causal"]["t"] == 2


def test_other_lenses_are_of_the_same_answer() -> None:
    trace = whole_trace()
    data = data_of(viewer_html(trace, others=[whole_trace(lens="tuned"), whole_trace(lens="jacobian")]))
    assert [lens["name"] for lens in data["lenses"]] == ["logit", "tuned", "jacobian"]
    assert dict(data["meta"])["lens"] == "logit, tuned, jacobian"
    with pytest.raises(ValueError, match="same answer"):
        viewer_html(trace, others=[whole_trace(length=5)])


def test_locales() -> None:
    trace = whole_trace()
    assert '<html lang="zh-CN"' in viewer_html(trace, locale="zh-TW")
    assert '<html lang="en-US"' in viewer_html(trace, locale="de")


def test_every_word_has_its_chinese_with_the_same_slots() -> None:
    english, chinese = strings("en-US"), strings("zh-CN")
    assert list(english) == list(chinese)
    for key, text in english.items():
        slots = [sorted({name for _, name, _, _ in Formatter().parse(told) if name}) for told in (text, chinese[key])]
        assert slots[0] == slots[1], key
        assert text != chinese[key], key


def test_no_word_is_missing_or_left_over() -> None:
    folder = PACKAGE / "data" / "viewer"
    script = "".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    source = script + (folder / "page.html").read_text(encoding="utf-8")
    used = set(re.findall(r'say\(\s*"(\w+)"', source)) | set(re.findall(r'data-(?:say|label)="(\w+)"', source))
    assert used <= set(strings("en-US"))
    families = tuple(re.findall(r"`(\w+_)\$\{", script))
    suffixes = "_jacobian", "_long", "_story", "_chat", "_block", "_attention", "_mlp", "_logit", "_tuned"
    for key in strings("en-US"):
        made = key.startswith(families) and (key.endswith(suffixes) or key.split("_")[0] in ("meta", "line", "metric"))
        assert f'"{key}"' in source or f".{key}" in source or made, key


def test_every_script_is_in_the_page_and_small() -> None:
    folder = Path(str(PACKAGE / "data" / "viewer"))
    assert {path.name for path in folder.glob("*.js")} == set(SCRIPTS)
    assert all(path.read_text(encoding="utf-8").count("\n") <= 350 for path in folder.iterdir())


def test_the_library_is_the_one_that_is_written_down() -> None:
    source = (VENDOR / "echarts.min.js").read_bytes()
    row = next(line for line in (VENDOR / "README.md").read_text(encoding="utf-8").splitlines() if "echarts.min.js" in line)
    assert hashlib.sha256(source).hexdigest() in row
    version = re.search(rb'version="(\d+\.\d+\.\d+)"', source)
    assert version is not None
    assert f"| {version[1].decode()} |" in row
    assert f"ECharts {version[1].decode()}" in strings("en-US")["footer"]
    assert f"Apache ECharts {version[1].decode()}, Apache License 2.0" in viewer._own("page.html")
    licence = (VENDOR / "echarts.LICENSE.txt").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "Mike Bostock" in licence


def test_package_data_travels() -> None:
    pyproject = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    for folder in ("data/viewer/*", "data/vendor/*"):
        assert f'"{folder}"' in pyproject


def test_arrays_are_packed_as_small_as_they_fit() -> None:
    assert pack(np.asarray([0, 65_535]))["t"] == "u2"
    assert pack(np.asarray([65_536]))["t"] == "u4"
    assert pack(np.zeros(0, dtype=np.int64)) == {"t": "u2", "b": ""}


@pytest.mark.parametrize(("ground", "sign"), [("dark", 1), ("light", -1)])
def test_the_scales_are_read_by_lightness_alone(ground: str, sign: int) -> None:
    """A scale whose lightness only rises, or only falls, is safe for colour-blind eyes and on grey paper."""
    stops = np.asarray([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in viewer._colours()[ground]])
    lightness = (stops / 255) ** 2.2 @ (0.2126, 0.7152, 0.0722)
    assert (sign * np.diff(lightness) > 0).all()


def test_reasons_stand_in_each_language() -> None:
    trace = whole_trace()
    why = "No word was given to follow."
    data = page_data([trace.with_findings(notes={"watched": why})])
    assert data["findings"]["notes"]["watched"] == {"en-US": why, "zh-CN": "没有给出要追踪的词。"}
