"""Raw settings: from YAML and the environment to plain mappings, and from what is wrong in them to plain words.

Knows the shape of a settings model (sections, each with keys) and none of the settings themselves: those are in `bot.config`.
Nothing that looks like a bot token or a password leaves this module inside a sentence.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bot.errors import ConfigError
from bot.redacting import HIDDEN, TOKEN, clean

PREFIX = "FORWARDPASS_"
DEEPEST = 5  # a section's key may hold a mapping; anything deeper is not a setting (and may be an endless YAML alias)

_NO_TOKEN_HERE = "no bot token; put it into FORWARDPASS_TOKEN, or into a separate file and set `discord.token_file` to that file"  # noqa: S105

# What PyYAML raises for junk beside its own errors: dates that do not exist, tags on the wrong scalar, endless nesting.
_YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError, OverflowError)

Settings = dict[str, dict[str, Any]]  # section -> key -> value
Fields = dict[str, dict[str, FieldInfo]]  # section -> key -> field


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what stands there, what is allowed; and all of it as a sentence."""

    key: str
    value: object = field(repr=False)
    allowed: str
    sentence: str


def wrong(key: str, value: object, allowed: str, origin: str = "") -> Problem:
    """A value that is not allowed; ``origin`` is the environment variable that it came from."""
    source = f" (from {origin})" if origin else ""
    return Problem(key, value, allowed, f"`{clean(key)}` is {shown(value)}{source}. Allowed: {allowed}.")


def shown(value: object) -> str:
    """A value as it may stand in an error: short, and without secrets."""
    text = HIDDEN if value == HIDDEN else clean(_repr(value))
    return text if len(text) <= 80 else f"{text[:77]}…"


def _repr(value: object) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # Python refuses to print a whole number of more than 4,300 digits
        return "a value too long to show"


