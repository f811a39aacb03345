"""Lowering means what the network means: the program, executed from its images alone, gives every map."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from network_samples import convolution
from program_interpreter import run_program

from tritforge.errors import CapacityError
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import InputSpec
from tritforge.network.network import Network
from tritforge.network.reference import run
from tritforge.overlay.descriptor import FRAME_WORDS, HEADER, LAYER, unpack
from tritforge.overlay.lowering import fitting_parameters, lower, smallest_depths
from tritforge.overlay.map_layout import map_layout
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


@pytest.mark.parametrize("channels", [1, 3, 4, 16])
def test_quads_of_lanes_share_the_bit_planes_of_a_narrow_image(channels: int) -> None:
    weights = np.random.default_rng(0).integers(-255, 256, (16, channels, 3, 3))
    first = convolution("first", "input", weights, weight_bits=9, group_channels=16)
    network = Network(InputSpec(channels, 3, 4, 8, (0,) * channels), (first, *ending("first", 16)), 8, 16)
    layer = unpack(LAYER, lower(network, ROOMY).images["descriptors"].reshape(-1, FRAME_WORDS)[1])
    assert (layer["planes"], layer["plane_step"]) == ((2, 4) if channels <= 4 else (8, 1))
    assert_means_the_same(network, ROOMY, channels)


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
        header = unpack(HEADER, program.images["descriptors"][:FRAME_WORDS])
        words = map_layout(ROOMY, network.shapes["input"]).words
        images = [range(header[f"input_base_{buffer}"], header[f"input_base_{buffer}"] + words) for buffer in (0, 1)]
        assert not set(images[0]) & set(images[1])
        spans = {}
        for name, frame in zip(program.layer_names, frames, strict=True):
            fields = unpack(LAYER, frame)
            rows = fields["output_height"] // ROOMY.tile_rows + 1
            spans[name] = range(fields["output_base"], fields["output_base"] + rows * fields["output_row_stride"])
        for index, layer in enumerate(network.layers[:-1]):
            # The next image comes into one of its buffers while any layer is written.
            assert not set(spans[layer.name]) & (set(images[0]) | set(images[1])), layer.name
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


def test_the_largest_memories_are_used_whole() -> None:
    network = random_layer_network(
        np.random.default_rng(5), "conv3x3", size=(2, 2), channels=256, outputs=320, zero_groups=0.0, group_channels=16
    )
    need = len(lower(network, replace(ROOMY, slots=8192)).images["weights"]) // ROOMY.words_per_slot
    assert 4096 < need <= 8192 == smallest_depths(network, ROOMY)["slots"]
    assert fitting_parameters(network, replace(ROOMY, slots=16)).slots == 8192


@pytest.mark.parametrize(
    ("outputs", "fields"),
    [
        (16, (1, 1, 1, 0)),
        (32, (2, 1, 2, 1)),
        (48, (3, 1, 3, 2)),
        (64, (4, 1, 4, 2)),
        (80, (5, 2, 1, 2)),
        (128, (8, 2, 4, 2)),
    ],
)
def test_passes_of_four_blocks_and_the_buffers_they_take(outputs: int, fields: tuple[int, ...]) -> None:
    network = random_layer_network(
        np.random.default_rng(2), "conv1x1", size=(2, 2), channels=16, outputs=outputs, group_channels=16
    )
    program = lower(network, ROOMY)
    layer = unpack(LAYER, program.images["descriptors"].reshape(-1, FRAME_WORDS)[1])
    assert tuple(layer[name] for name in ("output_blocks", "passes", "last_words", "buffer_log2")) == fields
    # Layer, pool and at most 20 classes: affine entries of two words for whole blocks.
    blocks = 2 * fields[0] + -(-network.classes // 16)
    assert len(program.images["affine"]) == 2 * 16 * blocks


def test_the_pool_memory_holds_the_widest_of_several_pools() -> None:
    network = over_image((0,) * 16)
    wide = convolution("wide", "pool", np.ones((48, 16, 1, 1), dtype=np.int64), group_channels=16)
    one = np.ones(48, dtype=np.int64)
    layers = *network.layers[:2], wide, AveragePool("again", "wide", one, 0 * one, 0)
    head = replace(ending("again", 48)[1], input="again")
    assert smallest_depths(replace(network, layers=(*layers, head)), ROOMY)["pool_channels"] == 64


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


def ending(source: str, channels: int, classes: int = 4) -> tuple[AveragePool, Convolution]:
    """The pool over a map of so many channels, and logits of small random weights."""
    one = np.ones(channels, dtype=np.int64)
    weights = np.random.default_rng(classes).integers(-7, 8, (classes, channels, 1, 1))
    head = replace(convolution("fc", "pool", weights, weight_bits=4, group_channels=16), logits=True, shift=0)
    return AveragePool("pool", source, one, 0 * one, 6), head


def over_image(zero_point: tuple[int, ...]) -> Network:
    """A 3x3 layer of random trits over an image of 8-bit pixels with these zero points."""
    channels = len(zero_point)
    weights = np.random.default_rng(channels).integers(-1, 2, (16, channels, 3, 3))
    first = convolution("first", "input", weights, group_channels=16)
    return Network(InputSpec(channels, 3, 4, 8, zero_point), (first, *ending("first", 16)), 8, 16)


@pytest.mark.parametrize("channels", [16, 32])
def test_a_wide_image_needs_zero_points_that_repeat_every_four_channels(channels: int) -> None:
    repeating = (3, 250, 0, 77) * (channels // 4)
    assert_means_the_same(over_image(repeating), ROOMY, channels)
    for lane in range(channels):
        zero_point = (*repeating[:lane], repeating[lane] + 1, *repeating[lane + 1 :])
        with pytest.raises(CapacityError, match="needs zero points that repeat every 4 channels"):
            lower(over_image(zero_point), ROOMY)


def test_an_image_has_up_to_four_channels_or_whole_blocks() -> None:
    assert_means_the_same(over_image((9, 8, 7, 6)), ROOMY, 4)
    for channels in (5, 8, 15, 17, 24):
        with pytest.raises(CapacityError, match=f"input has {channels} channels; .* up to 4 .* multiples of 16"):
            lower(over_image((0,) * channels), ROOMY)


def test_what_the_accelerator_was_not_built_for_is_refused() -> None:
    network = over_image((0,) * 16)
    with pytest.raises(CapacityError, match="grouped by 16 channels, the accelerator's PE takes 8"):
        lower(network, replace(ROOMY, group_channels=8))
    with pytest.raises(CapacityError, match="8-bit activations, the accelerator 16"):
        lower(network, replace(ROOMY, activation_bits=16))


def test_a_pool_that_reads_anything_but_the_convolution_before_it_is_refused() -> None:
    network = over_image((0,) * 16)
    first, pool, head = network.layers
    assert isinstance(first, Convolution) and isinstance(pool, AveragePool) and isinstance(head, Convolution)
    again = replace(pool, name="again", input="pool")
    other = replace(first, name="other")
    for layers in (
        (replace(pool, input="input"), head),
        (first, other, pool, head),
        (first, pool, again, replace(head, input="again")),
    ):
        with pytest.raises(CapacityError, match="an average pool reads the convolution just before it"):
            lower(replace(network, layers=layers), ROOMY)


def test_a_narrow_image_is_no_residual() -> None:
    network = over_image((0,) * 4)
    first = network.layers[0]
    assert isinstance(first, Convolution)
    with pytest.raises(CapacityError, match="layer first: an image of up to 4 channels cannot be a residual"):
        lower(network.with_layers({"first": replace(first, residual="input", residual_multiplier=1)}), ROOMY)


@pytest.mark.parametrize("most", [32, 64, 128])
def test_classes_fill_one_pass_at_most(most: int) -> None:
    network, parameters = over_image((0,) * 16), replace(ROOMY, pass_outputs=most)
    first = network.layers[0]
    assert_means_the_same(replace(network, layers=(first, *ending("first", 16, most))), parameters, most)
    with pytest.raises(CapacityError, match=f"layer fc: {most + 1} classes; the accelerator gives up to {most}"):
        lower(replace(network, layers=(first, *ending("first", 16, most + 1))), parameters)


@dataclass(frozen=True)
class Edge:
    """A layer whose first channel takes a 48-bit sum to its ends: over 4-bit pixels, or 8-bit activations."""

    layer: str
    residual: str | None = None
    zero: int = 0

    def network(self, multiplier: int, bias: int, shift: int) -> Network:
        weights = np.zeros((16, 16, 1, 1), dtype=np.int64)
        weights[0, :3], weights[0, 3:5] = 1, -1
        first = convolution("first", "input", weights, group_channels=16)
        layers = first, replace(first, name="second", input="first"), *ending("second", 16)
        network = Network(InputSpec(16, 2, 3, 4, (self.zero,) * 16), layers, 8, 16)
        layer = network.layer(self.layer)
        one = np.ones(16, dtype=np.int64)
        one[0], affine = multiplier, np.zeros(16, dtype=np.int64)
        affine[0] = bias
        layer = replace(layer, multiplier=one, bias=affine, shift=shift)
        if self.residual is not None:
            layer = replace(layer, residual=self.residual, residual_multiplier=1000)  # type: ignore[call-arg]
        return network.with_layers({self.layer: layer})

    def ends(self, multiplier: int, shift: int) -> tuple[int, int]:
        """Lowest and highest sum without ``B``."""
        tops = {"input": 15, "first": 255}
        top = tops["input" if self.layer == "first" else "first"]
        sums = (0, 2 * 3 * top) if self.layer == "pool" else (-2 * top, 3 * top)
        low, high = sorted(multiplier * value for value in sums)
        centre = multiplier * self.zero
        rest = 1000 * tops[self.residual] if self.residual is not None else 0
        return low - centre, high - centre + rest + 2**shift // 2


EDGES = [
    Edge("first"),
    Edge("first", zero=9),
    Edge("first", residual="input"),
    Edge("second"),
    Edge("second", residual="input"),
    Edge("second", residual="first"),
    Edge("pool"),
]


@pytest.mark.parametrize("edge", EDGES, ids=str)
@pytest.mark.parametrize("multiplier", [500, -500])
@pytest.mark.parametrize("shift", [0, 1, 12])
def test_results_reach_both_ends_of_48_bits_and_no_further(edge: Edge, multiplier: int, shift: int) -> None:
    low, high = edge.ends(multiplier, shift)
    for bias, step, reached in ((2**47 - 1 - high, 1, 2**47), (-(2**47) - low, -1, -(2**47) - 1)):
        lower(edge.network(multiplier, bias, shift), ROOMY)
        if not -(2**47) <= bias + step < 2**47:
            continue  # the bias by itself has 48 bits: a pool whose sum is 0 goes no further
        with pytest.raises(CapacityError, match=rf"layer {edge.layer}: M \* acc .* can reach {reached}; .* 48-bit"):
            lower(edge.network(multiplier, bias + step, shift), ROOMY)
