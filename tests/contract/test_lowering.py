"""Lowering means what the network means: the program, executed from its images alone, gives every map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from program_interpreter import run_program

from tritforge.descriptor import FRAME_WORDS, LAYER, unpack
from tritforge.errors import CapacityError
from tritforge.lowering import fitting_parameters, lower
from tritforge.network import AveragePool, Convolution, InputSpec, Network
from tritforge.parameters import AcceleratorParameters
from tritforge.random_network import KINDS, random_images, random_layer_network, random_network
from tritforge.reference import run

ROOMY = AcceleratorParameters(pes=16, slots=8192)


def assert_means_the_same(network: Network, parameters: AcceleratorParameters, seed: int, **options: bool) -> None:
    program = lower(network, parameters, **options)
    image = random_images(np.random.default_rng(seed), network, 1)[0]
    inputs = [(layer.input, getattr(layer, "residual", None)) for layer in network.layers]
    given = run_program(program, inputs, image)
    expected = run(network, image[None])
    for layer in network.layers:
        assert np.array_equal(given[layer.name], expected[layer.name][0]), layer.name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_kind_of_layer(kind: str, seed: int) -> None:
    network = random_layer_network(np.random.default_rng(seed), kind, size=(5, 4))
    assert_means_the_same(network, ROOMY, seed)


@pytest.mark.parametrize("weight_bits", [2, 5, 6, 9])
def test_bit_planes_of_a_stem_and_of_the_logits(weight_bits: int) -> None:
    seeds = (random_layer_network(np.random.default_rng(seed), "stem3x3", size=(4, 3)) for seed in range(200))
    network = next(n for n in seeds if n.layers[0].weight_bits == weight_bits)  # type: ignore[union-attr]
    assert_means_the_same(network, ROOMY, weight_bits)


def test_passes_and_groups_beyond_the_first() -> None:
    rng = np.random.default_rng(3)
    wide = random_layer_network(rng, "conv3x3", size=(3, 3), channels=32, outputs=96, zero_groups=0.3)
    assert_means_the_same(wide, ROOMY, 3)
    deep = random_layer_network(rng, "conv1x1", size=(2, 3), channels=160, outputs=16, zero_groups=0.0)
    assert_means_the_same(deep, ROOMY, 4)


@pytest.mark.parametrize("group_channels", [8, 16])
def test_whole_networks_and_every_group(group_channels: int) -> None:
    network = random_network(np.random.default_rng(7), max_size=5, max_channels=32, group_channels=group_channels)
    parameters = replace(ROOMY, group_channels=group_channels)
    assert_means_the_same(network, parameters, 5)
    assert_means_the_same(network, parameters, 5, every_group=True)


def test_a_stored_group_that_is_not_active_keeps_its_slot() -> None:
    network = random_layer_network(np.random.default_rng(9), "conv3x3", size=(3, 3), zero_groups=0.0)
    layer = network.layers[0]
    assert isinstance(layer, Convolution) and layer.stored is not None
    active = layer.stored & (np.random.default_rng(1).random(layer.stored.shape) < 0.5)
    fewer = network.with_layers({layer.name: replace(layer, active=(active,))})
    assert np.array_equal(lower(fewer, ROOMY).images["weights"], lower(network, ROOMY).images["weights"])
    assert_means_the_same(fewer, ROOMY, 6)


def test_maps_that_are_read_later_are_not_overwritten() -> None:
    for seed in range(8):
        network = random_network(np.random.default_rng(seed), blocks=6)
        program = lower(network, ROOMY)
        frames = program.images["descriptors"].reshape(-1, FRAME_WORDS)[1:]
        spans = {}
        for name, frame in zip(program.layer_names, frames, strict=True):
            fields = unpack(LAYER, frame)
            rows = fields["output_height"] // ROOMY.tile_rows + 1
            spans[name] = range(fields["output_base"], fields["output_base"] + rows * fields["output_row_stride"])
        for index, layer in enumerate(network.layers[:-1]):
            alive = {
                source
                for later in network.layers[index:]
                for source in (later.input, getattr(later, "residual", None))
                if source in spans and program.layer_names.index(source) < index
            }
            for other in alive:
                assert not set(spans[layer.name]) & set(spans[other]), (layer.name, other)


def deep_network(seed: int) -> Network:
    return random_network(np.random.default_rng(seed), max_channels=64, blocks=16)


@pytest.mark.parametrize("memory", ["slots", "bitmap_words", "affine_channels", "feature_words", "descriptors"])
def test_too_small_a_memory_is_named_with_need_limit_and_what_fits(memory: str) -> None:
    network = next(n for n in map(deep_network, range(40)) if n.input.height * n.input.width > 100)
    with pytest.raises(CapacityError) as refusal:
        lower(network, replace(ROOMY, **{memory: 16}))
    error = refusal.value
    fitting = 1 << (error.need - 1).bit_length()
    assert error.memory == memory and error.need > 16
    assert f"{error.need} {memory.replace('_', ' ')}" in str(error) and "has 16" in str(error)
    assert f"{memory} = {fitting} would fit" in str(error)
    grown = fitting_parameters(network, replace(ROOMY, **{memory: 16}))
    assert getattr(grown, memory) >= fitting  # room for every group, zero ones too


def test_channels_that_the_pe_cannot_group_are_named() -> None:
    one = np.ones(20, dtype=np.int64)
    weights = np.ones((20, 3, 3, 3), dtype=np.int16)
    stem = Convolution("stem", "input", weights, 8, 1, one, 0 * one, 4)
    ten = np.ones(4, dtype=np.int64)
    head = Convolution("fc", "pool", np.ones((4, 20, 1, 1), np.int16), 8, 1, ten, 0 * ten, 0, logits=True)
    spec = InputSpec(3, 8, 8, 8, (0, 0, 0))
    network = Network(spec, (stem, AveragePool("pool", "stem", one, 0 * one, 6), head), 8)
    with pytest.raises(CapacityError, match="layer stem: 20 output channels cannot be grouped; multiples of 16"):
        lower(network, ROOMY)
