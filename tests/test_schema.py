"""JSON is read strictly, and a value that does not fit its schema is named by file and key."""

import json
import re

import pytest

from stn_ref import checks, schema
from stn_ref.schema import COUNT, FRACTION, NUMBER, PERCENT, POSITIVE, Number, misfit

SHAPE = {
    "name": str,
    "rows": [{"percent": (PERCENT, None), "n?": COUNT}, ...],
    "pair?": [str, NUMBER],
    "some?": [str, str, ...],
    "of?": {str: NUMBER},
    "on?": bool,
}
GOOD = {
    "name": "a",
    "rows": [{"percent": 0, "n": 3}, {"percent": None}],
    "of": {"x?": 1.5, "": -2},
    "more": [[]],
    "pair": ["a", 1],
    "some": ["a", "b"],
}


def test_a_value_that_fits_is_accepted_and_other_keys_are_not_checked():
    assert misfit(GOOD, SHAPE) == "" and misfit([], [str, ...]) == "" and misfit(None, None) == ""


def test_a_misfit_names_the_key_what_was_expected_and_what_was_got():
    for change, why in (
        ({"name": 3}, "name must be text; got 3"),
        ({"name": None}, "name must be text; got None"),
        ({"rows": {}}, "rows must be a list; got an object"),
        ({"rows": [{"percent": 5}, {}]}, "rows[1].percent is missing"),
        ({"rows": [{"percent": -5}]}, "rows[0].percent must be a number from 0 to 100 or null; got -5"),
        ({"rows": [{"percent": 100.5}]}, "rows[0].percent must be a number from 0 to 100 or null; got 100.5"),
        ({"rows": [{"percent": True}]}, "rows[0].percent must be a number from 0 to 100 or null; got True"),
        ({"rows": [{"percent": 1, "n": 1.0}]}, "rows[0].n must be an integer of at least 0; got 1.0"),
        ({"rows": [{"percent": 1, "n": [1]}]}, "rows[0].n must be an integer of at least 0; got a list"),
        ({"rows": [5]}, "rows[0] must be an object; got 5"),
        ({"of": {"x?": 1, "y": "2"}}, "of.y must be a number; got '2'"),
        ({"of": {"x": 10**400}}, "of.x must be a number; got 1000"),
        ({"pair": ["a"]}, "pair must have 2 items; got 1"),
        ({"pair": ["a", 1, 2]}, "pair must have 2 items; got 3"),
        ({"pair": ["a", "b"]}, "pair[1] must be a number; got 'b'"),
        ({"some": []}, "some must have at least 1 item; got 0"),
        ({"some": ["a", "b", 1]}, "some[2] must be text; got 1"),
        ({"on": 1}, "on must be true or false; got 1"),
    ):
        assert misfit(GOOD | change, SHAPE).startswith(why), change
    for value in ([], "text", 3, None):
        assert misfit(value, SHAPE).startswith("it must be an object; got ")
    del (without := dict(GOOD))["name"]
    assert misfit(without, SHAPE) == "name is missing"
    assert len(misfit("x" * 9999, NUMBER)) < 100
    assert misfit(2, (FRACTION, POSITIVE)) == "" and misfit(-1, Number(-1)) == ""


def test_what_is_no_strict_json_is_refused_with_the_reason():
    for text, why in (
        ('{"a": NaN}', "NaN is not a finite number"),
        ("[-Infinity]", "-Infinity is not a finite number"),
        ("1e999", "1e999 is not a finite number"),
        ('{"a": 1, "b": 2, "a": 1}', "the key 'a' occurs twice"),
        ("[" * 51 + "1" + "]" * 51, "nested more than 50 levels deep"),
        ('{"a":' * 51 + "1" + "}" * 51, "nested more than 50 levels deep"),
        ("[" * 100_000, "nested more than 50 levels deep"),
        ('{"a":' * 100_000, "nested more than 50 levels deep"),
        ("", "Expecting value"),
        ("{} {}", "Extra data"),
        ("9" * 5000, "Exceeds the limit"),
    ):
        with pytest.raises(ValueError, match=re.escape(why)):
            schema.parse(text)
    for value in ({"a": [1, -2.5, None, True, "é"]}, json.loads("[" * 50 + "1" + "]" * 50)):
        assert schema.parse(json.dumps(value)) == value


def test_a_file_is_read_or_named_with_what_it_should_be(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError, match=r"x\.json does not exist; expected a report"):
        schema.read(path, SHAPE, "a report")
    path.write_text(json.dumps(GOOD))
    assert schema.read(path, SHAPE, "a report") == GOOD
    for content, why in (
        (b"\xff", r"\('utf-8' codec can't decode"),
        (b"[NaN]", r"\(NaN is not"),
        (b"{}", ": name is missing"),
    ):
        path.write_bytes(content)
        with pytest.raises(checks.DamagedFileError, match=rf"x\.json is damaged or not a report.*{why}.*; move it"):
            schema.read(path, SHAPE, "a report")
    with pytest.raises(checks.DamagedFileError, match="is a directory, expected a report"):
        schema.read(tmp_path, SHAPE, "a report")
