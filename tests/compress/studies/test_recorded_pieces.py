from __future__ import annotations

from dataclasses import replace

import pytest

from tritforge.compress.studies.recorded_pieces import record_pieces
from tritforge.errors import ResultFileError
from tritforge.results import Result, read_result

MEASUREMENT = Result("python -m measure", {}, {"of": "things"}, [0, 1])


def total(pieces: dict) -> dict:
    return {"total": sum(piece["value"] for piece in pieces.values())}


def test_pieces_are_recorded_as_they_end_and_not_done_again(tmp_path):
    path = tmp_path / "result.json"
    done = []

    def first() -> dict:
        done.append("first")
        return {"value": 1}

    def interrupted() -> dict:
        assert read_result(path).metrics == {"pieces": {"first": {"value": 1}}}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record_pieces(path, MEASUREMENT, {"first": first, "second": interrupted}, total)
    metrics = record_pieces(path, MEASUREMENT, {"first": first, "second": lambda: {"value": 2}}, total)
    assert done == ["first"]
    assert metrics == {"total": 3, "pieces": {"first": {"value": 1}, "second": {"value": 2}}}
    assert read_result(path).metrics == metrics


@pytest.mark.parametrize("other", [{"command": "python -m other"}, {"arguments": {}}, {"seeds": [0]}])
def test_a_file_of_another_measurement_is_not_touched(tmp_path, other):
    path = tmp_path / "result.json"
    record_pieces(path, MEASUREMENT, {"first": lambda: {"value": 1}}, total)
    before = path.read_bytes()
    with pytest.raises(ResultFileError, match=f"result.json holds a measurement with other {next(iter(other))}"):
        record_pieces(path, replace(MEASUREMENT, **other), {"first": lambda: {"value": 1}}, total)
    assert path.read_bytes() == before
