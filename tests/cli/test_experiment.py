from __future__ import annotations

import json
from pathlib import Path

import pytest
from experiment_samples import write_small_pack

from tritforge.cli.main import run
from tritforge.compress.run.lock import locked
from tritforge.results import read_result


@pytest.fixture()
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRITFORGE_DATA", raising=False)
    return write_small_pack(Path("small_jpeg.npz")).name


def run_table3(pack: str, *options: str) -> int:
    return run(
        ["experiment", "run", "table3", "--data-folder", pack, "--epochs", "1", "--only", "resnet20-*s2", *options]
    )


def test_a_budget_leaves_the_rest_to_the_next_call(
    pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_table3(pack, "--budget", "0", "--json", "first.json") == 0
    told = capsys.readouterr().out
    full, naive, clipped = (
        f"resnet20-{what}-e1-one_cycle-s2" for what in ("full_precision-a32", "naive-a32-l1e-3", "clipped-a32-l1e-3-c1")
    )
    assert "0 of 3 runs recorded" in told and f"{full}: top1 " in told
    assert f"the time is over; no run is under way; without a record: {naive}, {clipped}" in told
    assert read_result("first.json").metrics == {"runs": [full, naive, clipped], "missing": [naive, clipped]}
    assert run_table3(pack) == 0
    told = capsys.readouterr().out
    assert "1 of 3 runs recorded" in told and f"{full}: top1" not in told and "without a record" not in told
    recorded = sorted(path.stem for path in Path("reports/results/training").iterdir())
    assert recorded == sorted([full, naive, clipped])
    assert run(["experiment", "list", "table3", "--epochs", "1", "--only", "s2", "--json", "list.json"]) == 0
    assert [row["recorded"] for row in read_result("list.json").metrics["rows"]] == [True] * 3


def test_a_teacher_is_made_where_it_is_missing(pack: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data-folder", pack, "--epochs", "1", "--only", "z0.5-kd0.5"]
    assert run(["experiment", "run", "sparsity", *options]) == 0
    assert "resnet20-clipped-a8-l2.5e-4-c1-z0.5-kd0.5-e1-one_cycle-s0: top1 " in capsys.readouterr().out
    assert run(["experiment", "list", "table3", "--only", "full_precision*e20*s0"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("resnet20-full_precision-a32-e20-one_cycle-s0") and " top1 " in told[0]
    assert all(line.endswith("not run") for line in told[1:])


def test_a_run_that_another_process_trains_is_passed_over(pack: str, capsys: pytest.CaptureFixture[str]) -> None:
    held = "resnet20-naive-a32-l1e-3-e1-one_cycle-s2"
    with locked(Path("runs/experiments") / held):  # a lock of another open file stands for another process
        assert run_table3(pack, "--json", "first.json") == 0
        assert f"left to the process that trains it or its teacher: {held}" in capsys.readouterr().out
        assert read_result("first.json").metrics["missing"] == [held]
    assert run_table3(pack) == 0
    told = capsys.readouterr()
    assert "2 of 3 runs recorded" in told.out and f"{held}: top1 " in told.out and "left to" not in told.out


def test_seeds_of_the_runs_are_replaced(pack: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["experiment", "list", "table3", "--seeds", "5, 8", "--only", "resnet20-t"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [f"resnet20-ternary-a32-e20-one_cycle-s{seed}" for seed in (5, 8)]


def test_experiments_are_listed(pack: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["experiment", "list"]) == 0
    told = capsys.readouterr().out
    for text in (
        "table1",
        "table3",
        "table6",
        "lambda-sweep",
        "lambda-clipping",
        "target-clipping",
        "sparsity",
        "best",
        "latency",
        "ends",
        "0 of  26",
    ):
        assert text in told
    assert run(["experiment", "list", "table6", "--schedule", "paper"]) == 0
    assert "resnet20-clipped-a32-l1e-3-c1-g8-e160-steps-s0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "table9", "--data-folder", "small_jpeg.npz"], "there is no experiment 'table9'; there are table3"),
        (["run", "table3", "--data-folder", "."], ". is neither the folder of an unpacked CIFAR-10 archive nor"),
        (
            ["run", "table3", "--data-folder", "small_jpeg.npz", "--seeds", "a"],
            "--seeds is 'a'; it takes whole numbers",
        ),
        (["run", "table3", "--data-folder", "small_jpeg.npz", "--only", "vgg"], "no run's name holds 'vgg'"),
        (["run", "table3", "--data-folder", "small_jpeg.npz", "--device", "none"], "device is 'none'"),
        (
            ["run", "table3"],
            "the data set cifar10 needs data_folder, the folder of its unpacked archive, or TRITFORGE_DATA",
        ),
        (["list", "--schedule", "long"], "the schedule is 'long'; allowed are modern, paper"),
    ],
)
def test_mistakes_are_told(pack: str, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["experiment", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not Path("reports").exists()


def test_a_damaged_record_is_told(pack: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_table3(pack, "--budget", "0") == 0
    path = next(Path("reports/results/training").iterdir())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 7}))
    assert run_table3(pack) == 2
    assert f"{path}: schema is 7, but must be 1" in capsys.readouterr().err


def test_an_interruption_is_resumable(
    pack: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tritforge.compress.experiments import running as experiment_run

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(experiment_run, "train", interrupted)
        assert run_table3(pack) == 130
    assert capsys.readouterr().err.strip().endswith("interrupted; run the same command again to resume")
    assert run_table3(pack, "--budget", "0") == 0
