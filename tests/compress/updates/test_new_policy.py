"""A new update policy is one file and one line of the table.

What the policy of this test touches:

- ``tests/random_positions.py``: the policy;
- one entry of ``tritforge.compress.updates.policies.POLICIES``, which the fixture ``known`` adds.

Nothing of the round, the budgets, the command line or the patches knows of it.
"""

from __future__ import annotations

import json

import pytest
from random_positions import RandomPositions

from tritforge.cli.main import run
from tritforge.compress.updates.policies import POLICIES
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network
from tritforge.network.trit_order import network_trits
from tritforge.patches.patch import apply_to_network


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setitem(POLICIES, "random", RandomPositions())


@pytest.mark.parametrize(("option", "amount"), [("--words", 60), ("--bytes", 250)])
def test_a_new_policy_updates_a_network_from_the_command_line(tmp_path, trained, known, option, amount, capsys):
    patch, result, kept = tmp_path / "p.patch", tmp_path / "r.json", tmp_path / "kept.pt"
    network = trained / "net.safetensors"
    arguments = ["update", str(network), "--checkpoint", str(trained / "run"), "--policy", "random", "-o", str(patch)]
    assert run([*arguments, option, str(amount), "--keep-checkpoint", str(kept), "--json", str(result)]) == 0
    metrics = json.loads(result.read_text())["metrics"]
    base = load_network(network)
    updated = apply_to_network(base, patch.read_bytes())
    changed = int((network_trits(base) != network_trits(updated)).sum())
    assert 0 < changed == metrics["changed_trits"]
    assert metrics["validation_after"] > metrics["validation_before"]
    budget = metrics["budget"]
    assert 0 < budget["used"] <= budget["limit"] == amount
    assert f"{budget['used']} of {budget['limit']} {budget['unit']} used" in capsys.readouterr().out
    if option == "--bytes":
        assert budget["used"] == patch.stat().st_size
    assert network_digest(updated) != network_digest(base)
