"""What a finished demo amounts to: the metrics of its result file, the details its report draws, the final table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from tritforge.cli.demo.steps import NETWORK, SHIFTED, UPDATED, load_images
from tritforge.cli.shared.step_folder import Done
from tritforge.device.apply import plan_words
from tritforge.network.file import load_network
from tritforge.network.reference import classify
from tritforge.overlay.issued_groups import IssuedGroups, ideal_speedup, issued_groups
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import SPACES, WORD_BITS, OverlayProgram
from tritforge.samples.askew import DEGREES

if TYPE_CHECKING:
    from rich.table import Table

SAMPLES = 12
"""Shifted test images that the report shows."""

TRAINING = (
    "full_precision_accuracy",
    "fake_quantised_accuracy",
    "integer_accuracy",
    "equal_argmax_fraction",
    "zero_group_fraction",
)
UPDATE = ("patch_bytes", "full_update_bytes", "updating_ratio", "accuracy_before_patch", "accuracy_full_retraining")


@dataclass(frozen=True)
class Demo:
    """The steps of one demo, and the accelerator it ran on."""

    parameters: AcceleratorParameters
    trained: Done
    simulated: Done
    updated: Done
    patched: Done

    def programs(self) -> tuple[OverlayProgram, OverlayProgram]:
        """The overlay program before and after the patch."""
        networks = load_network(self.trained.folder / NETWORK), load_network(self.updated.folder / UPDATED)
        return lower(networks[0], self.parameters), lower(networks[1], self.parameters)


def demo_metrics(demo: Demo, others: Sequence[tuple[Done, Done]] = ()) -> dict[str, Any]:
    """The metrics of ``tritforge demo``.

    Args:
        demo: the seed that ran through the RTL; the plain numbers are its own.
        others: trainings and updates of further seeds; with them ``per_seed`` holds values, mean and deviation.
    """
    program, _ = demo.programs()
    sparse, dense = demo.simulated.outcome["sparse"], demo.simulated.outcome["dense"]
    patched, refused = demo.patched.outcome["patched"], demo.patched.outcome["after_refusal"]
    applied = demo.patched.outcome["applied"]
    metrics: dict[str, Any] = {name: demo.trained.outcome[name] for name in TRAINING}
    metrics |= {name: demo.updated.outcome[name] for name in UPDATE}
    metrics |= {
        "rtl_images": sparse["images"],
        "rtl_mismatching_words": sparse["mismatching_words"] + dense["mismatching_words"],
        "rtl_words": sparse["words"] + dense["words"],
        "cycles_dense": dense["cycles_per_image"],
        "cycles_sparse": sparse["cycles_per_image"],
        "dense_images": dense["images"],
        "speedup": dense["cycles_per_image"] / sparse["cycles_per_image"],
        "ideal_speedup": ideal_speedup(issued_groups(program)),
        "latency_cycles": sparse["latency_cycles"],
        "program_bytes": program.size_bytes,
        "changed_trits": demo.updated.outcome["changed_trits"],
        "accuracy_after_patch": patched["accuracy"],
        "mismatching_words_after_patch": patched["mismatching_words"] + refused["mismatching_words"],
        "words_after_patch": patched["words"] + refused["words"],
        "commit_pause_cycles": applied["pause_cycles"],
        "words_written": applied["words_written"],
        "patch_mode": applied["mode"],
        "step_seconds": {
            "training": demo.trained.seconds,
            "simulation": demo.simulated.seconds,
            "update": demo.updated.seconds,
            "patching": demo.patched.seconds,
        },
        "original_accuracy_after_patch": demo.updated.outcome["original_accuracy_after_patch"],
    }
    if others:
        metrics["per_seed"] = _per_seed([(demo.trained, demo.updated), *others])
    return metrics


def _per_seed(seeds: Sequence[tuple[Done, Done]]) -> dict[str, dict[str, Any]]:
    figures = {}
    for name in (*TRAINING, *UPDATE, "accuracy_after_patch"):
        values = [(trained.outcome | updated.outcome)[name] for trained, updated in seeds]
        figures[name] = {"values": values, "mean": fmean(values), "deviation": stdev(values)}
    return figures


def demo_details(demo: Demo, root: Path) -> dict[str, Any]:
    """Everything that the report draws beside the metrics; paths are relative to ``root``."""
    program, updated = demo.programs()
    sparse, dense = demo.simulated.outcome["sparse"]["layers"], demo.simulated.outcome["dense"]["layers"]
    convolutions = issued_groups(program)
    entries = plan_words(program, updated)
    images, labels = load_images(demo.updated.folder / SHIFTED, None)
    return {
        "schema": 1,
        "network": str((demo.trained.folder / NETWORK).relative_to(root)),
        "parameters": asdict(demo.parameters),
        "degrees": DEGREES,
        "layers": [
            asdict(layer)
            | {
                "cycles_sparse": sparse[layer.name]["cycles"],
                "cycles_dense": dense[layer.name]["cycles"],
                "issued": sparse[layer.name]["issued"],
            }
            for layer in convolutions
        ],
        "memories": {
            space: {
                "words": len(program.images[space]),
                "word_bits": WORD_BITS[space],
                "changed": entries["address"][entries["space"] == index].tolist(),
            }
            for index, space in enumerate(SPACES)
        },
        "weight_words": _weight_words(convolutions, program),
        "refusal": demo.patched.outcome["refusal"],
        "images_after_refusal": demo.patched.outcome["after_refusal"]["images"],
        "samples": _samples(images, labels, demo),
    }


def _weight_words(convolutions: list[IssuedGroups], program: OverlayProgram) -> list[dict[str, Any]]:
    """Which words of the weight memory belong to which layer."""
    words = program.parameters.words_per_slot
    starts = [layer.slot_base * words for layer in convolutions] + [len(program.images["weights"])]
    return [
        {"name": layer.name, "first": first, "words": end - first}
        for layer, first, end in zip(convolutions, starts[:-1], starts[1:], strict=True)
    ]


def _samples(images: np.ndarray, labels: np.ndarray, demo: Demo) -> list[dict[str, Any]]:
    """Shifted test images with their class by the patched RTL and, by the reference, before: repaired ones first."""
    after = np.array(demo.patched.outcome["patched"]["classes"])
    images, labels = images[: len(after)], labels[: len(after)]
    before = classify(load_network(demo.trained.folder / NETWORK), images)
    repaired = (before != labels) & (after == labels)
    chosen = np.argsort(~repaired, kind="stable")[:SAMPLES]
    return [
        {
            "pixels": images[index].mean(axis=0).round().astype(int).tolist(),
            "label": int(labels[index]),
            "before": int(before[index]),
            "after": int(after[index]),
        }
        for index in chosen
    ]


def demo_table(metrics: Mapping[str, Any], parameters: AcceleratorParameters) -> Table:
    """The table at the end of the demo."""
    from rich.table import Table

    table = Table(title=f"digits on {parameters.pes} PEs, {parameters.activation_bits}-bit activations")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("")
    for row in _rows(metrics):
        table.add_row(*row) if row else table.add_section()
    return table


def _rows(m: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        ("accuracy, full precision", f"{m['full_precision_accuracy']:.2f} %", "held-out test images"),
        ("accuracy, ternary as trained", f"{m['fake_quantised_accuracy']:.2f} %", ""),
        ("accuracy, integer network", f"{m['integer_accuracy']:.2f} %", f"{_percent(m, 'equal_argmax_fraction')} same"),
        ("zero PE groups", _percent(m, "zero_group_fraction"), "of the ternary layers"),
        (),  # type: ignore[list-item]
        ("images through the RTL", f"{m['rtl_images']}", "over AXI4-Stream"),
        ("differing words", f"{m['rtl_mismatching_words']}", f"of {m['rtl_words']:,}, every map"),
        ("cycles an image, every group issued", f"{m['cycles_dense']:,.0f}", f"{m['dense_images']} images"),
        ("cycles an image, zero groups skipped", f"{m['cycles_sparse']:,.0f}", f"{m['rtl_images']} images"),
        ("speedup", f"{m['speedup']:.2f} ×", f"ideal {m['ideal_speedup']:.2f} ×"),
        (),  # type: ignore[list-item]
        ("accuracy on shifted data, before", f"{m['accuracy_before_patch']:.2f} %", "every camera askew"),
        ("accuracy on shifted data, patched", f"{m['accuracy_after_patch']:.2f} %", "by the RTL's logits"),
        ("accuracy with full retraining", f"{m['accuracy_full_retraining']:.2f} %", "everything may change"),
        ("patch", f"{m['patch_bytes']:,} B", f"{m['changed_trits']} trits, {_percent(m, 'updating_ratio')}"),
        ("full update, same codec", f"{m['full_update_bytes']:,} B", f"{_times(m, 'full_update_bytes')} the patch"),
        ("overlay program", f"{m['program_bytes']:,} B", f"{_times(m, 'program_bytes')} the patch"),
        ("words written, pause", f"{m['words_written']} words", f"{m['commit_pause_cycles']} cycles"),
        ("differing words, patched", f"{m['mismatching_words_after_patch']}", f"of {m['words_after_patch']:,}"),
    ]


def _percent(metrics: Mapping[str, Any], name: str) -> str:
    return f"{100 * metrics[name]:.2f} %"


def _times(metrics: Mapping[str, Any], name: str) -> str:
    return f"{metrics[name] / metrics['patch_bytes']:.1f} ×"
