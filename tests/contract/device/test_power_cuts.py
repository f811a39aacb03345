"""The journal's folder after a power cut at any moment: the old network or the new one, never stuck, and it is told."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_samples import changed, tiny_network
from power_cut import Changed, Flushed, Left, Written, left_after, recorded

from tritforge.device.journal import Journal, Pending, Recovery
from tritforge.device.update import PreparedUpdate, prepare_update
from tritforge.errors import DeviceError, NetworkError
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network, save_network
from tritforge.network.network import Network
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.patches.patch import diff, network_version
from tritforge.samples.random_network import random_network

OLD = random_network(np.random.default_rng(0), max_size=4, max_channels=16, blocks=1, group_channels=8)
NEW = changed(OLD, 1, 0.1, 0.1)
OTHER = tiny_network(4)
NAMES = {network_digest(OLD): "old", network_digest(NEW): "new", network_digest(OTHER): "other"}


def prepared(base: Network, new: Network) -> PreparedUpdate:
    patch = diff(base, new, network_version(base) + 1)
    return prepare_update(base, patch, lambda network: lower(network, AcceleratorParameters(group_channels=8)))


UPDATE = prepared(OLD, NEW)


class Killed(BaseException):
    """The process dies here."""


def refuse() -> None:
    raise DeviceError("no")


def die() -> None:
    raise Killed


class Recoveries:
    """What the next process finds after a power cut, by what the cut left."""

    def __init__(self, place: Path) -> None:
        self._folders = (place / str(number) for number in count())
        self._known: dict[Left, str] = {}

    def folder(self, left: Left) -> Path:
        """A new folder that holds what is left."""
        folder = next(self._folders)
        folder.mkdir(parents=True)
        for name, content in left:
            (folder / name).write_bytes(content)
        return folder

    def outcome(self, left: Left) -> str:
        """The name of the network that is recovered, ``none`` where there is none.

        What is told about it is checked, and that a power cut during the recovery changes nothing.
        """
        if left not in self._known:
            folder = self.folder(left)
            before = {name: content for name, content in left if not name.endswith(".part")}
            with recorded(folder) as disk:
                if "network.safetensors" in before:
                    held = load_network(folder / "network.safetensors")
                    recovery = Journal(folder).recover()
                    outcome = NAMES[network_digest(recovery.network)]
                    check_told(recovery, held, before.get("pending.patch"))
                    assert {path.name for path in folder.iterdir()} == {"network.safetensors"}
                else:
                    with pytest.raises(NetworkError, match="there is no such network file"):
                        Journal(folder).recover()
                    outcome = "none"
            self._known[left] = outcome
            for _, after in disk.left():
                assert self.outcomes(after) == {outcome}
        return self._known[left]

    def outcomes(self, states: set[Left]) -> set[str]:
        """The outcomes of all these."""
        return {self.outcome(left) for left in states}


def check_told(recovery: Recovery, held: Network, pending: bytes | None) -> None:
    digest, version = network_digest(recovery.network), network_version(recovery.network)
    assert str(recovery) == f"version {version}, network {digest[:16]}: {recovery.pending.value}"
    if pending is None:
        assert recovery.pending is Pending.NONE
    elif pending != UPDATE.patch:
        assert recovery.pending is Pending.TORN
    else:
        assert recovery.pending is (Pending.FINISHED if network_version(held) == 0 else Pending.ENDED)
    assert version == (digest == network_digest(NEW))
    assert recovery.pending is Pending.FINISHED or digest == network_digest(held)


@pytest.fixture()
def recoveries(tmp_path: Path) -> Recoveries:
    return Recoveries(tmp_path / "recoveries")


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    save_network(tmp_path / "device" / "network.safetensors", OLD)
    return tmp_path / "device"


def test_an_update_ends_in_old_or_new_and_in_new_once_the_accelerator_has_it(
    folder: Path, recoveries: Recoveries
) -> None:
    applied = []
    with recorded(folder) as disk:
        Journal(folder).update(UPDATE, lambda: applied.append(disk.now()))
    found = [recoveries.outcomes(left) for number, left in disk.left() if number < applied[0]]
    assert found[0] == {"old"} and found[-1] == {"old", "new"}
    assert all(recoveries.outcomes(left) == {"new"} for number, left in disk.left() if number >= applied[0])


def test_a_refused_update_ends_in_old_or_new_and_in_old_once_it_is_told(folder: Path, recoveries: Recoveries) -> None:
    with recorded(folder) as disk, pytest.raises(DeviceError):
        Journal(folder).update(UPDATE, refuse)
    found = [recoveries.outcomes(left) for _, left in disk.left()]
    assert set.union(*found) == {"old", "new"} and found[0] == found[-1] == {"old"}


def test_an_update_that_never_ended_is_finished(folder: Path, recoveries: Recoveries) -> None:
    with recorded(folder) as disk, pytest.raises(Killed):
        Journal(folder).update(UPDATE, die)
    assert recoveries.outcomes([left for _, left in disk.left()][-1]) == {"new"}


@pytest.mark.parametrize(
    ("network", "pending", "before"),
    [
        (None, None, "none"),
        (OLD, None, "old"),
        (OLD, UPDATE.patch, "new"),
        (UPDATE.result, UPDATE.patch, "new"),
        (OLD, UPDATE.patch[:-1], "old"),
    ],
)
def test_storing_ends_in_what_was_or_the_stored_network(
    network: Network | None, pending: bytes | None, before: str, tmp_path: Path, recoveries: Recoveries
) -> None:
    folder = tmp_path / "device"
    folder.mkdir()
    if network is not None:
        save_network(folder / "network.safetensors", network)
    if pending is not None:
        (folder / "pending.patch").write_bytes(pending)
    with recorded(folder) as disk:
        Journal(folder).store(OTHER)
    found = [recoveries.outcomes(left) for _, left in disk.left()]
    assert found[0] == {before} and found[-1] == {"other"}
    assert set.union(*found) == {before, "other"} | ({"old"} if network is OLD else set())


def test_an_update_without_changes_still_brings_its_version(folder: Path) -> None:
    with pytest.raises(Killed):
        Journal(folder).update(prepared(OLD, OLD), die)
    recovery = Journal(folder).recover()
    assert recovery.pending is Pending.FINISHED and network_version(recovery.network) == 1
    assert network_digest(recovery.network) == network_digest(OLD)


def act(journal: Journal, action: str, update: PreparedUpdate, stored: Network) -> None:
    if action == "store":
        journal.store(stored)
    elif action == "recover":
        journal.recover()
    else:
        apply = {"accept": lambda: None, "refuse": refuse, "die": die}[action]
        with suppress(DeviceError, Killed):
            journal.update(update, apply)


def other_of(network: Network) -> Network:
    return NEW if network_digest(network) == network_digest(OLD) else OLD


@settings(max_examples=60, deadline=None)
@given(
    actions=st.lists(
        st.tuples(st.sampled_from(["accept", "refuse", "die", "store", "recover"]), st.none() | st.randoms()),
        min_size=1,
        max_size=6,
    )
)
def test_any_actions_and_power_cuts(actions: list, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Held is what a recovery must give; a cut during an action may leave what was or what comes.

    Storing forgets an update that was cut off, so that the network it started from may be left, too.
    """
    recoveries = Recoveries(tmp_path_factory.mktemp("recoveries"))
    folder = recoveries.folder(frozenset())
    save_network(folder / "network.safetensors", OLD)
    held = OLD
    for action, cut in actions:
        lying, before = load_network(folder / "network.safetensors"), held
        update = prepared(held, other_of(held))
        stored = replace(other_of(held), provenance={"version": network_version(held) + 5})
        come = {"store": stored, "recover": held}.get(action, update.result)
        with recorded(folder) as disk:
            act(Journal(folder), action, update, stored)
        held = held if action == "refuse" else come
        if cut is not None:
            states = [states for _, states in disk.left()]
            place = cut.randrange(len(states))
            folder = recoveries.folder(cut.choice(sorted(states[place], key=sorted)))
            found = Journal(folder).recover().network
            allowed = [held] if place == len(states) - 1 else [before, come, *([lying] if action == "store" else [])]
            assert key(found) in map(key, allowed)
            held = found
    assert key(Journal(folder).recover().network) == key(held)


def key(network: Network) -> tuple[str, int]:
    return network_digest(network), network_version(network)


def test_the_simulated_disk_loses_what_is_not_flushed() -> None:
    written = [Changed((("a", 0),)), Written(0, b"abcd")]
    assert left_after(written) == {frozenset()} | {
        frozenset({("a", content)}) for content in (b"", b"abcd", b"ab", bytes(4), b"ab\0\0")
    }
    assert left_after([*written, Flushed(0)]) == {frozenset(), frozenset({("a", b"abcd")})}
    flushed = [*written, Flushed(0), Flushed(None)]
    assert left_after(flushed) == {frozenset({("a", b"abcd")})}
    moved = [*flushed, Changed((("b", 0), ("a", None))), Changed((("b", None),))]
    assert left_after(moved) == {frozenset({(name, b"abcd")}) for name in "ab"} | {frozenset()}
    assert left_after([*flushed, Written(0, b"wxyz")]) == {
        frozenset({("a", content)}) for content in (b"abcd", b"wxyz", b"wx", bytes(4), b"wx\0\0", b"wxcd")
    }
