"""Lowering means what the network means: the program, executed from its images alone, gives every map."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from program_interpreter import run_program

from tritforge.errors import CapacityError
from tritforge.network.network import AveragePool, Convolution, InputSpec, Network
from tritforge.network.reference import run
from tritforge.overlay.descriptor import FRAME_WORDS, LAYER, unpack
from tritforge.overlay.lowering import fitting_parameters, lower, smallest_depths
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.samples.random_network import KINDS, Kind, random_images, random_layer_network, random_network

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
@pytest.mark.parametrize(("seed", "group_channels"), [(1, 16), (2, 16), (1, 8)])
def test_every_kind_of_layer(kind: Kind, seed: int, group_channels: int) -> None:
    network = random_layer_network(np.random.default_rng(seed), kind, size=(5, 4), group_channels=group_channels)
    assert_means_the_same(network, replace(ROOMY, group_channels=group_channels), seed)


@pytest.mark.parametrize("weight_bits", [2, 5, 6, 9])
def test_bit_planes_of_a_stem_and_of_the_logits(weight_bits: int) -> None:
    seeds = (
        random_layer_network(np.random.default_rng(seed), "stem3x3", size=(4, 3), group_channels=16)
        for seed in range(200)
    )
    network = next(n for n in seeds if n.layers[0].weight_bits == weight_bits)  # type: ignore[union-attr]
    assert_means_the_same(network, ROOMY, weight_bits)


def test_passes_and_groups_beyond_the_first() -> None:
    rng = np.random.default_rng(3)
    wide = random_layer_network(
        rng, "conv3x3", size=(3, 3), channels=32, outputs=96, zero_groups=0.3, group_channels=16
    )
    assert_means_the_same(wide, ROOMY, 3)
    deep = random_layer_network(
        rng, "conv1x1", size=(2, 3), channels=160, outputs=16, zero_groups=0.0, group_channels=16
    )
    assert_means_the_same(deep, ROOMY, 4)


@pytest.mark.parametrize("group_channels", [8, 16])
def test_whole_networks_and_every_group(group_channels: int) -> None:
    network = random_network(np.random.default_rng(7), max_size=5, max_channels=32, group_channels=group_channels)
    parameters = replace(ROOMY, group_channels=group_channels)
    assert_means_the_same(network, parameters, 5)
    assert_means_the_same(network, parameters, 5, every_group=True)


def test_a_stored_group_that_is_not_active_keeps_its_slot() -> None:
    network = random_layer_network(np.random.default_rng(9), "conv3x3", size=(3, 3), zero_groups=0.0, group_channels=16)
    layer = network.layers[0]
    assert isinstance(layer, Convolution) and layer.stored is not None
    active = layer.stored & (np.random.default_rng(1).random(layer.stored.shape) < 0.5)
    fewer = network.with_layers({layer.name: replace(layer, active=(active,))})
    assert np.array_equal(lower(fewer, ROOMY).images["weights"], lower(network, ROOMY).images["weights"])
    assert_means_the_same(fewer, ROOMY, 6)


def test_maps_that_are_read_later_are_not_overwritten() -> None:
    for seed in range(8):
        network = random_network(np.random.default_rng(seed), blocks=6, group_channels=16)
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
    return random_network(np.random.default_rng(seed), max_channels=64, blocks=16, group_channels=16)


MEMORIES = ["slots", "bitmap_words", "affine_channels", "feature_words", "descriptors", "pool_channels"]


@pytest.mark.parametrize("memories", [*([memory] for memory in MEMORIES), MEMORIES], ids="+".join)
def test_every_memory_that_is_too_small_is_named_with_need_limit_and_what_fits(memories: list[str]) -> None:
    network = next(n for n in map(deep_network, range(40)) if n.input.height * n.input.width > 100)
    tight = replace(ROOMY, **dict.fromkeys(memories, 16))
    with pytest.raises(CapacityError) as refusal:
        lower(network, tight)
    needs, told = refusal.value.needs, str(refusal.value)
    assert sorted(needs) == sorted(memories) and "\n" not in told
    advice = re.findall(r"--memory ([a-z_]+)=(\d+)", told)
    assert told.endswith("would fit") and [name for name, _ in advice] == list(needs)
    for name, need in needs.items():
        assert need > 16 and f"{need} {name.replace('_', ' ')} (the accelerator has 16)" in told
    depths = {name: int(depth) for name, depth in advice}
    fits = replace(tight, **depths)
    lower(network, fits)
    for name in memories:  # and nothing smaller
        assert depths[name] // 2 < needs[name] <= depths[name]
        with pytest.raises(CapacityError, match=f"needs {needs[name]} "):
            lower(network, replace(fits, **{name: depths[name] // 2}))


def test_smallest_depths_and_room_for_every_group() -> None:
    network = deep_network(3)
    depths = smallest_depths(network, ROOMY)
    lower(network, replace(ROOMY, **depths))
    for name, depth in depths.items():
        if depth > 16:
            with pytest.raises(CapacityError):
                lower(network, replace(ROOMY, **{name: depth // 2}))
    grown = fitting_parameters(network, replace(ROOMY, **dict.fromkeys(MEMORIES, 16)))
    lower(network, grown, every_group=True)
    assert grown.slots > depths["slots"] and replace(grown, slots=16) == replace(ROOMY, **depths | {"slots": 16})
    assert fitting_parameters(network, ROOMY) == ROOMY  # what is there stays


def test_what_no_accelerator_holds_is_said() -> None:
    rng = np.random.default_rng(5)
    network = random_layer_network(
        rng, "conv3x3", size=(2, 2), channels=512, outputs=512, zero_groups=0.0, group_channels=16
    )
    for refused in (lambda: lower(network, ROOMY), lambda: fitting_parameters(network, ROOMY)):
        with pytest.raises(CapacityError, match=r"\d+ slots \(an accelerator has at most 8192\).*nothing fits"):
            refused()


DEEP = replace(ROOMY, pool_channels=512, feature_words=8192)


def summing_network(total: int, size: tuple[int, int] = (1, 1), bits: int = 8) -> Network:
    """One layer, the pool, and logits of 9 bits of which one sums to ``total`` times its inputs."""
    channels = 272
    weights = np.zeros((4, channels, 1, 1), dtype=np.int16)
    whole, rest = divmod(abs(total), 255)
    weights[0, : whole + 1] = np.sign(total) * 255
    weights[0, whole] = np.sign(total) * rest
    one, four = np.ones(channels, dtype=np.int64), np.ones(4, dtype=np.int64)
    trits, stored = np.zeros((channels, 16, 1, 1), dtype=np.int16), np.ones((channels, 1), dtype=np.bool_)
    first = Convolution("first", "input", trits, 2, 1, one, 0 * one, 4, stored=stored, active=(stored,))
    pool = AveragePool("pool", "first", one, 0 * one, 6)
    head = Convolution("fc", "pool", weights, 9, 1, four, 0 * four, 0, logits=True)
    return Network(InputSpec(16, *size, 8, (0,) * 16), (first, pool, head), bits, 16)


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_that_leave_the_accumulators_are_refused_by_layer(sign: int) -> None:
    most = 65793 * sign  # times 255 is 2**24 - 1
    lower(summing_network(most), DEEP)
    with pytest.raises(CapacityError, match=f"layer fc: sums can reach {255 * (most + sign)}; .* 25-bit"):
        lower(summing_network(most + sign), DEEP)
    lower(summing_network(sign * 32000, bits=16), replace(DEEP, activation_bits=16))


def test_a_pool_that_leaves_the_accumulators_is_refused() -> None:
    with pytest.raises(CapacityError, match="feature words"):  # its sums hold: the next limit speaks
        lower(summing_network(1, (256, 257)), DEEP)
    with pytest.raises(CapacityError, match=f"layer pool: sums can reach {255 * 257 * 257};"):
        lower(summing_network(1, (257, 257)), DEEP)
    wide = replace(DEEP, activation_bits=16)
    with pytest.raises(CapacityError, match=f"layer pool: sums can reach {65535 * 128 * 257}; .* 32-bit"):
        lower(summing_network(1, (128, 257), bits=16), wide)


def test_channels_that_the_pe_cannot_group_are_named() -> None:
    one = np.ones(20, dtype=np.int64)
    weights = np.ones((20, 3, 3, 3), dtype=np.int16)
    stem = Convolution("stem", "input", weights, 8, 1, one, 0 * one, 4)
    ten = np.ones(4, dtype=np.int64)
    head = Convolution("fc", "pool", np.ones((4, 20, 1, 1), np.int16), 8, 1, ten, 0 * ten, 0, logits=True)
    spec = InputSpec(3, 8, 8, 8, (0, 0, 0))
    network = Network(spec, (stem, AveragePool("pool", "stem", one, 0 * one, 6), head), 8, 16)
    with pytest.raises(CapacityError, match="layer stem: 20 output channels cannot be grouped; multiples of 16"):
        lower(network, ROOMY)
