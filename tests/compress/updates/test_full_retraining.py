from __future__ import annotations

import numpy as np
import pytest

from tritforge.compress.export.deployed import stored_weights
from tritforge.compress.updates.policies import POLICIES
from tritforge.compress.updates.policy import UpdateSettings
from tritforge.compress.updates.round import update_network


@pytest.fixture(scope="module")
def update(deployed):
    settings = UpdateSettings(epochs=2, learning_rate=0.05)
    _, network, shifted = deployed
    return update_network(
        POLICIES["full"], deployed.model(), network, shifted.train, shifted.validation, None, settings
    )


def test_full_retraining_changes_affine_entries_and_trits_but_keeps_layout(deployed, update):
    for old, new in zip(deployed.network.convolutions(), update.candidate.convolutions(), strict=True):
        assert not np.array_equal(old.bias, new.bias)
        if old.ternary:
            assert np.array_equal(old.stored, new.stored)
            assert all(np.array_equal(a, b) for a, b in zip(old.active, new.active, strict=True))
            assert not np.array_equal(old.weights, new.weights)
        else:
            assert np.array_equal(old.weights, new.weights)


def test_everything_that_a_patch_carries_is_free(deployed, update):
    stored = stored_weights(deployed.network)
    assert all(np.array_equal(update.sent.trits[name], mask) for name, mask in stored.items())
    assert {name: len(mask) for name, mask in update.sent.affine.items()} == {
        layer.name: layer.outputs for layer in deployed.network.convolutions()
    }
    assert all(mask.all() for mask in update.sent.affine.values())
    assert not update.sent.head
    assert not update.sent.bitmaps