def report(problems: list[Problem]) -> None:
    """Raise one error that tells all problems, if there are any."""
    if problems:
        first = problems[0]
        raise ConfigError(first.key, first.value, first.allowed, problems=tuple(p.sentence for p in problems))


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, where plain YAML silently keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_yaml(text: str, name: str) -> object:
    """Parse the settings file.

    Raises:
        ConfigError: it is not YAML; says the line and the column.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except _YAML_ERRORS as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        why = clean(str(getattr(error, "problem", None) or getattr(error, "reason", None) or "a value that cannot be read"))
        sentence = f"{name}, {where}: this is not valid YAML ({why}). Check the indentation, colons and quotes there."
        # `from None`: the parser's own message quotes the line, which may hold a secret.
        raise ConfigError(name, f"invalid YAML at {where}", "valid YAML", problems=(sentence,)) from None


def without_secrets(data: object, key: str = "", depth: int = 0) -> tuple[object, list[Problem]]:
    """A copy of ``data`` that lacks every token, and a problem for each token that was found."""
    if isinstance(data, str) and TOKEN.search(data):
        return None, [Problem(key, HIDDEN, _NO_TOKEN_HERE, f"`{key}` holds a bot token. Allowed: {_NO_TOKEN_HERE}.")]
    if depth > DEEPEST or not isinstance(data, Mapping | list):
        return (clean(_repr(data)) if isinstance(data, Mapping | list) else data), []
    problems: list[Problem] = []
    pairs = data.items() if isinstance(data, Mapping) else enumerate(data)
    kept: dict[Any, Any] = {}
    for name, value in pairs:
        dotted = clean(f"{key}.{name}".lstrip("."))
        if isinstance(name, str) and re.fullmatch(r"(\w+_)?token", name, re.IGNORECASE):
            problems.append(
                Problem(dotted, HIDDEN, _NO_TOKEN_HERE, f"`{dotted}` is not allowed in the settings. Allowed: {_NO_TOKEN_HERE}.")
            )
            continue
        inner, found = without_secrets(value, dotted, depth + 1)
        problems += found
        if inner is not None or not found:
            kept[name] = inner
    return (kept if isinstance(data, Mapping) else list(kept.values())), problems


def sections_of(model: type[BaseModel]) -> Fields:
    """The sections of a settings model, each with its keys."""
    found = {}
    for name, info in model.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found[name] = section.model_fields
    return found


def settle(data: object, model: type[BaseModel], name: str) -> tuple[Settings, list[Problem]]:
    """The known keys of ``data``, and a problem for all that is unknown, misplaced or secret."""
    plain, problems = without_secrets(data)
    settings: Settings = {}
    if plain is None:
        return settings, problems
    if not isinstance(plain, Mapping):
        return settings, [*problems, wrong(name, plain, "sections such as `model:` with their keys below")]
    fields = sections_of(model)
    for section, values in plain.items():
        if section not in fields:
            problems.append(_unknown(str(section), values, list(fields), fields))
        elif isinstance(values, Mapping):
            settings[section] = {}
            problems += _settle_section(section, values, fields, settings[section])
        elif values is not None:  # a section whose keys are all commented out is empty, and that is fine
            problems.append(wrong(section, values, f"a section with the keys {', '.join(fields[section])}"))
    return settings, problems


def _settle_section(section: str, values: Mapping[Any, Any], fields: Fields, into: dict[str, Any]) -> Iterator[Problem]:
    known = fields[section]
    for key, value in values.items():
        if key not in known:
            yield _unknown(f"{section}.{key}", value, [f"{section}.{name}" for name in known], fields)
        elif isinstance(value, bool) and _is_number(known[key].annotation):
            # YAML reads a bare `yes` or `on` as true, and pydantic would take that for the number 1.
            yield wrong(f"{section}.{key}", value, allowed_words(known[key]))
        else:
            into[key] = value


def _unknown(key: str, value: object, known: list[str], fields: Fields) -> Problem:
    bare = key.rpartition(".")[2]
    elsewhere = [f"{section}.{bare}" for section, keys in fields.items() if bare in keys]
    close = elsewhere or difflib.get_close_matches(key, known, n=1, cutoff=0.3)
    allowed = ", ".join(name.rpartition(".")[2] for name in known)
    guess = f"Did you mean `{close[0]}`? " if close else ""
    sentence = f"there is no setting `{clean(key)}`. {guess}Allowed here: {allowed}."
    return Problem(clean(key), value, allowed, sentence)


def environment_settings(environ: Mapping[str, str], model: type[BaseModel]) -> tuple[Settings, dict[str, str]]:
    """Settings from ``FORWARDPASS_<SECTION>__<KEY>``, and dotted key -> name of the variable that it came from."""
    fields = sections_of(model)
    settings: Settings = {}
    origins = {}
    for name, text in environ.items():
        section, divider, key = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and divider:
            info = fields.get(section, {}).get(key)
            settings.setdefault(section, {})[key] = text if info is None else _environment_value(text, info)
            origins[f"{section}.{key}"] = name
    return settings, origins


def _environment_value(text: str, info: FieldInfo) -> object:
    """Text stays as it stands; numbers, switches and mappings are written as in YAML; empty is none where none is allowed."""
    options = _options(info.annotation)
    if not text and types.NoneType in options:
        return None
    if all(option in (str, types.NoneType) or _is_words(option) for option in options):
        return text
    try:
        return yaml.safe_load(text)
    except _YAML_ERRORS:
        return text


def value_problems(
    error: ValidationError, settings: Settings, model: type[BaseModel], origins: Mapping[str, str]
) -> list[Problem]:
    """What pydantic found, in words; one problem for a key, however many branches of a union failed."""
    fields = sections_of(model)
    problems: dict[str, Problem] = {}
    for item in error.errors(include_url=False, include_context=False):
        section, name = str(item["loc"][0]), str(item["loc"][1])
        info = fields[section][name]
        key, value = f"{section}.{name}", settings[section][name]
        origin = origins.get(key, "")
        if get_origin(info.annotation) is dict and len(item["loc"]) > 2:
            key, value = f"{key}.{item['loc'][2]}", item["input"]
        problems.setdefault(key, wrong(key, value, allowed_words(info), origin))
    return list(problems.values())


def allowed_words(info: FieldInfo) -> str:
    """What a field takes, in words for a person."""
    extra = info.json_schema_extra
    if isinstance(extra, dict) and "allowed" in extra:
        return str(extra["allowed"])
    if any(getattr(item, "pattern", None) for item in info.metadata):
        return str(info.description)  # such a field lists its choices there, where a pattern would mean nothing to a reader
    options = _options(info.annotation)
    words = ", or ".join(_type_words(option, info) for option in options if option is not types.NoneType)
    return f"{words}, or empty" if types.NoneType in options else words


def _type_words(option: Any, info: FieldInfo) -> str:
    if get_origin(option) is Literal:
        *others, last = [str(choice) for choice in get_args(option)]
        return f"{', '.join(others)} or {last}" if others else last
    if get_origin(option) is dict:
        return "a mapping"
    if option in (int, float):
        return f"a {'whole ' if option is int else ''}number{_range_words(info)}"
    return {bool: "true or false", str: "text"}.get(option, "a value of another kind")


def _range_words(info: FieldInfo) -> str:
    limits = {name: getattr(item, name) for item in info.metadata for name in ("ge", "gt", "le", "lt") if hasattr(item, name)}
    numbers = {name: f"{limit:g}" if isinstance(limit, float) else str(limit) for name, limit in limits.items()}
    if numbers.keys() == {"ge", "le"}:
        return f" from {numbers['ge']} to {numbers['le']}"
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    parts = [f"{words[name]} {number}" for name, number in numbers.items()]
    return f", {' and '.join(parts)}" if parts else ""


def _options(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _is_number(annotation: Any) -> bool:
    return any(option in (int, float) for option in _options(annotation))


def _is_words(option: Any) -> bool:
    return get_origin(option) is Literal and all(isinstance(choice, str) for choice in get_args(option))


def read_text(path: Path) -> str:
    """The settings file's text.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        sentence = f"the settings file {path} cannot be read: {why}."
        raise ConfigError("config file", str(path), "a readable YAML file in UTF-8", problems=(sentence,)) from error
