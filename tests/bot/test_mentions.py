"""Whatever says something allows no ping but that of a reply, and nothing else is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.mentions import guarded, guarded_form

TEXT: dict[str, Any] = {"type": 10, "content": "@everyone"}
NOBODY: dict[str, Any] = {"parse": []}


@pytest.mark.parametrize(
    "said", [{"content": "@everyone"}, {"embeds": [{"title": "x"}]}, {"components": [TEXT]}, {"content": ""}]
)
def test_what_says_something_pings_nobody(said: dict[str, Any]) -> None:
    assert guarded(said) == {**said, "allowed_mentions": NOBODY}
    for kind in (4, 7):
        assert guarded({"type": kind, "data": said}) == {"type": kind, "data": {**said, "allowed_mentions": NOBODY}}


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ({"parse": ["everyone", "users", "roles"]}, NOBODY),
        ({"users": ["1"], "roles": ["2"]}, NOBODY),
        ({"parse": [], "replied_user": True}, {"parse": [], "replied_user": True}),
        ({"replied_user": False}, NOBODY),
        (None, NOBODY),
    ],
)
def test_only_a_reply_may_ping_its_author(asked: Any, allowed: dict[str, Any]) -> None:
    assert guarded({"content": "x", "allowed_mentions": asked})["allowed_mentions"] == allowed


@pytest.mark.parametrize(
    "body",
    [
        None,
        [{"name": "ask", "type": 1}],
        {"archived": True},
        {"name": "a thread", "auto_archive_duration": 60},
        {"type": 5, "data": {"flags": 64}},
        {"type": 8, "data": {"choices": []}},
        {"type": 9, "data": {"title": "x", "components": []}},
        {"type": 6},
        {"content": None, "flags": 4},
    ],
)
def test_what_is_no_message_is_left_as_it_is(body: Any) -> None:
    assert guarded(body) == body


def test_a_message_with_files_is_one_too() -> None:
    file = {"name": "files[0]", "value": b"PNG", "filename": "heatmap.png", "content_type": "image/png"}
    head, same = guarded_form([{"name": "payload_json", "value": json.dumps({"components": [TEXT]})}, file])
    assert json.loads(head["value"]) == {"components": [TEXT], "allowed_mentions": NOBODY}
    assert same is file
    assert guarded_form(None) is None
