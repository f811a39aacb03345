from __future__ import annotations

import numpy as np
import pytest

from tritforge.network import reference
from tritforge.network.digest import network_digest
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution, residual_stride
from tritforge.network.layer import INPUT
from tritforge.network.network import Network
from tritforge.network.pe_groups import nonzero_groups
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.samples.random_network import (
    BIAS_LIMIT,
    KINDS,
    Kind,
    random_images,
    random_layer_network,
    random_network,
    random_ternary_weights,
)

NETWORKS = [
    random_network(np.random.default_rng(seed), activation_bits=16 if seed % 4 == 0 else 8, group_channels=16)
    for seed in range(80)
]


def obeys_the_hardware(network: Network) -> None:
    spec = network.input
    assert spec.channels <= 4 or spec.channels % network.group_channels == 0
    assert spec.channels <= 4 or not any(spec.zero_point)
    assert max(spec.height, spec.width) <= 16
    for previous, layer in zip((None, *network.layers), network.layers, strict=False):
        if isinstance(layer, AveragePool):
            assert previous is not None and layer.input == previous.name and isinstance(previous, Convolution)
            continue
        assert layer.logits or (layer.outputs % network.group_channels == 0 and layer.outputs <= 128)
        assert layer.ternary or layer.logits or (layer.input == INPUT and spec.channels <= 4)
        assert layer.residual != INPUT or spec.channels > 4


def test_random_networks_obey_the_hardware() -> None:
    for network in NETWORKS:
        obeys_the_hardware(network)
        assert isinstance(network.layers[-2], AveragePool) and network.layers[-1].logits  # type: ignore[union-attr]


def test_random_networks_fit_an_accelerator() -> None:
    for network in NETWORKS[:24]:
        parameters = AcceleratorParameters(activation_bits=network.activation_bits)
        lower(network, fitting_parameters(network, parameters))


def test_a_seed_names_a_network() -> None:
    for seed in (0, 7):
        again = random_network(
            np.random.default_rng(seed), activation_bits=16 if seed % 4 == 0 else 8, group_channels=16
        )
        assert network_digest(again) == network_digest(NETWORKS[seed])
    assert len({network_digest(network) for network in NETWORKS}) == len(NETWORKS)


def test_random_networks_reach_every_feature() -> None:
    seen: set[str] = set()
    for network in NETWORKS:
        spec = network.input
        seen |= {f"{spec.bits}-bit pixels", f"input {'narrow' if spec.channels <= 4 else 'wide'}"}
        seen |= {"zero points"} if any(spec.zero_point) else set()
        seen |= {"1x1 input"} if (spec.height, spec.width) == (1, 1) else set()
        seen |= {"ragged map"} if spec.height != spec.width else set()
        for layer in network.layers:
            seen |= {"M lowest"} if np.any(layer.multiplier == -(2**15)) else set()
            seen |= {"M zero"} if np.any(layer.multiplier == 0) else set()
            seen |= {"B lowest"} if np.any(layer.bias == -BIAS_LIMIT) else set()
            seen |= {"B highest"} if np.any(layer.bias == BIAS_LIMIT - 1) else set()
            seen |= {"S zero"} if layer.shift == 0 else {"S large"} if layer.shift > 24 else set()
            if isinstance(layer, AveragePool):
                continue
            seen.add(f"{layer.kernel}x{layer.kernel} stride {layer.stride} {'trits' if layer.ternary else 'integers'}")
            if not layer.ternary and not layer.logits:
                seen.add(f"stem of {layer.weight_bits} bits")
            if layer.residual is not None:
                shape = network.shapes[layer.residual]
                stride, zeros = residual_stride(layer, shape, network.shapes[layer.name])
                seen.add(f"residual stride {stride} {'padded' if zeros else 'plain'}")
            if layer.ternary:
                bitmap = nonzero_groups(layer.weights, network.group_channels)
                seen |= {"no group"} if not bitmap.any() else {"every group"} if bitmap.all() else {"some groups"}
                seen |= {"empty channel"} if bitmap.any() and not bitmap.any(axis=1).all() else set()
                seen |= {"reserved slot"} if np.any(layer.stored & ~bitmap) else set()
    expected = {"zero points", "1x1 input", "ragged map", "input narrow", "input wide", "8-bit pixels", "16-bit pixels"}
    expected |= {"1-bit pixels", "M lowest", "M zero", "B lowest", "B highest", "S zero", "S large"}
    expected |= {f"{k}x{k} stride {s} trits" for k in (1, 3) for s in (1, 2)} | {"1x1 stride 1 integers"}
    expected |= {"3x3 stride 1 integers", "3x3 stride 2 integers"} | {f"stem of {bits} bits" for bits in range(3, 10)}
    expected |= {f"residual stride {s} {p}" for s in (1, 2) for p in ("plain", "padded")}
    expected |= {"no group", "every group", "some groups", "empty channel", "reserved slot"}
    assert expected <= seen, expected - seen


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("bits", "group_channels"), [(8, 16), (16, 16), (8, 8)])
def test_a_layer_network_holds_the_layer_asked_for(kind: Kind, bits: int, group_channels: int) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        size = [(1, 1), (5, 7), (9, 3), None][seed % 4]
        network = random_layer_network(rng, kind, activation_bits=bits, size=size, group_channels=group_channels)
        obeys_the_hardware(network)
        assert network.group_channels == group_channels
        layer, pool, fc = network.layers
        assert isinstance(layer, Convolution) and isinstance(pool, AveragePool) and isinstance(fc, Convolution)
        assert network.activation_bits == bits and (size is None or network.shapes[INPUT][1:] == size)
        stem = kind.startswith("stem")
        assert layer.kernel == int(kind[4]) if kind[4] in "13" else layer.kernel == 3
        assert (network.input.channels <= 4) == stem
        if not stem:
            assert layer.ternary and layer.stride == (
                2 if kind in ("conv3x3_stride2", "conv1x1_stride2", "option_a") else 1
            )
        assert (layer.residual == INPUT) == (kind in ("residual", "option_a"))
        if kind == "option_a":
            assert layer.outputs > network.input.channels


