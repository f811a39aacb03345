from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from network_samples import any_network, tiny_network

from tritforge.network.digest import canonical_json, network_digest, network_structure
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.network import Network


def test_the_digest_is_what_its_definition_says() -> None:
    network = tiny_network()
    content = b"tritforge network 1\n"
    content += json.dumps(network_structure(network), sort_keys=True, separators=(",", ":")).encode() + b"\n"
    for layer in network.layers:
        if not isinstance(layer, AveragePool):
            content += b"".join(int(w).to_bytes(2, "little", signed=True) for w in layer.weights.reshape(-1))
        for row in (layer.multiplier, layer.bias):
            content += b"".join(int(x).to_bytes(8, "little", signed=True) for x in row)
        if not isinstance(layer, AveragePool) and layer.stored is not None:
            content += b"".join(
                bytes([int(bit)]) for bitmap in (layer.stored, *layer.active) for bit in bitmap.reshape(-1)
            )
    assert network_digest(network) == hashlib.sha256(content).hexdigest()


def test_the_structure_of_the_sample() -> None:
    structure = network_structure(tiny_network())
    assert structure["input"] == {"bits": 8, "channels": 2, "height": 4, "width": 3, "zero_point": [7, 200]}
    assert structure["activation_bits"] == 8 and structure["group_channels"] == 4
    assert structure["layers"][2] == {
        "type": "convolution",
        "name": "second",
        "input": "first",
        "outputs": 10,
        "inputs": 6,
        "kernel": 1,
        "stride": 1,
        "weight_bits": 2,
        "shift": 3,
        "residual": "first",
        "residual_multiplier": 3,
        "logits": False,
        "active": 1,
    }
    assert structure["layers"][3] == {"type": "average_pool", "name": "pool", "input": "second", "shift": 2}
    assert structure["layers"][4]["logits"] is True


def variants() -> list[tuple[str, Network]]:
    """Networks that each differ from the sample in one thing."""
    network = tiny_network()
    found = [("activation_bits", replace(network, activation_bits=16))]
    image = network.input
    found.append(("zero point", replace(network, input=replace(image, zero_point=(7, 201)))))
    found.append(("image size", replace(network, input=replace(image, width=4))))
    found.append(("pixel bits", replace(network, input=replace(image, bits=8, zero_point=(8, 200)))))
    for layer in network.layers:
        for field in ("multiplier", "bias", "weights"):
            if not hasattr(layer, field):
                continue
            values = getattr(layer, field)
            for index in (0, -1):
                flat = values.copy().reshape(-1)
                changeable = np.flatnonzero(flat)
                flat[changeable[index]] *= -1
                layers = {layer.name: replace(layer, **{field: flat.reshape(values.shape)})}
                found.append((f"{layer.name}.{field}[{index}]", network.with_layers(layers)))
        if layer.name != "fc":
            found.append((f"{layer.name}.shift", network.with_layers({layer.name: replace(layer, shift=9)})))
    second = network.layer("second")
    for field, value in (("residual_multiplier", 4), ("residual", None)):
        found.append((field, network.with_layers({"second": replace(second, **{field: value})})))
    stored = second.stored.copy()  # type: ignore[union-attr]
    place = tuple(np.argwhere(stored)[0])
    stored[place] = False
    found.append(("active", network.with_layers({"second": replace(second, active=(stored,))})))
    return found


def test_every_change_changes_the_digest() -> None:
    digests = [network_digest(network) for _, network in variants()] + [network_digest(tiny_network())]
    assert len(set(digests)) == len(digests)


def test_provenance_and_array_layout_take_no_part() -> None:
    network = tiny_network()
    first = network.layer("first")
    turned = replace(first, weights=np.asfortranarray(first.weights))  # type: ignore[union-attr]
    assert network_digest(network.with_layers({"first": turned})) == network_digest(network)
    assert network_digest(replace(network, provenance={"other": 1})) == network_digest(network)
    assert network_digest(any_network(2)) == network_digest(any_network(2))


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": [1, 2], "a": "é"}) == '{"a":"\\u00e9","b":[1,2]}'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})
