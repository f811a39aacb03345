from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_samples import any_network, tiny_network

from tritforge.errors import NetworkError
from tritforge.network.digest import network_digest
from tritforge.network.network import Network
from tritforge.network.trit_order import (
    layer_trits,
    network_trits,
    stored_trit_count,
    trit_count,
    trit_places,
    with_trits,
)


def one_by_one(network: Network) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Places of all trits in order, from the definition: layer, channel, group, tap, channel lane."""
    places = []
    for layer in network.ternary_layers():
        assert layer.stored is not None
        taps = range(layer.kernel**2)
        lanes = network.group_channels
        for n, group in np.ndindex(layer.stored.shape):
            if not layer.stored[n, group]:
                continue
            if layer.kernel == 3:
                inside = [(tap, group * lanes + lane) for tap in taps for lane in range(lanes)]
            else:
                inside = [(0, (group * 9 + block) * lanes + lane) for block in range(9) for lane in range(lanes)]
            places += [(layer.name, (n, c, tap // 3, tap % 3)) for tap, c in inside if c < layer.inputs]
    return places


@pytest.mark.parametrize("seed", range(8))
def test_the_order_is_layer_channel_group_tap_lane(seed: int) -> None:
    network = tiny_network(seed) if seed < 4 else any_network(seed)
    places = one_by_one(network)
    values = network_trits(network)
    assert values.dtype == np.int8
    assert trit_count(network) == values.size == len(places)
    expected = [int(network.layer(name).weights[place]) for name, place in places]  # type: ignore[union-attr]
    assert values.tolist() == expected


@pytest.mark.parametrize("seed", range(8))
def test_every_weight_knows_its_place_in_the_order(seed: int) -> None:
    network = tiny_network(seed) if seed < 4 else any_network(seed)
    places = trit_places(network)
    expected = one_by_one(network)
    assert [int(places[name][place]) for name, place in expected] == list(range(len(expected)))
    assert sum(int((own >= 0).sum()) for own in places.values()) == len(expected)
    assert all(int(own.min()) >= -1 for own in places.values())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 50), st.data())
def test_changed_trits_land_where_they_were_read(seed: int, data: st.DataObject) -> None:
    network = tiny_network(seed)
    places = one_by_one(network)
    index = data.draw(st.integers(0, len(places) - 1))
    values = network_trits(network)
    values[index] = (values[index] + 2) % 3 - 1
    changed = with_trits(network, values)
    assert np.array_equal(network_trits(changed), values)
    for layer in network.ternary_layers():
        other = changed.layer(layer.name)
        differing = [tuple(place) for place in np.argwhere(other.weights != layer.weights)]  # type: ignore[union-attr]
        assert differing == [place for name, place in places[index : index + 1] if name == layer.name]
        assert other.stored is layer.stored and other.active is layer.active  # type: ignore[union-attr]


def test_the_same_trits_give_the_same_network() -> None:
    network = any_network(5)
    assert network_digest(with_trits(network, network_trits(network))) == network_digest(network)


def test_a_row_of_another_length_or_kind_is_refused() -> None:
    network = tiny_network()
    values = network_trits(network)
    for wrong in (values[:-1], np.append(values, np.int8(0)), values[None]):
        with pytest.raises(NetworkError, match="stored groups take"):
            with_trits(network, wrong)
    values[3] = 2
    with pytest.raises(NetworkError, match="first: a weight of"):
        with_trits(network, values)


def test_a_network_without_ternary_layers_has_an_empty_order() -> None:
    network = tiny_network()
    stem, _, _, pool, fc = network.layers
    from dataclasses import replace

    pool = replace(pool, input="stem", multiplier=np.ones(3, np.int64), bias=np.ones(3, np.int64))
    fc = replace(fc, weights=fc.weights[:, :3])  # type: ignore[union-attr]
    bare = Network(network.input, (stem, pool, fc), 8, network.group_channels)
    assert trit_count(bare) == 0 and network_trits(bare).shape == (0,)
    assert network_trits(with_trits(bare, network_trits(bare))).shape == (0,)


def test_layers_are_counted_by_their_stored_groups() -> None:
    network = tiny_network()
    for layer in network.ternary_layers():
        assert layer.stored is not None
        count = stored_trit_count(layer.stored, layer.inputs, layer.kernel, 4)
        assert count == layer_trits(layer, 4).size
