"""The steps of ``tritforge demo``: train, simulate, update, patch, each in a folder of its own under the run folder.

A step takes the outcomes of earlier ones and gives a plain dictionary; what it leaves in its folder is enough to go on
from there in another process. The rooms are imported where they are used.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tritforge.cli.shared.options import progress
from tritforge.cli.shared.step_folder import Done, run_step
from tritforge.errors import TritforgeError
from tritforge.network.digest import network_digest
from tritforge.network.file import NETWORK_FILE, load_network, save_network
from tritforge.network.network import Network
from tritforge.network.reference import classify
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.patches.patch import network_version
from tritforge.samples.askew import DEGREES, RATIO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tritforge.sim.runs.accelerator import Inference

DENSE_IMAGES = 12
"""Images of the measurement with every group issued; its cycles do not depend on the image."""
REFUSED_IMAGES = 8
"""Images that run after a damaged patch was refused."""

RUN = "ternary"
"""The run folder in the training step's folder that the network comes from."""
NETWORK = f"{RUN}/{NETWORK_FILE}"
UPDATED = "updated.safetensors"
PATCH = "askew.patch"
TEST = "test.npz"
SHIFTED = "shifted_test.npz"


@dataclass(frozen=True)
class Settings:
    """What one demo is run with: seed, accelerator, and how many test images go through the RTL (None: all)."""

    seed: int
    parameters: AcceleratorParameters
    images: int | None = None


def train_step(root: Path, seed: int) -> Done:
    """Train both precisions and export the ternary network; resumes a training that was interrupted."""
    from tritforge.compress.studies.demo_run import train_demo

    def work(folder: Path) -> dict[str, Any]:
        trained = train_demo(seed, folder, progress)
        test = trained.dataset.test
        np.savez_compressed(folder / TEST, images=test.images, labels=test.labels)
        return trained.metrics() | {
            "data_digest": trained.data_digest,
            "network_digest": network_digest(trained.network),
        }

    return run_step(root / f"training-seed{seed}", {"seed": seed}, ("compress",), work)


def update_step(root: Path, seed: int, trained: Done) -> Done:
    """Make the patch for the recorded shift; ``patch_bytes`` is 0 when validation did not improve."""
    from tritforge.compress.studies.demo_run import update_demo
    from tritforge.compress.training.evaluate_target import network_dataset
    from tritforge.compress.updates.budget import Budget

    network = load_network(trained.folder / NETWORK)
    inputs = {"seed": seed, "network": network_digest(network), "ratio": RATIO, "degrees": DEGREES}

    def work(folder: Path) -> dict[str, Any]:
        done = update_demo(
            network,
            trained.folder / RUN,
            network_dataset(network, None),
            Budget("ratio", RATIO),
            folder / PATCH,
            seed=seed,
            progress=progress,
        )
        save_network(folder / UPDATED, done.update.network)
        np.savez_compressed(folder / SHIFTED, images=done.shifted_test.images, labels=done.shifted_test.labels)
        return done.figures.metrics()

    return run_step(root / f"update-seed{seed}", inputs, ("compress",), work)


def simulate_step(root: Path, settings: Settings, trained: Done) -> Done:
    """Run the test images through the RTL with skipping, and a sample with every group issued; compare every word."""
    network = load_network(trained.folder / NETWORK)
    images, labels = load_images(trained.folder / TEST, settings.images)
    inputs = _hardware_inputs(settings, network) | {"data": trained.outcome["data_digest"], "dense": DENSE_IMAGES}

    def work(folder: Path) -> dict[str, Any]:
        from tritforge.sim.runs.accelerator import AcceleratorJob

        job = AcceleratorJob(settings.parameters)
        job.load(network)
        skipping = job.infer(images)
        job.load(network, version=2, every_group=True)
        issuing = job.infer(images[:DENSE_IMAGES])
        total = len(images) + len(images[:DENSE_IMAGES])
        with progress("simulating the RTL", total, "images") as advance:
            outcomes = job.run(progress=advance)
        return {"sparse": _figures(outcomes[skipping], labels), "dense": _figures(outcomes[issuing], labels)}

    return run_step(root / "simulation", inputs, ("rtl", "sim"), work)


def patch_step(root: Path, settings: Settings, trained: Done, updated: Done) -> Done:
    """Send a damaged patch and then the patch to the simulated accelerator, running images after each.

    Raises:
        TritforgeError: the update gave no patch.
    """
    if not updated.outcome["patch_bytes"]:
        raise TritforgeError("the update did not improve on validation images, so nothing is sent; try another --seed")
    network = load_network(trained.folder / NETWORK)
    patch = (updated.folder / PATCH).read_bytes()
    changed = load_network(updated.folder / UPDATED)
    images, labels = load_images(updated.folder / SHIFTED, settings.images)
    few = images[:REFUSED_IMAGES]
    inputs = _hardware_inputs(settings, network) | {"patch": patch.hex(), "refused": REFUSED_IMAGES}

    def work(folder: Path) -> dict[str, Any]:
        from tritforge.sim.runs.accelerator import AcceleratorJob

        job = AcceleratorJob(settings.parameters)
        job.load(network, network_version(network))
        refusal = job.patch(one_byte_flipped(patch), network, accepted=False)
        before = job.infer(few)
        applied = job.patch(patch, network)
        after = job.infer(images)
        with progress("simulating the patched RTL", len(few) + len(images), "images") as advance:
            outcomes = job.run(progress=advance)
        if "refused" not in outcomes[refusal]:
            raise TritforgeError("the accelerator took a patch with a flipped byte")
        return {
            "refusal": outcomes[refusal]["refused"],
            "after_refusal": _figures(outcomes[before], labels),
            "applied": outcomes[applied],
            "patched": _figures(outcomes[after], labels),
            "reference_accuracy": 100.0 * float(np.mean(classify(changed, images) == labels)),
        }

    return run_step(root / "patching", inputs, ("rtl", "sim"), work)


def one_byte_flipped(patch: bytes) -> bytes:
    """The patch with its middle byte inverted."""
    middle = len(patch) // 2
    return patch[:middle] + bytes([patch[middle] ^ 0xFF]) + patch[middle + 1 :]


def load_images(path: Path, count: int | None) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The first ``count`` images of a file and their labels."""
    with np.load(path) as file:
        return file["images"][:count], file["labels"][:count]


def _hardware_inputs(settings: Settings, network: Network) -> dict[str, Any]:
    return {
        "network": network_digest(network),
        "parameters": asdict(settings.parameters),
        "images": settings.images,
    }


def _figures(inference: Inference, labels: NDArray[np.int64]) -> dict[str, Any]:
    """An inference as JSON."""
    return {
        "images": inference.images,
        "accuracy": inference.accuracy(labels[: inference.images]),
        "classes": inference.classes.tolist(),
        "versions": sorted(set(inference.versions)),
        "words": inference.words,
        "mismatching_words": inference.mismatching_words,
        "cycles_per_image": inference.cycles_per_image,
        "latency_cycles": inference.latency_cycles,
        "layers": inference.layers,
    }
