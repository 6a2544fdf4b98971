"""Read JSON strictly, and check it against a schema: the errors name the file and the key.

A schema is written like the value that it describes:

    str, bool, None, object     text, true or false, null, anything
    Number(low, high, whole)    a number from low to high; a boolean is no number
    [a, b, c]                   a list of exactly these
    [a, ...], [a, a, ...]       a list of any number of these, of at least one
    {str: item}                 an object with any keys
    {"a": x, "b?": y}           an object with the key a, perhaps with b, and perhaps with others, which are not checked
    (a, b, ...)                 any of these, at most one of them a list and one an object
"""

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stn_ref.checks import DamagedFileError

DEPTH = 50  # levels of lists and objects
LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Number:
    """A number from low to high; `whole`: an integer."""

    low: float = -LARGEST
    high: float = LARGEST
    whole: bool = False

    def __str__(self) -> str:
        kind = "an integer" if self.whole else "a number"
        if self.high < LARGEST:
            return f"{kind} from {self.low:g} to {self.high:g}"
        return f"{kind} of at least {self.low:g}" if self.low > -LARGEST else kind

    def holds(self, value) -> bool:
        """Return whether the value is a number of this kind, in this range."""
        kinds = int if self.whole else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high


NUMBER, POSITIVE, PERCENT, FRACTION = Number(), Number(0), Number(0, 100), Number(0, 1)
COUNT = Number(0, whole=True)
_WORDS = {str: "text", bool: "true or false", type(None): "null", list: "a list", dict: "an object"}


def read(path: str | os.PathLike, schema, what: str, error: type[Exception] = DamagedFileError):
    """Return the value in a JSON file, which fits the schema.

    Args:
        path: the file.
        schema: see above.
        what: what the file should be, for messages, for example "a file of results".
        error: the error to raise for a damaged file.

    Raises:
        FileNotFoundError: the file does not exist.
        error: the file is a directory, is no strict JSON (see `parse`), or does not fit the schema.
    """
    path = Path(path)
    try:
        value = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist; expected {what}") from None
    except IsADirectoryError:
        raise error(f"{path} is a directory, expected {what}") from None
    except ValueError as fault:
        raise error(f"{path} is damaged or not {what} ({fault}); move it away") from None
    expect(path, value, schema, what, error)
    return value


def expect(path: Path, value, schema, what: str, error: type[Exception] = DamagedFileError) -> None:
    """Raise `error` if a value from a file does not fit the schema; the arguments are as for `read`."""
    if why := misfit(value, schema):
        raise error(f"{path} is damaged or not {what}: {why}; move it away")


def parse(text: str | bytes):
    """Return the value of JSON text, without what Python's json accepts beyond JSON.

    Raises:
        ValueError: it is not JSON; a number is NaN or infinite; a key occurs twice in an object; lists and objects are
            nested more than DEPTH levels deep.
    """
    deep = ValueError(f"nested more than {DEPTH} levels deep")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise deep from None
    level, depth = [value], 0
    while level := [item for outer in level if isinstance(outer, (list, dict)) for item in _items(outer)]:
        depth += 1
        if depth > DEPTH:
            raise deep
    return value


def dump(value, **options) -> str:
    """Return a value as JSON text, from which `parse` makes an equal value; `options` as for json.dumps.

    Raises:
        ValueError: there is no such text: see `parse`; or a key is no text, or a value is no JSON, for example a set.
    """
    try:
        text = json.dumps(value, allow_nan=False, **options)
        same = parse(text) == value
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not same:
        raise ValueError("not JSON: keys must be text, and lists must not be tuples")
    return text


def misfit(value, schema, key: str = "") -> str:
    """Return how a value differs from a schema, or an empty string if it fits; `key` is the path to the value.

    >>> misfit({"result": {"test_error_percent": -5}}, {"result": {"test_error_percent?": PERCENT}})
    'result.test_error_percent must be a number from 0 to 100; got -5'
    """
    kinds = schema if isinstance(schema, tuple) else (schema,)
    for kind in kinds:
        if isinstance(kind, (list, dict)) and isinstance(value, type(kind)):
            return next(filter(None, _misfits_inside(value, kind, key)), "")
        if _holds(value, kind):
            return ""
    got = _WORDS[type(value)] if isinstance(value, (list, dict)) else f"{value!r:.60}"
    return f"{key or 'it'} must be {' or '.join(map(_word, kinds))}; got {got}"


def _misfits_inside(value: list | dict, kind: list | dict, key: str) -> Iterator[str]:
    if isinstance(kind, list):
        more = kind[-1:] == [...]
        least = len(kind) - 2 * more
        if len(value) < least or (len(value) > least and not more):
            yield f"{key} must have {'at least ' * more}{least} item{'s' * (least != 1)}; got {len(value)}"
        schemas = kind[:-1] + kind[-2:-1] * len(value) if more else kind
        yield from (misfit(*pair, f"{key}[{k}]") for k, pair in enumerate(zip(value, schemas, strict=False)))
    elif str in kind:
        yield from (misfit(item, kind[str], f"{key}.{name}".removeprefix(".")) for name, item in value.items())
    else:
        for name, schema in kind.items():
            name, optional = name.removesuffix("?"), name.endswith("?")
            at = f"{key}.{name}".removeprefix(".")
            if name in value:
                yield misfit(value[name], schema, at)
            elif not optional:
                yield f"{at} is missing"


def _holds(value, kind) -> bool:
    if isinstance(kind, Number):
        return kind.holds(value)
    return value is None if kind is None else isinstance(kind, type) and isinstance(value, kind)


def _word(kind) -> str:
    return str(kind) if isinstance(kind, Number) else _WORDS[kind if isinstance(kind, type) else type(kind)]


def _items(outer: list | dict) -> list:
    return list(outer.values()) if isinstance(outer, dict) else outer


def _object(pairs: list[tuple]) -> dict:
    found = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r:.60} occurs twice")
        found[name] = value
    return found


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text:.60} is not a finite number")
    return number
