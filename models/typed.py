"""From plain JSON values to a frozen dataclass by its annotations; a value of another kind is refused, not carried along.

What goes into files as JSON comes back through here, so that whoever reads it later may rely on its types. Knows no class of the
project.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar

import numpy as np

T = TypeVar("T")
_BEYOND = {"nan", "inf", "-inf", "NaN", "Infinity", "-Infinity"}
"""Numbers that JSON has no words for, as they are written."""
_WHOLE = range(-(2**63), 2**63)


def build(kind: type[T], data: Any) -> T:
    """A dataclass of the values of ``data``; keys that it does not know are left out.

    Raises:
        ValueError: a value is missing, or of another type.
    """
    if not isinstance(data, Mapping):
        raise _refused(kind.__name__)
    hints = typing.get_type_hints(kind)
    for f in fields(kind):  # type: ignore[arg-type]
        if f.name not in data and f.default is MISSING and f.default_factory is MISSING:
            raise _refused(f.name)
    return kind(**{name: value_of(hints[name], value, name) for name, value in data.items() if name in hints})


def value_of(hint: Any, value: Any, name: str) -> Any:
    """The value in the type that a field is annotated with. Raises ValueError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else value_of(arguments[0], value, name)
    if hint is Any:
        return value
    if origin is Literal:
        if not isinstance(value, str) or value not in arguments:
            raise _refused(name)
        return value
    if origin is np.ndarray:
        return _array(hint, value, name)
    if is_dataclass(hint):
        return build(typing.cast("type[Any]", hint), value)
    return _several(origin, arguments, value, name) if origin is not None else _single(hint, value, name)


def _several(origin: Any, arguments: tuple[Any, ...], value: Any, name: str) -> Any:
    """A tuple, a sequence or a mapping of values."""
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise _refused(name)
        return {_key(arguments[0], key, name): value_of(arguments[1], item, name) for key, item in value.items()}
    if origin in (tuple, Sequence):
        if not isinstance(value, list | tuple):
            raise _refused(name)
        return tuple(value_of(arguments[0], item, name) for item in value)
    raise _refused(name)


def _single(hint: Any, value: Any, name: str) -> Any:
    if hint is float and isinstance(value, str) and value in _BEYOND:
        return float(value)
    right = (int, float) if hint is float else hint
    if not isinstance(value, right) or (isinstance(value, bool) and hint is not bool):
        raise _refused(name)
    if isinstance(value, int) and value not in _WHOLE:
        raise _refused(name)
    return value


def _key(hint: Any, key: Any, name: str) -> Any:
    if hint is not int:
        return _single(hint, key, name)
    found = int(key)
    if found not in _WHOLE:
        raise _refused(name)
    return found


def _array(hint: Any, value: Any, name: str) -> Any:
    """Numbers, in the array type of the annotation; whole ones stay whole."""
    wanted = typing.get_args(typing.get_args(hint)[1])[0]
    if isinstance(value, np.ndarray):
        if value.dtype != wanted:
            raise _refused(name)
        return value
    try:
        with np.errstate(all="ignore"):
            made = np.asarray(value, dtype=wanted)
            whole = wanted is np.float32 or bool(np.all(np.asarray(value, dtype=np.float64) == made))
    except (ValueError, TypeError, OverflowError) as error:
        raise _refused(name) from error
    if not whole:
        raise _refused(name)
    return made


def _refused(name: str) -> ValueError:
    return ValueError(f"it holds no `{name}` of the right kind")


def finite(*numbers: float) -> bool:
    """Whether none of them is infinite or no number."""
    return all(math.isfinite(number) for number in numbers)
