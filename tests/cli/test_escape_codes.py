"""Names and texts of files on the terminal: one line each, and nothing that a terminal would act on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from network_samples import changed, tiny_network
from safetensors import safe_open
from safetensors.numpy import load_file, save

from tritforge.cli.main import run
from tritforge.cli.shared.echo import echo
from tritforge.errors import NetworkError
from tritforge.network.file import save_network
from tritforge.patches.patch import diff
from tritforge.results import Result, write_result

EVIL = "conv\x1b]0;owned\x07\n\x1b[2J"

COMMANDS = [
    "lower evil.safetensors -o out.program",
    "explore evil.safetensors",
    "simulate evil.safetensors --random-pixels",
    "patch verify update.patch evil.safetensors",
    "patch apply update.patch evil.safetensors -o out",
    "patch diff evil.safetensors evil.safetensors -o out",
    "evaluate evil.safetensors",
    "report evil.json",
    "report layers evil.json",
]


def plain(text: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in text)


def with_metadata(path: Path, **changes: Any) -> None:
    """Change the JSON of the network file ``path`` where it names the layer ``first``, and top-level keys."""
    with safe_open(path, framework="numpy") as file:
        document = json.loads(file.metadata()["tritforge"]) | changes
    tensors = {name.replace("first.", f"{EVIL}."): value for name, value in load_file(path).items()}
    text = json.dumps(document).replace('"first"', json.dumps(EVIL))
    path.write_bytes(save(tensors, metadata={"tritforge": text}))


@pytest.fixture()
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    base = tiny_network()
    (tmp_path / "update.patch").write_bytes(diff(base, changed(base, 1, 0.1, 0.1), 1))
    save_network("evil.safetensors", base)
    with_metadata(tmp_path / "evil.safetensors")
    write_result("evil.json", Result(f"tritforge {EVIL}", {EVIL: [{EVIL: EVIL}]}, machine=EVIL, revision=EVIL))
    return tmp_path


@pytest.mark.parametrize("line", COMMANDS)
def test_no_command_lets_escape_codes_through(line: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status = run(line.split())
    told = capfd.readouterr()
    assert plain(told.out + told.err)
    if "evil.safetensors" in line:
        assert status == 2 and told.err.count("\n") == 1 and told.out == ""
        assert told.err.startswith(
            "evil.safetensors: layer conv\\x1b]0;owned\\x07 \\x1b[2J: the name holds a character"
        )


def test_a_recipe_of_a_file_is_told_escaped(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    save_network("n.safetensors", replace(tiny_network(), provenance={"recipe": f"dataset = '''{EVIL}'''"}))
    assert run(["evaluate", "n.safetensors"]) == 2
    told = capfd.readouterr()
    assert plain(told.err) and told.err.count("\n") == 1


@pytest.mark.parametrize("name", ["a\x1b[31m", "a\nb", "\ud800", "\u202e", "\x7f", "\x9b"])
def test_a_network_has_printable_names(name: str) -> None:
    network = tiny_network()
    stem, first, *rest = network.layers
    layers = (replace(stem, name=name), replace(first, input=name), *rest)
    with pytest.raises(NetworkError, match="the name holds a character that cannot be printed") as caught:
        replace(network, layers=layers)
    assert str(caught.value).isprintable()


def test_what_a_command_tells_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    echo(EVIL)
    echo(Path(EVIL), err=True)
    shown = "conv\\x1b]0;owned\\x07\\n\\x1b[2J\n"
    assert capfd.readouterr() == (shown, shown)
