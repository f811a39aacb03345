from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from network_samples import changed, tiny_network

from tritforge.device.apply import AppliedPatch, apply_patch, plan_words
from tritforge.device.memory_port import MemoryImagePort, PortState
from tritforge.errors import DeviceError, PatchError, TritforgeError
from tritforge.network.digest import network_digest
from tritforge.network.network import Network
from tritforge.network.trit_order import network_trits
from tritforge.overlay.lowering import fitting_parameters
from tritforge.overlay.lowering import lower as lower_for
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.spaces import SPACES
from tritforge.patches.patch import diff
from tritforge.samples.random_network import random_network


@dataclass
class Program:
    images: dict[str, np.ndarray]


def lower(network: Network) -> Program:
    """A stand-in for lowering: eight trits to a word of weights, two words to an affine entry."""
    trits = network_trits(network).astype(np.int64) + 1
    digits = np.zeros((-(-trits.size // 8), 8), dtype=np.int64)
    digits.reshape(-1)[: trits.size] = trits
    multiplier = np.concatenate([layer.multiplier for layer in network.layers]) % (1 << 16)
    bias = np.concatenate([layer.bias for layer in network.layers]) % (1 << 48)
    affine = np.stack([bias & 0xFFFFFFFF, bias >> 32 | multiplier << 16], axis=1).reshape(-1)
    return Program(
        {
            "weights": (digits << np.arange(0, 32, 4)).sum(axis=1).astype(np.uint64),
            "affine": affine.astype(np.uint64),
            "bitmaps": np.zeros(4, dtype=np.uint64),
            "descriptors": np.array([layer.shift for layer in network.layers], dtype=np.uint64),
        }
    )


def setting(staging_depth: int = 1000) -> tuple[MemoryImagePort, Network, Network, bytes]:
    base = tiny_network()
    new = changed(base, 1, 0.1, 0.2)
    return MemoryImagePort(lower(base).images, staging_depth, version=0), base, new, diff(base, new, 5)


def holds(port: MemoryImagePort, network: Network) -> bool:
    expected = lower(network).images
    return all(np.array_equal(port.images[space], expected[space]) for space in SPACES)


def test_the_plan_is_every_differing_word_in_order() -> None:
    base = tiny_network()
    new = changed(base, 1, 0.1, 0.2)
    old_images, new_images = lower(base).images, lower(new).images
    plan = plan_words(lower(base), lower(new))
    rows = [(SPACES[row["space"]], int(row["address"]), int(row["word"])) for row in plan]
    assert rows == [
        (space, address, int(new_images[space][address]))
        for space in SPACES
        for address in range(old_images[space].size)
        if old_images[space][address] != new_images[space][address]
    ]
    assert {space for space, _, _ in rows} == {"weights", "affine"}
    assert plan_words(lower(base), lower(base)).size == 0
    longer = lower(base)
    longer.images["bitmaps"] = np.zeros(5, dtype=np.uint64)
    with pytest.raises(PatchError, match="bitmaps: the patched network takes 5 words, the loaded one 4"):
        plan_words(lower(base), longer)


def test_a_small_patch_is_staged_and_committed() -> None:
    count = plan_words(lower(setting()[1]), lower(setting()[2])).size
    port, base, new, patch = setting(staging_depth=count)
    applied = apply_patch(port, base, patch, lower)
    assert applied == AppliedPatch(applied.network, 5, count, count, "staged")
    assert network_digest(applied.network) == network_digest(new)
    assert holds(port, new) and port.version() == 5 and port.state() is PortState.VALID


def test_a_larger_patch_stops_the_array() -> None:
    count = plan_words(lower(setting()[1]), lower(setting()[2])).size
    port, base, new, patch = setting(staging_depth=count - 1)
    applied = apply_patch(port, base, patch, lower)
    assert applied == AppliedPatch(applied.network, 5, count, count, "stopped")
    assert holds(port, new) and port.version() == 5 and port.state() is PortState.VALID


def test_rounds_follow_each_other() -> None:
    port, base, new, patch = setting()
    second = changed(new, 2, 0.05)
    applied = apply_patch(port, base, patch, lower)
    again = apply_patch(port, applied.network, diff(new, second, 6), lower)
    assert holds(port, second) and again.version == port.version() == 6


class UntouchedPort(MemoryImagePort):
    """Fails the test at any write."""

    def forbidden(self, *_: object) -> int:
        raise AssertionError("the accelerator was touched")

    stage = write_words = commit = stop = start = forbidden  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("prepare", "error", "words"),
    [
        (lambda port, base, patch: (base, patch[:-1] + b"\0"), PatchError, "checksum"),
        (lambda port, base, patch: (tiny_network(3), patch), PatchError, "made for network"),
        (lambda port, base, patch: (replace(base, provenance={"version": 5}), patch), PatchError, "version is 5"),
        (lambda port, base, patch: setattr(port, "_version", 5), PatchError, "than the accelerator's 5"),
        (lambda port, base, patch: setattr(port, "_state", PortState.STOPPED), DeviceError, "state is stopped"),
        (lambda port, base, patch: setattr(port, "_state", PortState.EMPTY), DeviceError, "state is empty"),
    ],
)
def test_what_is_refused_leaves_the_accelerator_alone(
    prepare: Callable, error: type[TritforgeError], words: str
) -> None:
    _, base, _, patch = setting()
    port = UntouchedPort(lower(base).images)
    base, patch = prepare(port, base, patch) or (base, patch)
    with pytest.raises(error, match=words):
        apply_patch(port, base, patch, lower)


def test_another_network_in_the_accelerator_is_noticed() -> None:
    _, base, new, patch = setting()
    for row in plan_words(lower(base), lower(new)):
        images = lower(base).images
        images[SPACES[row["space"]]][row["address"]] ^= np.uint64(1)
        with pytest.raises(DeviceError, match="does not hold the network that the patch starts from"):
            apply_patch(UntouchedPort(images), base, patch, lower)


class FaultyStaging(MemoryImagePort):
    def stage(self, entries: np.ndarray) -> None:
        super().stage(entries)
        self._staging["word"][entries.size - 1] ^= np.uint64(1)

    def commit(self, version: int) -> int:
        raise AssertionError("committed in spite of a wrong read-back")


class FaultyCommit(MemoryImagePort):
    def commit(self, version: int) -> int:
        self._staging["word"][0] ^= np.uint64(1)
        return super().commit(version)


class FaultyWrite(MemoryImagePort):
    def write_words(self, space: str, addresses: np.ndarray, words: np.ndarray) -> None:
        super().write_words(space, addresses, words ^ np.uint64(space == "weights"))


class ForgetfulVersion(MemoryImagePort):
    def commit(self, version: int) -> int:
        return super().commit(version - 1)


class LostState(MemoryImagePort):
    def commit(self, version: int) -> int:
        cycles = super().commit(version)
        self.stop()
        return cycles


@pytest.mark.parametrize(
    ("kind", "depth", "words", "state"),
    [
        (FaultyStaging, 1000, "nothing was committed", PortState.VALID),
        (FaultyCommit, 1000, "read back after the commit differ", PortState.STOPPED),
        (FaultyWrite, 1, "read back while stopped differ", PortState.STOPPED),
        (ForgetfulVersion, 1000, "version 4, state valid; expected 5, valid", PortState.VALID),
        (LostState, 1000, "version 5, state stopped; expected 5, valid", PortState.STOPPED),
    ],
)
def test_what_reads_back_wrong_is_told(kind: type[MemoryImagePort], depth: int, words: str, state: PortState) -> None:
    _, base, _, patch = setting()
    port = kind(lower(base).images, depth)
    with pytest.raises(DeviceError, match=words):
        apply_patch(port, base, patch, lower)
    assert port.state() is state


def test_a_patch_without_changes_raises_the_version() -> None:
    port, base, _, _ = setting()
    applied = apply_patch(port, base, diff(base, base, 1), lower)
    assert (applied.words_written, applied.pause_cycles, applied.mode) == (0, 0, "staged")
    assert port.version() == 1 and holds(port, base)


@pytest.mark.parametrize("seed", range(4))
def test_programs_of_random_networks_are_patched(seed: int) -> None:
    base = random_network(np.random.default_rng(seed), group_channels=16)
    new = changed(base, seed, 0.02, 0.1)
    parameters = fitting_parameters(base, AcceleratorParameters())
    port = MemoryImagePort(lower_for(base, parameters).images, parameters.staging)
    apply_patch(port, base, diff(base, new, 1), lambda network: lower_for(network, parameters))
    expected = lower_for(new, parameters).images
    assert all(np.array_equal(port.images[space], expected[space]) for space in SPACES)
