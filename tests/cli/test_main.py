"""The front door: statuses, one plain sentence for each mistake, result files and progress of any command."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from tritforge.cli import app as application
from tritforge.cli import main
from tritforge.cli.shared import options
from tritforge.cli.shared.options import JsonOption, write_result
from tritforge.errors import NetworkError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], None]:
    """Makes a function the command ``probe``, beside one other."""

    def install(function: Callable[..., None]) -> None:
        built = application.build_app()
        built.command("probe")(function)
        built.command("other")(lambda: None)
        monkeypatch.setattr(application, "build_app", lambda: built)

    return install


def raising(error: BaseException) -> Callable[[], None]:
    def probe() -> None:
        raise error

    return probe


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (NetworkError("layer conv1 has\nno trits"), 2, "layer conv1 has no trits"),
        (PermissionError(errno.EACCES, "Permission denied", "/locked"), 2, "/locked: permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), 2, "x: no such file or directory"),
        (OSError(errno.ENOSPC, "No space left on device", "big.bin"), 2, "big.bin: no space left on device"),
        (OSError(errno.ENOSPC, "..."), 2, "no space left on device; free some and run the same command again"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch.nn"),
            2,
            "torch is not installed; run: pip install 'tritforge[train]'",
        ),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to resume"),
    ],
)
def test_a_mistake_is_one_sentence(command, capfd, error: BaseException, status: int, sentence: str):
    command(raising(error))
    assert main.run(["probe"]) == status
    assert capfd.readouterr() == ("", sentence + "\n")


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError(errno.EIO, "?"), ImportError("x"), KeyError("a")])
def test_a_defect_keeps_its_traceback(command, error: Exception):
    command(raising(error))
    with pytest.raises(type(error)):
        main.run(["probe"])


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["probe", "surplus"], ["probe", "--json"]])
def test_a_wrong_command_line_is_one_sentence(command, capfd, arguments: list[str]):
    def probe(json: JsonOption = None) -> None:
        pass

    command(probe)
    assert main.run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and "see tritforge" in err


def test_a_result_file_names_the_command_and_its_arguments(command, tmp_path: Path):
    def probe(context: typer.Context, pes: int = 4, json: JsonOption = None) -> None:
        write_result(context, json, {"speedup": 2.0}, arguments={"rate": 0.1}, seeds=[7])

    command(probe)
    assert main.run(["probe", "--pes", "8", "--json", str(tmp_path / "r.json")]) == 0
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["command"] == "tritforge probe"
    assert document["arguments"] == {"pes": 8, "rate": 0.1}
    assert document["seeds"] == [7] and document["metrics"] == {"speedup": 2.0}
    assert 0 <= document["seconds"] < 60


def test_progress_lines_tell_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch, capfd):
    clock = iter([0.0, 1.0, 10.0, 11.0])
    monkeypatch.setattr(options.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(options.sys.stderr, "isatty", lambda: False, raising=False)
    with options.progress("simulating", total=100, unit="images") as advance:
        for count in (5, 15, 1):
            advance(count)
    assert capfd.readouterr().err == "simulating: 20 of 100 images, 2 images/s, 0:40 left\n"


def test_progress_on_a_terminal_draws_a_bar(monkeypatch: pytest.MonkeyPatch, capfd):
    monkeypatch.setattr(options.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with options.progress("simulating", total=100, unit="images") as advance:
        for _ in range(4):
            advance(10)
            time.sleep(0.01)
    drawn = capfd.readouterr().err
    assert "simulating" in drawn and "40/100" in drawn and "images/s" in drawn


def test_every_command_has_help_with_an_example_and_json():
    group = typer.main.get_command(application.build_app())
    for path, leaf in leaves(group, ()):
        text = f"{leaf.help} {leaf.epilog}"
        assert f"tritforge {' '.join(path)}" in text, f"the help of tritforge {' '.join(path)} has no example"
        flags = [flag for parameter in leaf.params for flag in parameter.opts]
        assert "--json" in flags, f"tritforge {' '.join(path)} lacks --json"


def leaves(node, path: tuple[str, ...]):
    if not getattr(node, "commands", None):
        return [(path, node)] if path else []
    return [found for name, child in node.commands.items() for found in leaves(child, (*path, name))]


def test_help_imports_no_heavy_package():
    script = (
        "import sys\nfrom tritforge.cli.main import run\nrun(['--help'])\n"
        "heavy = {'torch', 'cocotb', 'matplotlib', 'sklearn', 'brevitas', 'jinja2'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_the_extra_the_console_command_says_how_to_get_it():
    script = "import sys\nsys.modules['typer'] = None\nfrom tritforge.cli.main import app_entry\napp_entry()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ))
    assert (done.returncode, done.stderr) == (2, "typer is not installed; run: pip install 'tritforge[cli]'\n")


def test_a_tools_log_stands_below_the_sentence():
    from tritforge.cli.main import explain
    from tritforge.sim.simulator.verilator import SimulationError

    assert explain(SimulationError("the bench  failed\nline 1\n  line 2")) == "the bench failed\nline 1\n  line 2"
