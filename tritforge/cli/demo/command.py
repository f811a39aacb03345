"""``tritforge demo``: train, prune, export, simulate the RTL and patch it, on scikit-learn's digits."""

from __future__ import annotations

import json as json_format
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tritforge.cli.demo import steps
from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, progress, write_result
from tritforge.errors import TritforgeError
from tritforge.files import atomic_write
from tritforge.overlay.parameters import AcceleratorParameters

if TYPE_CHECKING:
    from tritforge.cli.shared.step_folder import Done


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog="Example: tritforge demo --out runs/demo")(demo)


def demo(
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="Seed of training and update.", min=0)] = 0,
    seeds: Annotated[
        int,
        typer.Option(help="Train and update this many seeds from --seed on; the first runs on the RTL.", min=1),
    ] = 1,
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/demo"),
    images: Annotated[
        int | None,
        typer.Option(help="Test images through the RTL.  [default: all]", min=1, show_default=False),
    ] = None,
    pes: Annotated[int, typer.Option(help="Processing elements of the accelerator: 4, 8, 16 or 32.")] = 16,
    json: JsonOption = None,
) -> None:
    """Run the whole tour; run again, it goes on where it stopped and repeats nothing that still holds."""
    from tritforge.cli.demo.summary import Demo, demo_details, demo_metrics, demo_table

    settings = steps.Settings(seed, AcceleratorParameters(pes=pes), images)
    build = _Build(settings.parameters)

    tell("1/4  training: full precision, then ternary with group lasso and weight penalty clipping")
    trained = told(steps.train_step(out, seed))
    tell("2/4  simulating: test images through the RTL over AXI4-Stream, every word of every map compared")
    build.wait()
    simulated = told(steps.simulate_step(out, settings, trained))
    tell("3/4  updating: every camera now hangs askew; few trits are chosen and become a patch file")
    updated = told(steps.update_step(out, seed, trained))
    tell("4/4  patching: the patch goes over AXI4-Lite into the running accelerator")
    patched = told(steps.patch_step(out, settings, trained, updated))
    tell(f"     a patch with one flipped byte was refused: {patched.outcome['refusal']}")

    others = []
    for other in range(seed + 1, seed + seeds):
        tell(f"seed {other}: training and update")
        further = told(steps.train_step(out, other))
        others.append((further, told(steps.update_step(out, other, further))))

    finished = Demo(settings.parameters, trained, simulated, updated, patched)
    metrics = demo_metrics(finished, others)
    result = out / "result.json"
    for path in (result, json):
        write_result(
            context,
            path,
            metrics,
            seeds=list(range(seed, seed + seeds)),
            data_digest=trained.outcome["data_digest"],
        )
    details = demo_details(finished, out)
    atomic_write(out / "details.json", (json_format.dumps(details) + "\n").encode())
    _show(demo_table(metrics, settings.parameters))
    for name, figures in metrics.get("per_seed", {}).items():
        echo(f"{name:28} {figures['mean']:.4g} ± {figures['deviation']:.2g} over {seeds} seeds")
    echo(f"result file    {result}")
    report = _report(out)
    if report is not None:
        echo(f"report         {report}")
    _check(metrics, patched.outcome["reference_accuracy"])


def tell(sentence: str) -> None:
    """A line of the tour, on standard error beside the progress display."""
    echo(sentence, err=True)


def told(done: Done) -> Done:
    """Say how long a step took, or that it was not repeated."""
    tell(f"     done before, {done.folder} holds" if done.reused else f"     done in {done.seconds:.0f} s")
    return done


class _Build:
    """The Verilator build, which needs no network and so runs beside the training."""

    def __init__(self, parameters: AcceleratorParameters) -> None:
        from tritforge.sim.runs.accelerator import build_accelerator

        self.parameters = parameters
        self.error: BaseException | None = None
        self.seconds = 0.0
        began = time.monotonic()

        def build() -> None:
            try:
                build_accelerator(parameters)
            except BaseException as error:
                self.error = error
            self.seconds = time.monotonic() - began

        tell("     building the RTL with Verilator in the background")
        self._thread = threading.Thread(target=build, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end of the build; raises what the build raised."""
        from tritforge.sim.runs.accelerator import build_state

        while self._thread.is_alive() and not build_state(self.parameters)[1]:
            self._thread.join(0.5)
        told, total = build_state(self.parameters)
        with progress("building the RTL", total - told, "files") as advance:
            while self._thread.is_alive():
                self._thread.join(0.5)
                done = build_state(self.parameters)[0]
                advance(done - told)
                told = done
        if self.error is not None:
            raise self.error
        tell(
            f"     the RTL was built in {self.seconds:.0f} s" if self.seconds >= 1 else "     the RTL was built before"
        )


def _show(table: Any) -> None:
    from rich.console import Console

    Console().print(table)


def _report(out: Path) -> Path | None:
    """Draw the report; None, with a sentence, where the reports extra is not installed."""
    try:
        from tritforge.reports.pages.demo_report import write_demo_report
    except ModuleNotFoundError as error:
        tell(f"no report: {error.name} is not installed; pip install 'tritforge[reports]'")
        return None
    return write_demo_report(out)


def _check(metrics: dict[str, Any], reference_accuracy: float) -> None:
    """Refuse to end well where the hardware differs from the integer network."""
    wrong = metrics["rtl_mismatching_words"] + metrics["mismatching_words_after_patch"]
    if wrong:
        raise TritforgeError(f"the RTL differs from the integer network in {wrong} words")
    if abs(metrics["accuracy_after_patch"] - reference_accuracy) > 1e-9:
        raise TritforgeError(
            f"after the patch the RTL classifies {metrics['accuracy_after_patch']:.2f} % rightly, "
            f"the integer network {reference_accuracy:.2f} %"
        )
