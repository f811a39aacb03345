"""JSON of hostile files: one ValueError for each thing that a later step would stumble over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_samples import tiny_network
from safetensors.numpy import load_file, save

from tritforge.errors import NetworkError, ProgramError, ResultFileError
from tritforge.network.file import load_network, save_network
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import load_program, save_program
from tritforge.results import Result, read_result, write_result
from tritforge.samples.random_network import random_layer_network
from tritforge.strict_json import MAX_DEPTH, read_json

DEEP = "[" * 100_000 + "]" * 100_000

REFUSED = [
    ("NaN", "found NaN, but numbers must be finite"),
    ("-Infinity", "found -Infinity, but numbers must be finite"),
    ("1e999", "found 1e999, but numbers must be finite"),
    ('{"a":1,"b":2,"a":1}', "key 'a' stands twice in an object"),
    ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "more than 64 levels"),
    (DEEP, "more than 64 levels"),
    (DEEP.replace("[", '{"x":').replace("]", "}").replace(":}", ":1}"), "more than 64 levels"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[case[1][:20] for case in REFUSED])
def test_what_a_later_step_would_stumble_over_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_json(text)


def test_plain_json_is_read_as_it_is() -> None:
    text = '{"a": [1, 2.5, -1e-3, null, true, "\\u001b"], "b": {"a": {}}, "c": ""}'
    assert read_json(text) == read_json(text.encode()) == json.loads(text)
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert read_json(deepest) == json.loads(deepest)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", DEEP, "[" * 70 + "]" * 70])
def test_provenance_that_could_not_be_saved_does_not_load(value: str, tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    save_network(path, tiny_network())
    text = json.dumps(metadata(path)["tritforge"])[1:-1].replace(r"\"seed\":0", rf"\"seed\":{value}")
    path.write_bytes(save(load_file(path), metadata={"tritforge": json.loads(f'"{text}"')}))
    with pytest.raises(NetworkError, match="metadata 'tritforge' is no JSON: "):
        load_network(path)


def metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata())


@pytest.fixture
def program(tmp_path: Path) -> Path:
    network = random_layer_network(np.random.default_rng(3), "conv1x1", group_channels=16)
    save_program(tmp_path / "p.program", lower(network, AcceleratorParameters()))
    return tmp_path / "p.program"


WRONG_PROGRAMS: list[tuple[str, Any, str]] = [
    ("schema", ..., "schema is missing"),
    ("digest", ..., "digest is missing"),
    ("schema", True, "schema is True; this release reads 1"),
    ("schema", 2, "schema is 2; this release reads 1"),
    ("digest", 7, "digest is 7; this release reads a string"),
    ("digest", "0", "do not match the program digest 0"),
    ("network_digest", None, "network_digest is None"),
    ("parameters", [], r"parameters is \[\]; this release reads an object"),
    ("parameters", {"pes": 3}, r"p\.program: parameter pes is 3"),
    ("layer_names", ["a\x1b[31m"], "layer_names is "),
    ("input_shape", [1, 2], r"input_shape is \[1, 2\]; this release reads three sizes"),
    ("classes", 1.5, "classes is 1.5"),
    ("map_addresses", {"a": -1}, "map_addresses is "),
]


@pytest.mark.parametrize(("key", "value", "words"), WRONG_PROGRAMS)
def test_a_wrong_program_file_is_told_in_one_sentence(key: str, value: Any, words: str, program: Path) -> None:
    document = json.loads(metadata(program)["program"]) | {key: value}
    if value is ...:
        del document[key]
    program.write_bytes(save(load_file(program), metadata={"program": json.dumps(document)}))
    with pytest.raises(ProgramError, match=words) as caught:
        load_program(program)
    assert str(caught.value).startswith(f"{program}: ")


@pytest.mark.parametrize("text", [DEEP, "[]", "NaN", "{"])
def test_what_is_no_program_is_told_in_one_sentence(text: str, program: Path) -> None:
    program.write_bytes(save(load_file(program), metadata={"program": text}))
    with pytest.raises(ProgramError, match=r"p\.program: "):
        load_program(program)


def test_a_result_file_of_many_levels_is_refused(tmp_path: Path) -> None:
    write_result(tmp_path / "r.json", Result("tritforge probe", {"deep": 1}))
    text = (tmp_path / "r.json").read_text()
    for value in (DEEP, '{"a": 1, "a": 2}', "1e400"):
        (tmp_path / "r.json").write_text(text.replace('"deep": 1', f'"deep": {value}'))
        with pytest.raises(ResultFileError, match="is not a JSON file: "):
            read_result(tmp_path / "r.json")
