"""Published CIFAR-10 systems on the XC7Z020 and larger chips, beside what we recorded.

Run ``python -m tritforge.reports.pages.peers`` in the checkout to write the tables into README.md and
docs/performance.md, between their markers, from ``reports/peers.json``, the results of ``tritforge simulate`` and
``tritforge evaluate`` on the trained network that is kept, and that of ``tritforge bench area``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tritforge.errors import ResultFileError
from tritforge.files import atomic_write
from tritforge.reports.drawing.pages import between_markers
from tritforge.results import Result, read_result

PEERS = Path(__file__).parent / "peers.json"
SIMULATED = Path("reports/results/resnet20_cifar10_jpeg_simulate.json")
EVALUATED = Path("reports/results/resnet20_cifar10_jpeg_evaluate.json")
AREA = Path("reports/results/area.json")
SHORT, FULL = Path("README.md"), Path("docs/performance.md")
BEGIN = "<!-- peers: python -m tritforge.reports.pages.peers -->"
END = "<!-- end of the peers -->"

ASSUMED_MHZ = 100
ARRAY = ("pes", "activation_bits")
COLUMNS = {
    "system": "system",
    "board": "board",
    "mhz": "MHz",
    "top1": "CIFAR-10 top-1",
    "images_per_s": "images/s",
    "latency_ms": "latency",
    "lut": "LUT",
    "ff": "FF",
    "bram": "BRAM",
    "dsp": "DSP",
    "energy_uj": "energy",
    "source": "source",
}
SHORT_COLUMNS = ("system", "board", "top1", "images_per_s", "latency_ms", "lut", "bram", "dsp", "source")
UNITS = {"latency_ms": " ms", "energy_uj": " µJ", "top1": " %"}
NOTE = (
    "Our rate is cycles measured in RTL simulation at an assumed 100 MHz, our area cells after synthesis by Yosys; "
    "nothing of it is placed for 7-series. Our accuracy is that of "
    "`reports/networks/resnet20_cifar10_jpeg.safetensors` on the test images of CIFAR-10-JPEG, "
    "which are harder than the originals that the others are measured on."
)


def own_row(simulated: Result, evaluated: Result, area: Result) -> dict[str, Any]:
    """What was recorded, as a row.

    Raises:
        ResultFileError: the results are not those of ``tritforge simulate``, ``tritforge evaluate`` and
            ``tritforge bench area``, or of arrays that differ.
    """
    m, cells = simulated.metrics, area.metrics
    if [m.get(name) for name in ARRAY] != [cells.get(name) for name in ARRAY]:
        raise ResultFileError(f"{SIMULATED} and {AREA} are of arrays that differ in {' or '.join(ARRAY)}")
    try:
        return {
            "system": f"tritforge ResNet-20, ternary, {m['activation_bits']}-bit, "
            f"{100 * m['zero_group_fraction']:.1f} % of groups zero, P = {m['pes']}",
            "board": "simulated",
            "mhz": f"{ASSUMED_MHZ} (assumed)",
            "top1": f"{evaluated.metrics['integer_accuracy']:.2f} % (JPEG)",
            "images_per_s": 1e6 * ASSUMED_MHZ / m["cycles_per_image"],
            "latency_ms": m["latency_cycles"] / (1e3 * ASSUMED_MHZ),
            "lut": cells["lut"],
            "ff": cells["ff"],
            "bram": cells["bram36"],
            "dsp": cells["dsp"],
            "source": f"`{SIMULATED}`: {m['cycles_per_image']:,.0f} cycles an image; `{AREA}`",
        }
    except KeyError as error:
        raise ResultFileError(f"{SIMULATED}, {EVALUATED} or {AREA} is of another command: it lacks {error}") from error


def tables(simulated: Result, evaluated: Result, area: Result) -> tuple[str, str]:
    """The short table, of the XC7Z020 alone, and the full one, as Markdown."""
    peers = json.loads(PEERS.read_text(encoding="utf-8"))
    own = own_row(simulated, evaluated, area)
    short = _table([own, *peers["xc7z020"]], SHORT_COLUMNS)
    full = _table([own, *peers["xc7z020"], *peers["larger"]], tuple(COLUMNS))
    return f"{short}\n\n{NOTE}", f"{full}\n\n{NOTE}"


def with_table(text: str, table: str) -> str:
    """A page's text with the table between its markers.

    Raises:
        ResultFileError: the markers are missing.
    """
    return between_markers(text, BEGIN, END, table, "the page")


def _table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    lines = [[COLUMNS[name] for name in columns], ["---"] * len(columns)]
    lines += [[_cell(name, row.get(name)) for name in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if name == "images_per_s":
        return f"{value:,.0f}"
    return f"{value:,.4g}" + UNITS.get(name, "") if isinstance(value, float) else f"{value:,}{UNITS.get(name, '')}"


if __name__ == "__main__":
    for page, table in zip((SHORT, FULL), tables(*map(read_result, (SIMULATED, EVALUATED, AREA))), strict=True):
        atomic_write(page, with_table(page.read_text(encoding="utf-8"), table).encode())
