"""The HTML viewer: one self-contained page that shows everything a trace holds. Knows no Discord and no torch.

The page needs no network and may use none: its policy allows its own two scripts, by their sums, and nothing else. Token strings
travel as JSON in which no character can end the script element, and reach the page as text nodes or canvas text alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib import colormaps

from bot.catalogue import CHINESE, ENGLISH, language_of, table
from bot.render.viewer_data import page_data
from models.trace import Trace

LOCALES = (ENGLISH, CHINESE)
SCRIPTS = ("words.js", "lens.js", "state.js", "map.js", "charts.js", "cells.js", "watch.js", "evidence.js", "main.js")
"""In this order they are one script."""
_STOPS = 48
_UNSAFE = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}


def viewer_html(
    trace: Trace,
    *,
    others: Sequence[Trace] = (),
    created: str | None = None,
    locale: str = "en-US",
    headlines: Mapping[str, str] | None = None,
) -> str:
    """The page of a trace, in UTF-8; the same traces make the same page.

    Args:
        trace: the reading that the page opens with.
        others: the same answer read through other lenses; the page switches between them.
        created: a time stamp to show, as it is.
        locale: a Discord locale; the page knows English and Simplified Chinese and switches between them.
        headlines: what stands under the answer, by locale.

    Raises:
        ValueError: ``others`` are of another answer.
    """
    data = {
        **page_data([trace, *others]),
        "created": created,
        "locale": language_of(locale),
        "strings": {name: strings(name) for name in LOCALES},
        "headlines": dict(headlines or {}),
        "colours": _colours(),
    }
    library, script = _vendored("echarts.min.js"), _script()
    page = (
        _environment()
        .from_string(_own("page.html"))
        .render(
            policy=_policy(library, script),
            style=Markup(_own("style.css")),  # noqa: S704 our own file
            library=Markup(library),  # noqa: S704 our own file
            notice=_vendored("echarts.NOTICE.txt").strip(),
            script=Markup(script),  # noqa: S704 our own file
            data=Markup(embedded_json(data)),  # noqa: S704 escaped by embedded_json
            language=data["locale"],
        )
    )
    return page if page.endswith("\n") else page + "\n"


def embedded_json(data: Any) -> str:
    """JSON in ASCII that may stand inside a script element: no ``<``, ``>`` or ``&`` is left in it."""
    text = json.dumps(_finite(data), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.translate(_UNSAFE)


def _finite(value: Any) -> Any:
    """The same with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@cache
def strings(locale: str) -> dict[str, str]:
    """Every word of the page in ``en-US`` or ``zh-CN``."""
    return table(f"viewer.{locale}.yaml")


def _policy(*scripts: str) -> str:
    """The page's Content Security Policy: these scripts, inline style, nothing from anywhere."""
    sums = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in sums)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _script() -> str:
    body = "\n".join(_own(name) for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{body}}})();\n'


@cache
def _colours() -> dict[str, list[str]]:
    """Stops of the colour scales, dim to bright, or pale to dark on the light ground; without the ends that look like holes."""
    ranges = {"dark": ("inferno", np.linspace(0.07, 1.0, _STOPS)), "light": ("magma", np.linspace(1.0, 0.16, _STOPS))}
    stops = {name: colormaps[table](at)[:, :3] for name, (table, at) in ranges.items()}  # (_STOPS, 3)
    pale = 0.8 * np.clip(1 - np.linspace(0, 3, _STOPS), 0, 1)[:, None]  # magma begins with a cream that would flood a white page
    stops["light"] = stops["light"] * (1 - pale) + pale
    return {name: [f"#{bytes(np.rint(255 * stop).astype(int).tolist()).hex()}" for stop in rows] for name, rows in stops.items()}


@cache
def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)


@cache
def _own(name: str) -> str:
    return (resources.files("bot") / "data" / "viewer" / name).read_text(encoding="utf-8")


@cache
def _vendored(name: str) -> str:
    return (resources.files("bot") / "data" / "vendor" / name).read_text(encoding="utf-8")
