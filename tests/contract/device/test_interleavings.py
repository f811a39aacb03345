"""Accesses and the hardware's own moves in any order: what holds, and what goes wrong today."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from accelerator_scenarios import PARAMETERS, other_network, some_network
from hypothesis import given, settings
from hypothesis import strategies as st

from tritforge.device import protocol
from tritforge.device.apply import AppliedUpdate, apply_update
from tritforge.device.entries import entries_of, of_spaces, runs
from tritforge.device.protocol import Answer, Steps, drive
from tritforge.device.reference_device import FreeRunning, Move, ReferenceDevice
from tritforge.device.streams import image_beats
from tritforge.device.update import PreparedUpdate, prepare_update
from tritforge.errors import DeviceError
from tritforge.network.network import Network
from tritforge.network.reference import logits
from tritforge.overlay import register_map as rm
from tritforge.overlay.lowering import lower
from tritforge.overlay.program import OverlayProgram
from tritforge.overlay.register_map import Register, State
from tritforge.patches.patch import diff
from tritforge.samples.random_network import random_images

RNG = np.random.default_rng(17)


def small(network: Network) -> OverlayProgram:
    return lower(network, PARAMETERS)


BASE = some_network(RNG)
FIRST, SECOND = other_network(RNG, BASE, 0.05), other_network(RNG, BASE, 0.05)
IMAGES = random_images(RNG, BASE, 4)
LOGITS = {1: logits(BASE, IMAGES), 2: logits(FIRST, IMAGES), 3: logits(SECOND, IMAGES)}
"""Logits of the images by the version under which each network is put in force."""
TO_FIRST = prepare_update(BASE, diff(BASE, FIRST, 2), small)
TO_SECOND = prepare_update(BASE, diff(BASE, SECOND, 3), small)


def loaded(staging: int = PARAMETERS.staging) -> ReferenceDevice:
    device = ReferenceDevice(replace(PARAMETERS, staging=staging))
    drive(protocol.load_program(small(BASE), 1), FreeRunning(device))
    drive(protocol.enable(), FreeRunning(device))
    return device


class Host:
    """A host whose steps are taken one access at a time."""

    def __init__(self, device: ReferenceDevice, steps: Steps[Any]) -> None:
        self._device, self._steps = device, steps
        self._answer: Answer = None
        self.outcome: Any = None

    def access(self) -> bool:
        """Do the next access; False when the steps have ended before it."""
        try:
            request = protocol.next_request(self._steps, self._answer)
        except StopIteration as end:
            self.outcome = end.value
            return False
        except DeviceError as error:
            self.outcome = error
            return False
        self._answer = protocol.perform(request, self._device)
        return True


def test_versions_give_different_logits() -> None:
    """Else the properties below would see no mixture."""
    for first, second in ((1, 2), (1, 3), (2, 3)):
        assert all(LOGITS[first][index].tolist() != LOGITS[second][index].tolist() for index in range(len(IMAGES)))


@pytest.mark.parametrize(("staging", "mode"), [(64, "staged"), (16, "stopped")])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_image_beside_an_update_belongs_to_one_network(staging: int, mode: str, data: st.DataObject) -> None:
    """One host updates while images run, in any order of its accesses and the hardware's moves."""
    device = loaded(staging)
    for beats in image_beats(IMAGES, 8):
        device.send(beats)
    host: Host | None = Host(device, apply_update(TO_FIRST))
    applied: Any = None
    while host or device.moves():
        moves: list[Move | None] = list(device.moves())
        move = data.draw(st.sampled_from([*moves, None])) if host else moves[0]
        if move is not None:
            device.make(move)
        elif host is not None and not host.access():
            host, applied = None, host.outcome
    assert isinstance(applied, AppliedUpdate) and (applied.version, applied.mode) == (2, mode)
    assert [result.sequence for result in device.results] == list(range(len(device.results)))
    assert mode == "stopped" or len(device.results) == len(IMAGES)  # a stop drops images that had not started
    versions = [result.version for result in device.results]
    assert versions == sorted(versions) and set(versions) <= {1, 2}
    for result in device.results:
        assert list(result.logits) in LOGITS[result.version].tolist()
    held = device.memories.images
    for space, words in TO_FIRST.result_program.images.items():
        assert np.array_equal(held[space][: words.size], words)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_reset_in_the_middle_of_a_commit_leaves_nothing_that_runs(data: st.DataObject) -> None:
    device = loaded()
    drive(protocol.stage(TO_FIRST.entries), FreeRunning(device))
    device.send(image_beats(IMAGES[:1], 8)[0])
    write(device, Register.NEXT_VERSION, 2)
    write(device, Register.COMMAND, rm.COMMAND_COMMIT.mask)
    for _ in range(data.draw(st.integers(0, 40))):
        if moves := device.moves():
            device.make(data.draw(st.sampled_from(moves)))
    write(device, Register.CONTROL, 0)
    write(device, Register.COMMAND, rm.COMMAND_SOFT_RESET.mask)
    device.settle()
    assert device.state is State.EMPTY and device.moves() == ()
    for result in device.results:
        assert list(result.logits) == LOGITS[result.version][0].tolist()


def write(device: ReferenceDevice, register: Register, value: int) -> None:
    device.write(register, np.array([value], dtype=np.uint32))


