from __future__ import annotations

import json
import select
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from network_samples import changed, tiny_network

from tritforge.cli.main import run
from tritforge.files import held
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network, save_network
from tritforge.patches.file import read_patch_file, write_patch_file
from tritforge.patches.patch import diff, full_update_bytes, inspect
from tritforge.patches.steps import reverse

BASE = tiny_network()
NEW = changed(BASE, 1, 0.1, 0.1)


@pytest.fixture()
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_network("old.safetensors", BASE)
    save_network("new.safetensors", NEW)
    (tmp_path / "update.patch").write_bytes(diff(BASE, NEW, 1))
    return tmp_path


def command(line: str) -> int:
    return run(["patch", *line.split()])


def test_diff_writes_the_patch_and_its_result_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("diff old.safetensors new.safetensors -o made.patch --json made.json") == 0
    content = (folder / "made.patch").read_bytes()
    assert content == (folder / "update.patch").read_bytes()
    result = json.loads((folder / "made.json").read_text())
    assert result["metrics"] == inspect(content) | {"full_update_bytes": full_update_bytes(BASE)}
    assert result["command"] == "tritforge patch diff"
    assert f"in {len(content)} bytes" in capsys.readouterr().out


def test_inspect_tells_and_records(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("inspect update.patch --json told.json") == 0
    told = inspect((folder / "update.patch").read_bytes())
    assert json.loads((folder / "told.json").read_text())["metrics"] == told
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["base_digest"] == network_digest(BASE) and lines["changed_trits"] == str(told["changed_trits"])
    assert set(lines) == set(told)


def test_apply_gives_the_new_network_and_back(folder: Path) -> None:
    assert command("verify update.patch old.safetensors") == 0
    assert command("apply update.patch old.safetensors -o made.safetensors") == 0
    made = load_network("made.safetensors")
    assert network_digest(made) == network_digest(NEW) and made.provenance["version"] == 1
    assert command("reverse update.patch -o back.patch") == 0
    assert (folder / "back.patch").read_bytes() == reverse((folder / "update.patch").read_bytes(), 2)
    assert command("apply back.patch made.safetensors -o again.safetensors") == 0
    assert network_digest(load_network("again.safetensors")) == network_digest(BASE)
    assert command("compose update.patch back.patch -o nothing.patch") == 0
    assert inspect((folder / "nothing.patch").read_bytes())["changed_trits"] == 0
    assert command("diff made.safetensors old.safetensors -o next.patch") == 0
    assert inspect((folder / "next.patch").read_bytes())["version"] == 2
    assert command("reverse update.patch -o back9.patch --version 9") == 0
    assert inspect((folder / "back9.patch").read_bytes())["version"] == 9


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("inspect none.patch", "none.patch: cannot be read"),
        ("inspect old.safetensors", "old.safetensors: starts with"),
        ("verify update.patch new.safetensors", "update.patch: made for network"),
        ("verify update.patch update.patch", "not a readable .safetensors file"),
        ("apply update.patch new.safetensors -o x", "made for network"),
        ("compose update.patch update.patch -o x", "do not meet"),
        ("reverse update.patch -o x --version 1", "update.patch: version is 1; it must be higher"),
        ("diff old.safetensors new.safetensors -o x --version 0", "must be higher"),
        ("verify update.patch old.safetensors --public-key old.safetensors", "public key has"),
        ("verify update.patch old.safetensors --public-key none", "none: cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence(folder: Path, line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(line) == 2
    told = capsys.readouterr()
    assert words in told.err and told.err.count("\n") == 1 and told.out == ""
    assert not (folder / "x").exists()


@contextmanager
def other_process() -> Iterator[subprocess.Popen[str]]:
    """Runs a ``tritforge`` command for each line of its input, and prints its status and what it told of a mistake."""
    code = """
        import contextlib, io, sys
        from tritforge.cli.main import run
        run(["patch", "inspect", "update.patch"])
        print("ready", flush=True)
        for line in sys.stdin:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
                status = run(line.split())
            print(status, told.getvalue().replace("\\n", "|"), flush=True)
        """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "ready\n":
            pass
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> tuple[int, str]:
    assert process.stdout is not None
    status, _, told = process.stdout.readline().strip().partition(" ")
    return int(status), told


def test_of_two_patches_applied_to_one_file_at_once_one_is_refused(folder: Path) -> None:
    """The file then holds the network of the other, which was told that it succeeded."""
    networks = [NEW, changed(BASE, 2, 0.1, 0.1)]
    for number, network in enumerate(networks):
        (folder / f"{number}.patch").write_bytes(diff(BASE, network, 1))
    with other_process() as one, other_process() as two:
        for _ in range(20):
            save_network("shared.safetensors", BASE)
            for number, process in enumerate((one, two)):
                ask(process, f"patch apply {number}.patch shared.safetensors -o shared.safetensors")
            answers = [answer(one), answer(two)]
            statuses = [status for status, _ in answers]
            assert sorted(statuses) == [0, 2]
            assert network_digest(load_network("shared.safetensors")) == network_digest(networks[statuses.index(0)])
            told = answers[statuses.index(2)][1]
            assert told.count("|") == 1
            assert "another process has changed it meanwhile" in told or "made for network" in told
    assert not list(folder.glob(".*"))


def test_applying_waits_for_who_holds_the_network_and_finds_it_changed(folder: Path) -> None:
    with other_process() as process:
        with held("old.safetensors"):
            ask(process, "patch apply update.patch old.safetensors -o old.safetensors")
            assert not select.select([process.stdout], [], [], 0.5)[0]
            save_network("old.safetensors", replace(BASE, provenance={"version": 1}))
        status, told = answer(process)
    assert status == 2 and told.count("|") == 1
    assert "old.safetensors: another process has changed it meanwhile" in told or "must be higher" in told
    assert network_digest(load_network("old.safetensors")) == network_digest(BASE)


def test_a_signature_counts_for_nothing_until_it_is_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = read_patch_file((folder / "update.patch").read_bytes())
    (folder / "forged.patch").write_bytes(write_patch_file(replace(file, signature=bytes(range(64)))))
    assert command("inspect forged.patch") == 0
    assert "signature               present, not checked\n" in capsys.readouterr().out
    for name, told in (("forged", "present, not checked"), ("update", "none")):
        assert command(f"verify {name}.patch old.safetensors --json told.json") == 0
        assert f"signature: {told}; no --public-key was given\n" in capsys.readouterr().out
        assert json.loads((folder / "told.json").read_text())["metrics"]["signature"] == told


def test_signed_patches_are_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cryptography")
    (folder / "server.key").write_bytes(bytes(range(32)))
    (folder / "other.key").write_bytes(bytes(32))
    assert command("key server.key -o server.pub") == command("key other.key -o other.pub") == 0
    assert command("diff old.safetensors new.safetensors -o signed.patch --sign server.key") == 0
    capsys.readouterr()
    assert command("verify signed.patch old.safetensors --public-key server.pub --json checked.json") == 0
    checked = f"checked, by the key {(folder / 'server.pub').read_bytes().hex()}"
    assert f"signature: {checked}\n" in capsys.readouterr().out
    assert json.loads((folder / "checked.json").read_text())["metrics"]["signature"] == checked
    assert command("apply signed.patch old.safetensors -o x --public-key other.pub") == 2
    assert "not by the given key" in capsys.readouterr().err and not (folder / "x").exists()
    assert command("verify update.patch old.safetensors --public-key server.pub") == 2
