from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_samples import changed, tiny_network

from tritforge.device.journal import Journal
from tritforge.device.update import PreparedUpdate, prepare_update
from tritforge.errors import DeviceError, NetworkError, PatchError, TritforgeError
from tritforge.files import atomic_stream
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network, save_network
from tritforge.network.network import Network
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.patches.patch import diff, network_version
from tritforge.samples.random_network import random_network

PARAMETERS = AcceleratorParameters(group_channels=8)
RNG = np.random.default_rng(0)
BASE = random_network(RNG, max_size=4, max_channels=16, blocks=1, group_channels=8)
NEW = changed(BASE, 1, 0.1, 0.1)


def prepared(base: Network, patch: bytes) -> PreparedUpdate:
    return prepare_update(base, patch, lambda network: lower(network, PARAMETERS))


PATCH = diff(BASE, NEW, 1)
UPDATE = prepared(BASE, PATCH)


class Killed(BaseException):
    """The process dies here."""


class DyingSystem:
    """Lets a number of file operations happen, then dies, and stays dead, as a killed process does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, survive: int, after: bool) -> None:
        self.left, self.after, self.count = survive, after, 0
        for owner, name in ((os, "replace"), (os, "fsync"), (os, "unlink")):
            monkeypatch.setattr(owner, name, self.wrapped(getattr(owner, name)))

    def wrapped(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.left == 0 and self.after:
                operation(*arguments, **named)
            if self.left <= 0:
                self.left -= 1
                raise Killed
            self.left -= 1
            return operation(*arguments, **named)

        return run


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture()
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path)
    journal.store(BASE)
    return journal


def test_an_update_replaces_the_network(journal: Journal, tmp_path: Path) -> None:
    assert journal.update(UPDATE, lambda: "done") == "done"
    assert files(tmp_path) == {"network.safetensors"}
    again = Journal(tmp_path).recover().network
    assert network_digest(again) == network_digest(NEW) and network_version(again) == 1


def test_the_patch_is_on_disk_before_the_accelerator_changes(journal: Journal, tmp_path: Path) -> None:
    def apply() -> None:
        assert (tmp_path / "pending.patch").read_bytes() == PATCH
        assert network_digest(load_network(tmp_path / "network.safetensors")) == network_digest(BASE)

    journal.update(UPDATE, apply)


@pytest.mark.parametrize("after", [False, True])
def test_a_death_at_any_operation_leaves_old_or_new(
    after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = []
    for survive in range(40):
        folder = tmp_path / str(survive)
        journal = Journal(folder)
        journal.store(BASE)
        applied = []
        with monkeypatch.context() as patched:
            system = DyingSystem(patched, survive, after)
            try:
                journal.update(UPDATE, lambda applied=applied: applied.append(1))
            except Killed:
                finished = False
            else:
                finished = system.left >= 0
        found = Journal(folder).recover().network
        outcome = {network_digest(BASE): "old", network_digest(NEW): "new"}[network_digest(found)]
        assert network_version(found) == (outcome == "new")
        assert files(folder) == {"network.safetensors"}
        assert network_digest(Journal(folder).recover().network) == network_digest(found)
        if applied:
            assert outcome == "new", "the accelerator had the new network, so must the next process"
        outcomes.append(outcome)
        if finished:
            break
    assert finished and outcomes[0] == "old" and outcomes[-1] == "new"
    assert outcomes == sorted(outcomes, reverse=True)


@pytest.mark.parametrize("after", [False, True])
def test_recovery_itself_may_die(after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for survive in range(20):
        folder = tmp_path / str(survive)
        journal = Journal(folder)
        journal.store(BASE)
        (folder / "pending.patch").write_bytes(PATCH)
        (folder / ".network.safetensors.99.part").write_bytes(b"torn")
        with monkeypatch.context() as patched:
            system = DyingSystem(patched, survive, after)
            with contextlib.suppress(Killed):
                journal.recover()
        assert network_digest(Journal(folder).recover().network) == network_digest(NEW)
        assert files(folder) == {"network.safetensors"}
        if system.left >= 0:
            return
    raise AssertionError("recovery never ended")


@pytest.mark.parametrize("after", [False, True])
def test_a_death_while_storing_over_a_pending_patch_leaves_old_or_new(
    after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny_network(4)
    names = {network_digest(BASE): "old", network_digest(NEW): "old, updated", network_digest(other): "other"}
    outcomes = []
    for survive in range(20):
        folder = tmp_path / str(survive)
        journal = Journal(folder)
        journal.store(BASE)
        (folder / "pending.patch").write_bytes(PATCH)
        with monkeypatch.context() as patched:
            system = DyingSystem(patched, survive, after)
            with contextlib.suppress(Killed):
                journal.store(other)
        outcomes.append(names[network_digest(Journal(folder).recover().network)])
        assert files(folder) == {"network.safetensors"}
        if system.left >= 0:
            break
    assert system.left >= 0 and outcomes[-1] == "other"
    assert outcomes == sorted(outcomes, key=["old, updated", "old", "other"].index)
    assert set(outcomes) == ({"old", "other"} if after else set(names.values()))


@pytest.mark.parametrize("after", [False, True])
def test_a_death_while_the_first_network_is_stored_leaves_none_or_it(
    after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for survive in range(20):
        folder = tmp_path / str(survive)
        with monkeypatch.context() as patched:
            system = DyingSystem(patched, survive, after)
            with contextlib.suppress(Killed):
                Journal(folder).store(BASE)
        try:
            found.append(network_digest(Journal(folder).recover().network))
        except NetworkError as error:
            assert "there is no such network file" in str(error)
            found.append("none")
        if system.left >= 0:
            break
    assert system.left >= 0 and found[0] == "none"
    assert found == sorted(found, key=["none", network_digest(BASE)].index) and found[-1] == network_digest(BASE)


def test_a_crash_while_the_accelerator_is_written_leads_to_the_new_network(journal: Journal, tmp_path: Path) -> None:
    def die() -> None:
        raise Killed

    with pytest.raises(Killed):
        journal.update(UPDATE, die)
    assert files(tmp_path) == {"network.safetensors", "pending.patch"}
    assert network_digest(Journal(tmp_path).recover().network) == network_digest(NEW)


def test_a_refusal_keeps_the_old_network(journal: Journal, tmp_path: Path) -> None:
    def refuse() -> None:
        raise DeviceError("no")

    with pytest.raises(DeviceError):
        journal.update(UPDATE, refuse)
    assert files(tmp_path) == {"network.safetensors"}
    assert network_digest(journal.recover().network) == network_digest(BASE)


def test_an_update_for_another_network_or_version_is_refused(journal: Journal, tmp_path: Path) -> None:
    def forbidden() -> None:
        raise AssertionError("the accelerator was touched")

    with pytest.raises(PatchError, match="made for network"):
        journal.update(prepared(NEW, diff(NEW, BASE, 1)), forbidden)
    journal.store(replace(BASE, provenance={"version": 1}))
    with pytest.raises(PatchError, match="version is 1; it must be higher than the present 1"):
        journal.update(UPDATE, forbidden)
    assert files(tmp_path) == {"network.safetensors"}
    assert network_digest(journal.recover().network) == network_digest(BASE)


def test_updates_follow_each_other(journal: Journal, tmp_path: Path) -> None:
    journal.update(UPDATE, lambda: None)
    back = prepared(UPDATE.result, diff(UPDATE.result, BASE, 2))
    journal.update(back, lambda: None)
    again = Journal(tmp_path).recover().network
    assert network_digest(again) == network_digest(BASE) and network_version(again) == 2


def test_what_was_finished_but_not_tidied_is_tidied(journal: Journal, tmp_path: Path) -> None:
    journal.update(UPDATE, lambda: None)
    (tmp_path / "pending.patch").write_bytes(PATCH)
    assert network_version(journal.recover().network) == 1
    assert files(tmp_path) == {"network.safetensors"}


def test_a_torn_pending_patch_is_forgotten(journal: Journal, tmp_path: Path) -> None:
    for pending in (PATCH[:-1], PATCH[:60], b"", bytes(len(PATCH)), PATCH[:130] + bytes(len(PATCH) - 130)):
        (tmp_path / "pending.patch").write_bytes(pending)
        assert network_digest(journal.recover().network) == network_digest(BASE)
        assert files(tmp_path) == {"network.safetensors"}


def test_a_foreign_pending_patch_is_named(journal: Journal, tmp_path: Path) -> None:
    before = (tmp_path / "network.safetensors").read_bytes()
    other = tiny_network(4)
    (tmp_path / "pending.patch").write_bytes(diff(other, changed(other, 1, 0.1), 1))
    with pytest.raises(PatchError, match=r"pending\.patch: patch: made for network"):
        journal.recover()
    assert (tmp_path / "network.safetensors").read_bytes() == before
    journal.store(NEW)
    assert files(tmp_path) == {"network.safetensors"}
    assert network_digest(journal.recover().network) == network_digest(NEW)


def test_an_empty_folder_and_unreadable_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"network\.safetensors: there is no such"):
        Journal(tmp_path).recover()
    save_network(tmp_path / "network.safetensors", BASE)
    (tmp_path / "pending.patch").mkdir()
    with pytest.raises(NetworkError, match=r"pending\.patch: cannot be read"):
        Journal(tmp_path).recover()
    with pytest.raises(NetworkError, match=r"pending\.patch: cannot be removed"):
        Journal(tmp_path).store(BASE)


def test_recovery_leaves_what_another_process_is_writing(journal: Journal, tmp_path: Path) -> None:
    with atomic_stream(tmp_path / "network.safetensors") as stream:
        assert network_digest(Journal(tmp_path).recover().network) == network_digest(BASE)
        stream.write(b"whole")
    assert (tmp_path / "network.safetensors").read_bytes() == b"whole"
    assert files(tmp_path) == {"network.safetensors"}


def test_a_refusal_that_a_power_cut_may_undo_is_told(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def refuse() -> None:
        monkeypatch.setattr(os, "fsync", broken)
        raise DeviceError("no")

    with pytest.raises(NetworkError, match=r"pending\.patch: cannot be removed: input/output error"):
        journal.update(UPDATE, refuse)


def test_an_update_that_could_not_be_stored_is_finished_before_the_next(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched, pytest.raises(TritforgeError, match="no space left on device"):
        journal.update(UPDATE, lambda: patched.setattr(os, "fsync", full))
    journal.update(prepared(UPDATE.result, diff(UPDATE.result, BASE, 2)), lambda: None)
    assert network_version(journal.recover().network) == 2 and files(tmp_path) == {"network.safetensors"}