def test_sizes_can_be_chosen() -> None:
    network = random_layer_network(
        np.random.default_rng(0), "conv1x1", size=(3, 2), channels=48, outputs=112, zero_groups=1.0, group_channels=16
    )
    assert network.shapes["layer0"] == (112, 3, 2) and network.shapes[INPUT] == (48, 3, 2)
    assert not network.layers[0].weights.any()  # type: ignore[union-attr]
    stem = random_layer_network(np.random.default_rng(0), "stem3x3", channels=3, outputs=32, group_channels=16)
    assert stem.shapes["layer0"][0] == 32


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_zero_groups_come_as_asked(fraction: float) -> None:
    weights = random_ternary_weights(np.random.default_rng(0), 256, 256, 3, fraction, 16)
    assert set(np.unique(weights)) <= {-1, 0, 1} and weights.dtype == np.int16
    zero = 1 - nonzero_groups(weights, 16).mean()
    assert abs(zero - fraction) < 0.1 and (zero == fraction or 0 < fraction < 1)
    densities = {round(float(np.abs(g).mean()), 1) for g in weights.reshape(256 * 16, 144) if g.any()}
    assert fraction == 1.0 or {0.0, 0.3, 0.7, 1.0} <= densities


def test_images_hold_the_extremes() -> None:
    for network in NETWORKS[:6]:
        spec = network.input
        top = 2**spec.bits - 1
        images = random_images(np.random.default_rng(0), network, 6)
        assert images.shape == (6, spec.channels, spec.height, spec.width)
        assert not images[5].any() and (images[4] == top).all()
        assert images[3, :, 0, 0].max() == 0 and (spec.width < 2 or (images[3, :, 0, 1] == top).all())
        assert random_images(np.random.default_rng(0), network, 1).shape[0] == 1
        reference.run(network, images)


def test_activations_are_not_all_saturated() -> None:
    """A network whose maps are mostly 0 or the highest value would hide wrong sums."""
    inside = []
    for network in NETWORKS[:30]:
        top = 2**network.activation_bits - 1
        maps = reference.run(network, random_images(np.random.default_rng(1), network, 3)[:1])
        inside += [float(np.mean((maps[x.name] > 0) & (maps[x.name] < top))) for x in network.layers[:-1]]
    assert np.mean(inside) > 0.5
