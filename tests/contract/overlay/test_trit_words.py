"""The words that trits are counted in are the words that lowering writes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from network_samples import any_network, changed, grouped_network

from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.trit_words import trit_words
from tritforge.samples.random_network import random_layer_network


@pytest.mark.parametrize("trit_ratio", [0.001, 0.02, 0.5])
@pytest.mark.parametrize("seed", range(6))
def test_as_many_words_change_as_lowering_writes_anew(seed: int, trit_ratio: float) -> None:
    old = any_network(seed)
    new = changed(old, seed, trit_ratio)
    parameters = fitting_parameters(
        old, replace(AcceleratorParameters(), activation_bits=old.activation_bits, group_channels=old.group_channels)
    )
    weights = [lower(network, parameters).images["weights"] for network in (old, new)]
    words = trit_words(old)
    touched = [
        words[before.name][before.weights != after.weights]
        for before, after in zip(old.ternary_layers(), new.ternary_layers(), strict=True)
    ]
    assert np.unique(np.concatenate(touched)).size == np.count_nonzero(weights[0] != weights[1])


@pytest.mark.parametrize("kind", ["conv3x3", "conv1x1"])
def test_two_channels_share_a_word_at_every_tap(kind: str) -> None:
    network = random_layer_network(
        np.random.default_rng(1), kind, size=(3, 3), channels=160, outputs=16, zero_groups=0.0, group_channels=16
    )
    layer = network.ternary_layers()[0]
    words = trit_words(network)[layer.name]
    _, counts = np.unique(words, return_counts=True)
    real = 160 * 16 * layer.kernel**2
    assert counts.sum() == real
    assert counts.max() == 18
    if kind == "conv3x3":
        assert np.array_equal(words[:, 0::2], words[:, 1::2])
        assert (words == words[:, :, :1, :1]).all()
        assert np.unique(words).size == real / 18
    else:
        # Nine blocks of sixteen channels fill the taps of the first group, the tenth alone those of the second.
        assert np.array_equal(words[:, :144].reshape(16, 9, 16), np.repeat(words[:, None, :16, 0, 0], 9, axis=1))
        assert not np.isin(words[:, 144:], words[:, :144]).any()


@pytest.mark.parametrize("group_channels", [1, 4, 16])
def test_words_cover_the_stored_groups_alone(group_channels: int) -> None:
    network = grouped_network(group_channels)
    words = trit_words(network)
    for layer in network.ternary_layers():
        assert layer.weights[words[layer.name] < 0].any() == 0
    used = np.concatenate([one[one >= 0] for one in words.values()])
    slots = sum(int(layer.stored.sum()) for layer in network.ternary_layers())  # type: ignore[union-attr]
    assert used.max() < slots * -(-group_channels // 2)
