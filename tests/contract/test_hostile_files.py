"""Spoiled files of every format: refused in one bounded sentence, or what they meant before; never another exception.

``TRITFORGE_HOSTILE_CASES`` sets how many of each format are tried.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hostile_files import spoiled_bytes, spoiled_json, spoiled_patch, spoiled_safetensors
from network_samples import changed, tiny_network

from tritforge.errors import NetworkError, PatchError, ProgramError, ResultFileError, TritforgeError
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network, save_network
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import load_program, save_program
from tritforge.patches.patch import apply_to_network, diff, inspect
from tritforge.patches.steps import compose, reverse
from tritforge.plain_text import MAX_SENTENCE
from tritforge.results import Result, read_result, write_result
from tritforge.samples.random_network import random_layer_network

CASES = int(os.environ.get("TRITFORGE_HOSTILE_CASES", "150"))
BASE = tiny_network()
NEW = changed(BASE, 1, 0.1, 0.1)


def outcome(error: type[TritforgeError], case: int, read: Callable[[], Any]) -> Any:
    """What ``read`` gives, or None where it refuses as it should."""
    try:
        return read()
    except error as refusal:
        told = str(refusal)
        assert 0 < len(told) <= MAX_SENTENCE and told.isprintable(), (case, told)
        return None
    except Exception as defect:
        raise AssertionError(f"case {case}: {type(defect).__name__}: {defect}") from defect


def test_a_spoiled_network_file_is_refused_or_the_same_network(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    save_network(path, BASE)
    whole, refused = path.read_bytes(), 0
    for case in range(2 * CASES):
        path.write_bytes(spoiled_safetensors(Random(case), whole))
        network = outcome(NetworkError, case, lambda: load_network(path))
        refused += network is None
        if network is not None:
            assert network_digest(network) == network_digest(BASE), case
            save_network(path, network)
            assert load_network(path).provenance == network.provenance, case
    assert CASES < refused < 2 * CASES


def test_a_spoiled_program_file_is_refused_or_runs_the_same(tmp_path: Path) -> None:
    path = tmp_path / "p.program"
    network = random_layer_network(np.random.default_rng(3), "conv1x1", group_channels=16)
    program = lower(network, AcceleratorParameters())
    save_program(path, program)
    whole, refused = path.read_bytes(), 0
    for case in range(CASES):
        path.write_bytes(spoiled_safetensors(Random(case), whole))
        found = outcome(ProgramError, case, lambda: load_program(path))
        refused += found is None
        if found is not None:
            assert (found.digest, found.parameters) == (program.digest, program.parameters), case
            save_program(path, found)
            assert load_program(path).map_addresses == found.map_addresses, case
    assert CASES // 2 < refused < CASES


def test_a_spoiled_patch_is_refused_or_gives_the_same_network() -> None:
    dense = diff(BASE, changed(BASE, 2, 0.9, 0.5), 1)
    refused = 0
    for whole, result in ((diff(BASE, NEW, 1), NEW), (dense, changed(BASE, 2, 0.9, 0.5))):
        following = reverse(whole, (1 << 32) - 1)
        for case in range(CASES):
            data = spoiled_patch(Random(case), whole)
            for read in (inspect, lambda data: reverse(data, 1 << 31), lambda data, f=following: compose(data, f)):
                outcome(PatchError, case, lambda read=read, data=data: read(data))
            network = outcome(PatchError, case, lambda data=data: apply_to_network(BASE, data))
            refused += network is None
            assert network is None or network_digest(network) == network_digest(result), case
    assert CASES < refused < 2 * CASES


def test_a_spoiled_result_file_is_refused_or_one_that_can_be_written(tmp_path: Path) -> None:
    path, again = tmp_path / "r.json", tmp_path / "again.json"
    metrics = {"speedup": 2.5, "layers": [{"name": "conv1", "groups": 36}], "accuracy": None}
    write_result(path, Result("tritforge bench layers", metrics, {"pes": 4}, [0, 1], "ab" * 32, 1.25))
    text, refused = path.read_text(), 0
    for case in range(2 * CASES):
        random = Random(case)
        spoiled = spoiled_json(random, text).encode("utf-8", "surrogatepass")
        path.write_bytes(spoiled if case % 4 else spoiled_bytes(random, text.encode()))
        result = outcome(ResultFileError, case, lambda: read_result(path))
        refused += result is None
        if result is not None:
            write_result(again, result)
            assert read_result(again) == result, case
    assert CASES // 2 < refused < 2 * CASES


@pytest.mark.parametrize("spoil", [spoiled_safetensors, spoiled_patch])
def test_the_same_seed_spoils_the_same_way(spoil: Callable[[Random, bytes], bytes], tmp_path: Path) -> None:
    save_network(tmp_path / "n", BASE)
    whole = (tmp_path / "n").read_bytes() if spoil is spoiled_safetensors else diff(BASE, NEW, 1)
    assert spoil(Random(5), whole) == spoil(Random(5), whole) != whole
