"""Discord's own OpenAPI description (tests/data, MIT), made strict: a request needs a route, a valid body and no unknown key.

https://github.com/discord/discord-api-spec. On top of it stand the tighter limits that Discord documents in words only.
Knows no bot.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

SPEC = Path(__file__).parents[1] / "data" / "openapi.json"
COMPONENTS_V2 = 1 << 15
TEXT_DISPLAY = 10
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_HALVES = re.compile("[\ud800-\udfff]")
Schema = dict[str, Any]


@cache
def spec() -> Schema:
    """The description, with every object closed, and ids as discord.py sends them: strings or numbers."""
    data: Schema = json.loads(SPEC.read_text(encoding="utf-8"))
    _close(data["components"]["schemas"])
    _close(data["paths"])
    # Documented, and sent by discord.py with each command, but not in the description.
    # https://docs.discord.com/developers/interactions/application-commands
    data["components"]["schemas"]["ApplicationCommandUpdateRequest"]["properties"]["nsfw"] = {"type": "boolean"}
    data["components"]["schemas"]["SnowflakeType"] = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+$"}]}
    return data


def _close(node: Any) -> None:
    if isinstance(node, list):
        for child in node:
            _close(child)
    elif isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            node.setdefault("additionalProperties", False)
        for child in node.values():
            _close(child)


@cache
def _routes() -> list[tuple[re.Pattern[str], str]]:
    """Paths as patterns, those with the fewest placeholders first."""
    paths = sorted(spec()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path) for path in paths]


def operation(method: str, path: str) -> Schema:
    """What the description says of a route; the test fails when it says nothing."""
    for pattern, template in _routes():
        if pattern.fullmatch(path) and method.lower() in spec()["paths"][template]:
            found: Schema = spec()["paths"][template][method.lower()]
            return found
    raise AssertionError(f"Discord has no {method} {path}")


def problems(method: str, path: str, body: Any) -> list[str]:
    """All that Discord would not like about a request."""
    content = operation(method, path).get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        return [] if body in (None, {}) else [f"{method} {path} takes no body"]
    if method == "PATCH" and isinstance(body, dict) and body.get("tts") is False:
        body = {key: value for key, value in body.items() if key != "tts"}  # discord.py adds it to edits, where it means nothing
    if isinstance(body, dict) and body.get("type") == 7 and (body.get("data") or {}).get("tts") is False:
        body = {**body, "data": {key: value for key, value in body["data"].items() if key != "tts"}}  # the same
    validator = jsonschema.Draft202012Validator({**schema, "components": spec()["components"]})
    found = [f"{method} {path}: {_deepest(error)}" for error in validator.iter_errors(body)]
    return found + [f"{method} {path}: {text}" for text in beyond_the_schema(path, body)]


def _deepest(error: jsonschema.ValidationError) -> str:
    best = jsonschema.exceptions.best_match([error])
    return f"{best.json_path}: {best.message[:300]}"


def beyond_the_schema(path: str, body: Any) -> list[str]:
    """The limits of the prose: content, Components V2, files."""
    if path.endswith("/commands"):
        return _of_commands(body)
    if not isinstance(body, dict):
        return []
    message = body.get("data") or body if path.endswith("/callback") else body
    return [*_of_content(message), *_of_mentions(message), *_of_components(message), *_of_names(message), *_of_halves(body)]


def units(text: str) -> int:
    """UTF-16 code units: as a JavaScript client counts, and never fewer than the code points that the API may count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _of_names(message: Schema) -> list[str]:
    """A thread's name, choices while typing, files and their alternative texts; names and labels are one plain line."""
    choices = message.get("choices") or []
    files = [*(message.get("attachments") or []), *_items(message.get("components") or [])]
    named = [(message.get("name"), 100), *((choice[key], 100) for choice in choices for key in ("name", "value"))]
    named += [(file.get("filename"), 255) for file in files] + [(file.get("description"), 1024) for file in files]
    found = [f"a name of {units(name)} units" for name, most in named if isinstance(name, str) and not 1 <= units(name) <= most]
    every = list(_walk(message.get("components") or []))
    lines = [message.get("name"), *(choice["name"] for choice in choices), *(file.get("filename") for file in files)]
    lines += [part.get(key) for part in every for key in ("label", "placeholder")]
    lines += [option.get(key) for part in every for option in part.get("options") or [] for key in ("label", "description")]
    return found + [
        f"the name {line!a}" for line in lines if isinstance(line, str) and (_STEERING.search(line) or not line.strip())
    ]


def _items(components: list[Schema]) -> list[Schema]:
    return [item for part in _walk(components) for item in part.get("items", [])]


def _of_halves(body: Any) -> list[str]:
    """Lone surrogates, which no JSON parser has to take."""
    return ["half a character"] if _HALVES.search(json.dumps(body, ensure_ascii=False)) else []


def _of_content(message: Schema) -> list[str]:
    content, found = message.get("content"), []
    if isinstance(content, str):
        if units(content) > 2000:
            found.append(f"content of {units(content)} units")
        if not content.strip() and not message.get("components"):
            found.append("an empty message")
    return found