def test_a_commit_waits_for_the_image_in_the_array() -> None:
    device = loaded()
    drive(protocol.stage(TO_FIRST.entries), device_at_rest(device))
    for beats in image_beats(IMAGES[:2], 8):
        device.send(beats)
    for move in (Move.TAKE, Move.TAKE, Move.START, Move.LAYER):
        device.make(move)
    write(device, Register.NEXT_VERSION, 2)
    write(device, Register.COMMAND, rm.COMMAND_COMMIT.mask)
    while Move.LAYER in device.moves():
        assert not set(device.moves()) & {Move.BEGIN_COPY, Move.START}
        device.make(Move.LAYER)
    device.make(Move.FINISH)
    assert device.moves() == (Move.BEGIN_COPY,)  # the second image waits in its buffer
    device.settle()
    assert [result.version for result in device.results] == [1, 2]


def device_at_rest(device: ReferenceDevice) -> FreeRunning:
    """The device, whose hardware does nothing between accesses because there is nothing to do."""
    assert device.moves() == ()
    return FreeRunning(device)


# ---- Known faults: what the hardware does today, which the next protocol shall not. ----


def both_applied(device: ReferenceDevice, first: PreparedUpdate, second: PreparedUpdate, order: Iterator[int]) -> Any:
    """Two hosts on one port; ``order`` tells whose access is next. The hardware runs on between accesses."""
    hosts = Host(device, apply_update(first)), Host(device, apply_update(second))
    open_hosts = {0, 1}
    while open_hosts:
        chosen = next(order, 1)
        index = chosen if chosen in open_hosts else min(open_hosts)
        if not hosts[index].access():
            open_hosts.remove(index)
        device.settle()
    return [host.outcome for host in hosts]


def test_known_fault_two_hosts_on_one_port_end_in_a_mixture() -> None:
    """The second host has found the base network before the first one commits; then both are told that all is well."""
    device = loaded()
    stretches = sum(len(list(runs(chosen["address"]))) for _, chosen in of_spaces(TO_SECOND.entries))
    checks = 2 + stretches  # state, version, the words of each stretch
    outcomes = both_applied(device, TO_FIRST, TO_SECOND, second_checks_first(device, checks))
    assert [type(outcome) for outcome in outcomes] == [AppliedUpdate, AppliedUpdate]
    assert device.state is State.VALID and drive(protocol.version(), FreeRunning(device)) == 3
    held = device.memories.images["weights"], device.memories.images["affine"]
    for program in (small(BASE), small(FIRST), small(SECOND)):
        size = program.images["weights"].size, program.images["affine"].size
        assert not (
            np.array_equal(held[0][: size[0]], program.images["weights"])
            and np.array_equal(held[1][: size[1]], program.images["affine"])
        )
    bus = FreeRunning(device)
    results = bus.run(image_beats(IMAGES, 8), BASE.classes)
    assert [result.version for result in results] == [3] * len(IMAGES)
    assert [list(result.logits) for result in results] != LOGITS[3].tolist()


def second_checks_first(device: ReferenceDevice, checks: int) -> Iterator[int]:
    """The second host until it has found the base network, the first to its end, the second to its end."""
    yield from [1] * checks
    while drive(protocol.version(), FreeRunning(device)) != 2:
        yield 0
    yield from [0] * 50


def test_known_fault_entries_staged_under_a_pending_commit_are_committed() -> None:
    """STAGED and the entries are looked at when the copy begins, NEXT_VERSION when it ends."""
    device = loaded()
    affine = small(BASE).images["affine"]
    device.send(image_beats(IMAGES[:1], 8)[0])
    for move in (Move.TAKE, Move.START):
        device.make(move)
    bus = Quiet(device)
    drive(protocol.stage(entries_of("affine", [0], [affine[0] ^ np.uint64(1)])), bus)
    write(device, Register.NEXT_VERSION, 2)
    write(device, Register.COMMAND, rm.COMMAND_COMMIT.mask)
    drive(protocol.stage(entries_of("affine", [1, 2], affine[[1, 2]] ^ np.uint64(1))), bus)
    write(device, Register.NEXT_VERSION, 9)
    device.settle()
    assert device.memories.images["affine"][:3].tolist() == [affine[0], affine[1] ^ 1, affine[2] ^ 1]
    assert drive(protocol.version(), bus) == 9


class Quiet:
    """A bus under which the hardware makes no move by itself."""

    def __init__(self, device: ReferenceDevice) -> None:
        self.read, self.write = device.read, device.write


@pytest.mark.parametrize("entries", [0, 1, 20])
def test_an_access_to_a_memory_waits_until_nothing_is_copied(entries: int) -> None:
    device = loaded()
    words = np.arange(entries, dtype=np.uint64)
    drive(protocol.stage(entries_of("affine", np.arange(entries), words)), Quiet(device))
    write(device, Register.COMMAND, rm.COMMAND_COMMIT.mask)
    device.make(Move.BEGIN_COPY)
    assert device.state is State.COMMITTING
    assert drive(protocol.read_words("affine", np.arange(entries)), Quiet(device)).tolist() == words.tolist()
    assert device.state is (State.VALID if entries else State.COMMITTING)
