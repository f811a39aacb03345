"""Applying a patch to a simulated accelerator that holds its base network, with images before and after."""

from __future__ import annotations

from typing import Any

from tritforge.cli.shared.accelerator_options import accelerator_for, check_fits
from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.network_images import network_images
from tritforge.cli.shared.options import progress
from tritforge.errors import DeviceError
from tritforge.network.network import Network
from tritforge.patches.patch import network_version


def simulate_patch(patch: bytes, base: Network, images: int, pes: int, seed: int = 1) -> dict[str, Any]:
    """Load ``base``, run images, apply the patch over AXI4-Lite, run them again; returns what happened.

    Raises:
        DeviceError: the accelerator refused the patch, or a word differs from the reference model.
    """
    from tritforge.sim.runs.accelerator import AcceleratorJob

    parameters = accelerator_for(base, pes)
    check_fits(base, parameters)
    pixels, labels = network_images(base, images)
    job = AcceleratorJob(parameters)
    job.load(base, version=network_version(base))
    before = job.infer(pixels)
    applied = job.patch(patch, base)
    after = job.infer(pixels)
    with progress("simulating", total=2 * len(pixels), unit="images") as advance:
        outcome = job.run(seed=seed, progress=advance)
    told = {name: outcome[applied][name] for name in ("words_written", "pause_cycles", "mode", "version")}
    for step, when in ((before, "before"), (after, "after")):
        told[f"mismatching_words_{when}"] = outcome[step].mismatching_words
        if labels is not None:
            told[f"accuracy_{when}"] = outcome[step].accuracy(labels)
    for name, value in told.items():
        echo(f"{name:24}  {value}")
    if told["mismatching_words_before"] or told["mismatching_words_after"]:
        raise DeviceError("the simulated accelerator differs from the reference model")
    return told