def _of_mentions(message: Schema) -> list[str]:
    """Whatever can hold words can ping: content, embeds and the text of components, in edits as well."""
    speaks = isinstance(message.get("content"), str) or bool(message.get("embeds"))
    speaks = speaks or any(part["type"] == TEXT_DISPLAY for part in _walk(message.get("components") or []))
    allowed = message.get("allowed_mentions")
    if not isinstance(allowed, dict) or "parse" not in allowed:
        return ["text without allowed_mentions"] if speaks else []
    return [f"may ping {kind} {allowed[kind]}" for kind in ("parse", "users", "roles") if allowed.get(kind)]


def _of_components(message: Schema) -> list[str]:
    components = message.get("components") or []
    every = list(_walk(components))
    ids = [part["custom_id"] for part in every if "custom_id" in part]
    found = [] if len(ids) == len(set(ids)) else ["a custom_id stands twice"]
    if any(not 1 <= len(name) <= 100 for name in ids):
        found.append("a custom_id is too long")
    found += [text for part in every for text in _of_control(part)]
    if not message.get("flags", 0) & COMPONENTS_V2:
        return found + [f"component {part['type']} needs Components V2" for part in components if part["type"] != 1]
    text = sum(units(part["content"]) for part in every if part["type"] == TEXT_DISPLAY)
    if len(every) > 40:
        found.append(f"{len(every)} components")
    if text > 4000:
        found.append(f"{text} units of text")
    if message.get("content") or message.get("embeds"):
        found.append("Components V2 beside content")
    named = {attachment["filename"] for attachment in message.get("attachments") or []}
    wanted = {url.removeprefix("attachment://") for url in _urls(every) if url.startswith("attachment://")}
    if named != wanted:
        found.append(f"attachments {named} and references {wanted}")
    return found


def _of_control(part: Schema) -> list[str]:
    """The limits of rows, buttons and selects."""
    found, inside = [], part.get("components") or []
    if part["type"] == 1 and not (1 <= len(inside) <= 5 and (len(inside) == 1 or all(child["type"] == 2 for child in inside))):
        found.append("a row of more than five buttons, or of a select and more")
    if part["type"] == 2 and not part.get("label") and not part.get("emoji"):
        found.append("a button with nothing on it")
    if units(part.get("label") or "") > 80 or units(part.get("placeholder") or "") > 150:
        found.append("a label is too long")
    options = part.get("options") or []
    if part["type"] == 3 and not 1 <= len(options) <= 25:
        found.append(f"{len(options)} options of a select")
    if len({option["value"] for option in options}) < len(options):
        found.append("two options have one value")
    for option in options:
        if any(units(option.get(key) or "") > 100 for key in ("label", "value", "description")) or not option["label"]:
            found.append(f"the option {option['label']}")
    return found


def _walk(components: list[Schema]) -> Any:
    for part in components:
        yield part
        yield from _walk(part.get("components", []))
        if "accessory" in part:
            yield from _walk([part["accessory"]])


def _urls(parts: list[Schema]) -> list[str]:
    items = [item["media"] for part in parts for item in part.get("items", [])]
    return [media["url"] for media in [*items, *(part["file"] for part in parts if "file" in part)]]


def _of_commands(commands: list[Schema]) -> list[str]:
    found = [f"{kind} context menus" for kind in (2, 3) if sum(c.get("type", 1) == kind for c in commands) > 5]
    for command in commands:
        if command.get("type", 1) == 1:
            found += _of_command(command)
        elif not all(1 <= len(name) <= 32 for name in _names(command)):
            found.append(f"the name {command['name']}")
    return found + _twice(commands)


def _of_command(command: Schema) -> list[str]:
    """A slash command, a subcommand or an option, and what is in it."""
    options, found = command.get("options") or [], []
    for text in (command.get("description") or "", *(command.get("description_localizations") or {}).values()):
        if not 1 <= len(text) <= 100:
            found.append(f"the description of {command['name']}")
    for name in _names(command):
        if not re.fullmatch(r"[-_'\w]{1,32}", name) or name != name.lower():
            found.append(f"the name {name}")
    for choice in command.get("choices") or []:
        if not all(1 <= len(name) <= 100 for name in _names(choice)):
            found.append(f"the choice {choice['name']}")
    if len(options) > 25 or len(command.get("choices") or []) > 25:
        found.append(f"more than 25 options of {command['name']}")
    if _characters(command) > 8000:
        found.append(f"{command['name']} has more than 8,000 characters")
    return found + _twice(options) + [text for option in options for text in _of_command(option)]


def _names(part: Schema) -> list[str]:
    return [part["name"], *(part.get("name_localizations") or {}).values()]


def _twice(parts: list[Schema]) -> list[str]:
    """Names that stand twice beside each other in one language."""
    seen = [
        (part.get("type", 1) if "options" not in part else 1, language, name)
        for part in parts
        for language, name in {"": part["name"], **(part.get("name_localizations") or {})}.items()
    ]
    return [f"the name {entry[2]} stands twice" for entry in set(seen) if seen.count(entry) > 1]


def _characters(part: Schema) -> int:
    """Of names, descriptions and values, as Discord counts them: for each the longest of its languages."""
    told = [max(len(name) for name in _names(part))]
    told.append(max([len(part.get("description") or ""), *map(len, (part.get("description_localizations") or {}).values())]))
    told += [max(len(name) for name in _names(choice)) + len(str(choice["value"])) for choice in part.get("choices") or []]
    return sum(told) + sum(_characters(option) for option in part.get("options") or [])
