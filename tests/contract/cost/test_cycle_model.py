from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tritforge.cost.core_timing import PE_LATENCY, CoreTiming, LayerShape, LayerTimes, Pipeline, Queue, Ring, Word
from tritforge.cost.cycle_model import layer_shape, predict
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.network import Network
from tritforge.network.pe_groups import nonzero_groups, ungroup_weights
from tritforge.overlay.descriptor import FRAME_WORDS, LAYER, unpack
from tritforge.overlay.issued_groups import issued_groups
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.samples.random_network import random_layer_network, random_network
from tritforge.samples.resnet_network import resnet_network


def word(active: int, **place: bool) -> Word:
    """A word of a pass of one; ``place`` says where it is not all of the pass."""
    flags = {"starts_group": True, "starts_pass": True, "ends_pass": True} | place
    return Word(active=active, group=0, index=0, blocks=1, **flags)


def shape(*words: Word, tiles: int = 1, reads: int | None = None, rows: int | None = None) -> LayerShape:
    """A layer of P = 16, one output block, windows of four reads, a tile a row; ``rows`` of the layer before it needs
    so many beyond its own row of tiles."""
    return LayerShape(
        words=words,
        passes=1,
        tiles_y=tiles,
        tiles_x=1,
        load_steps=((4,) * 4,),
        buffer_blocks=1,
        quads=4,
        end_delay=8,
        input_rows=None if rows is None else (1, rows),
        quad_reads=() if reads is None else ((reads, 0, 0, 0),),
    )


def run(*layers: LayerShape) -> list[LayerTimes]:
    """The layers one after the other in a core that was idle."""
    core = CoreTiming(ring_blocks=8)
    return [core.layer(layer, None if index else 0) for index, layer in enumerate(layers)]


# Entry 0, scan begins 1, word read 2, there 4; entry and load pushed 5 and 4; load accepted 5, prepared 8, its first
# step 9, in the router 14, windows complete 17: first group. The drain begins some cycles from a pass's last group;
# then 4 steps of a block, and 8 cycles from the last one to the end.
FIRST_GROUP = 17
TO_THE_END = 4 + PE_LATENCY + 4 + 8


@pytest.mark.parametrize("active", [1, 2, 3, 16])
def test_one_word(active: int) -> None:
    (times,) = run(shape(word(active)))
    assert times.done == FIRST_GROUP + (active - 1) + TO_THE_END
    assert times.issued == active
    # The first group stands before the array from cycle 10 on.
    assert (times.stall_windows, times.stall_accumulators) == (FIRST_GROUP - 10, 0)
    assert times.rows == [times.done]


def test_a_pass_without_groups_takes_one_cycle() -> None:
    (times,) = run(shape(word(0)))
    assert times.done == 10 + TO_THE_END
    assert (times.issued, times.stall_windows) == (0, 0)


def test_compute_bound_tiles_follow_each_other_without_a_gap() -> None:
    (times,) = run(shape(word(16), tiles=50))
    assert times.done == FIRST_GROUP + 50 * 16 - 1 + TO_THE_END
    assert times.stall_windows == FIRST_GROUP - 10


def test_drain_bound_tiles_follow_at_the_drain_of_a_block() -> None:
    runs = [run(shape(word(0), tiles=tiles))[0] for tiles in (50, 60)]
    assert runs[1].done - runs[0].done == 10 * 4
    assert runs[0].stall_accumulators > 0


def test_window_bound_tiles_follow_at_the_window_reads() -> None:
    # Many blocks deep, as in wide layers: the drain is no limit, each channel group brings one group of work.
    first = word(1, ends_pass=False)
    inner = word(1, starts_pass=False, ends_pass=False)
    last = word(1, starts_pass=False)
    ends = [run(shape(first, *[inner] * 8, last, tiles=tiles))[0].done for tiles in (20, 30)]
    assert ends[1] - ends[0] == 10 * 10 * 4


def test_a_residual_costs_nothing_unless_its_reads_outnumber_the_steps() -> None:
    plain, read, strided = (run(shape(word(4), tiles=60, reads=reads))[0].done for reads in (None, 1, 4))
    assert read == plain
    assert strided > plain + 50 * 3 - 8


def test_layers_follow_each_other_without_a_gap() -> None:
    alone = run(shape(word(16), tiles=20))[0].done
    layers = run(shape(word(16), tiles=20), shape(word(16), tiles=20, rows=2), shape(word(16), tiles=20, rows=2))
    assert [layer.done for layer in layers] == [alone, alone + 20 * 16, alone + 40 * 16]


def test_a_layer_waits_for_the_rows_it_reads() -> None:
    layers = run(shape(word(16), tiles=2), shape(word(16), tiles=2, rows=2))
    # All of two rows: the whole layer before must be written, then a load goes its way to the first group.
    assert layers[1].done == layers[0].done + 1 + 9 + 2 * 16 - 1 + TO_THE_END
    assert layers[1].stall_windows > 0


def test_a_third_layer_enters_when_the_first_has_ended() -> None:
    layers = run(*[shape(word(0)) for _ in range(4)])
    assert [layer.enters for layer in layers[:2]] == [0, 20]
    assert layers[2].enters == max(40, layers[0].done + 2)
    long = run(shape(word(16), tiles=30), shape(word(16)), shape(word(16)))
    assert long[2].enters == long[0].done + 2


def test_a_pool_waits_for_the_end_of_the_layer_before() -> None:
    pool = replace(shape(word(0)), waits_for_end=True)
    layers = run(shape(word(16), tiles=4), pool)
    assert layers[1].done == layers[0].done + 1 + 4 + 8


@pytest.mark.parametrize(("sizes", "blocks"), [((1, 1, 4), 8), ((4, 4), 8), ((1, 2, 4), 8), ((2, 1), 3)])
def test_buffers_begin_at_multiples_of_their_size(sizes: tuple[int, ...], blocks: int) -> None:
    ring = Ring(8)
    taken = 0
    for size in sizes:
        needed, cycle = ring.take(size, 5)
        assert cycle == 5
        ring.give(needed, 100)
        taken += needed
    assert taken == blocks
    # The next one waits for the first one's blocks as soon as they do not fit any more.
    assert ring.take(4, 5)[1] == (100 if blocks + 4 > 8 else 5)


def test_a_pipeline_moves_again_after_its_stalls() -> None:
    pipeline = Pipeline()
    pipeline.stall(5, 8)
    pipeline.stall(9, 10)
    assert [pipeline.move(cycle) for cycle in (4, 5, 7, 8, 9)] == [4, 8, 8, 8, 10]
    assert [pipeline.move(4, further) for further in range(4)] == [4, 8, 10, 11]
    assert list(pipeline.moves(3, 12)) == [(3, 5), (8, 9), (10, 13)]
    assert list(pipeline.moves(8, 8)) == [(8, 9)]


def test_a_queue_has_room_after_a_pop() -> None:
    queue = Queue(1)
    for cycle in (2, 3):
        queue.push(cycle)
    queue.pop(9)
    assert [queue.room(cycle) for cycle in (3, 4, 12)] == [3, 10, 12]


def test_what_is_popped_in_a_cycle_makes_room_in_the_next() -> None:
    queue = Queue(0)
    queue.push(2)
    queue.pop(9)
    assert [queue.room(cycle) for cycle in (9, 10)] == [10, 10]


@pytest.mark.parametrize("pes", [4, 8, 16, 32])
@pytest.mark.parametrize("seed", range(6))
def test_counts_equal_those_of_the_program(seed: int, pes: int) -> None:
    network = random_network(np.random.default_rng(seed), max_channels=32, group_channels=16)
    program = lower(network, fitting_parameters(network, AcceleratorParameters(pes=pes)))
    prediction = predict(program)
    counted = {layer.name: layer for layer in issued_groups(program)}
    assert min(layer.cycles for layer in prediction.layers) > 0
    for layer in prediction.layers:
        tiles, groups, nonzero = 0, 0, 0
        if layer.name in counted:
            found = counted[layer.name]
            tiles, groups, nonzero = found.tiles, found.groups, found.nonzero_groups
        assert (layer.issued, layer.dense) == (tiles * nonzero, tiles * groups)
    assert prediction.ideal_cycles == sum(layer.issued for layer in prediction.layers)
    assert prediction.ideal_dense_cycles == sum(layer.dense for layer in prediction.layers)
    assert prediction.latency_cycles == sum(layer.alone_cycles for layer in prediction.layers)
    assert prediction.cycles_per_image >= prediction.issued
    assert prediction.cycles_per_image == np.mean(prediction.distances[len(prediction.distances) // 2 :])


def layer_with(zero_groups: float, channels: int = 32) -> Network:
    return random_layer_network(
        np.random.default_rng(1),
        "conv3x3",
        size=(16, 16),
        channels=channels,
        outputs=32,
        zero_groups=zero_groups,
        group_channels=16,
    )


def test_more_active_groups_never_take_fewer_cycles() -> None:
    network = layer_with(0.0)
    layer = network.layers[0]
    assert isinstance(layer, Convolution)
    order = np.random.default_rng(2).permutation(64)
    cycles = []
    for count in range(64, 15, -4):
        keep = np.zeros(64, dtype=np.bool_)
        keep[order[:count]] = True
        trits = np.ones((32, 2, 9, 16), dtype=np.int16) * keep.reshape(32, 2, 1, 1)
        weights = ungroup_weights(trits, 32, 3).astype(np.int16)
        stored = nonzero_groups(weights, network.group_channels)
        changed = replace(layer, weights=weights, stored=stored, active=(stored,))
        smaller = network.with_layers({layer.name: changed})
        cycles.append(predict(lower(smaller, AcceleratorParameters())).latency_cycles)
    assert cycles == sorted(cycles, reverse=True)


def test_the_goals_of_resnet_20_hold() -> None:
    """The accelerator's aims at P = 16, 8 bits: cycles an image, and efficiency of skipping, by the model."""
    for zero_groups, efficiency in ((0.25, 0.97), (0.5, 0.94), (0.75, 0.8)):
        network = resnet_network(20, zero_groups, group_channels=16)
        parameters = fitting_parameters(network, AcceleratorParameters())
        sparse, dense = (predict(lower(network, parameters, every_group=flag)) for flag in (False, True))
        speedup = dense.cycles_per_image / sparse.cycles_per_image
        assert speedup >= efficiency * sparse.ideal_dense_cycles / sparse.ideal_cycles
        assert dense.cycles_per_image <= 21000
        if zero_groups == 0.5:
            assert sparse.cycles_per_image <= 11000
            assert sparse.layers[0].cycles + sparse.layers[-1].cycles <= 1650


def test_images_wait_for_the_input_where_it_is_slower() -> None:
    network = random_layer_network(
        np.random.default_rng(3), "conv3x3_stride2", size=(16, 16), channels=64, outputs=16, group_channels=16
    )
    prediction = predict(lower(network, AcceleratorParameters(pes=32)))
    # A beat a cycle, the write of the last word, and what waits for window reads.
    assert 16 * 16 * 64 // 4 + 1 <= prediction.input_cycles == prediction.cycles_per_image + 1
    compute_bound = predict(lower(layer_with(0.0, 16), AcceleratorParameters(pes=4)))
    assert compute_bound.cycles_per_image < compute_bound.latency_cycles


@pytest.mark.parametrize("depth", [20, 56])
def test_resnets_have_exactly_the_asked_zero_groups(depth: int) -> None:
    network = resnet_network(depth, 0.25, group_channels=16)
    assert len(network.convolutions()) == depth
    for layer in network.ternary_layers():
        assert (~nonzero_groups(layer.weights, network.group_channels)).mean() == 0.25
    repeated = resnet_network(depth, 0.25, group_channels=16)
    pairs = zip(network.convolutions(), repeated.convolutions(), strict=True)
    assert all((a.weights == b.weights).all() for a, b in pairs)


def test_an_image_may_wait_for_a_buffer_and_the_next_one_not() -> None:
    """Distances that the RTL took (``bench model --pes 32``): every second image comes in while its buffer is late."""
    network = random_network(np.random.default_rng([0, 43]), group_channels=16)
    parameters = fitting_parameters(network, AcceleratorParameters(pes=32), every_group=False)
    prediction = predict(lower(network, parameters), 6)
    assert prediction.distances == (223, 238, 223, 238, 223)
    assert prediction.cycles_per_image == (223 + 238 + 223) / 3


@pytest.mark.parametrize(("idle", "stalls"), [(0, True), (1, False)])
def test_the_ring_begins_anew_only_where_the_core_was_idle(idle: int, stalls: bool) -> None:
    """A first layer of one block leaves the ring at block 1; four blocks then skip three, and two such passes are one
    too many for eight blocks."""
    core = CoreTiming(ring_blocks=8)
    done = core.layer(shape(word(0)), 0).done
    following = core.layer(replace(shape(word(0), word(0)), passes=2, buffer_blocks=4), done + idle)
    assert following.enters == done + idle
    assert (following.stall_accumulators > 0) == stalls


def first_layer_shape(kind: str, size: tuple[int, int], **channels: int) -> LayerShape:
    """The timing of the layer under test, at P = 16: tiles of two rows and eight columns."""
    network = random_layer_network(np.random.default_rng(1), kind, size=size, group_channels=16, **channels)  # type: ignore[arg-type]
    program = lower(network, fitting_parameters(network, AcceleratorParameters()))
    frames = program.images["descriptors"].reshape(-1, FRAME_WORDS)[1:]
    return layer_shape(program, [unpack(LAYER, frame) for frame in frames], 0, "first")


@pytest.mark.parametrize(
    ("size", "pixels"), [((4, 16), (16, 16, 16, 16)), ((3, 9), (16, 2, 8, 1)), ((1, 7), (16, 14, 8, 7))]
)
def test_windows_of_1x1_take_a_step_for_each_block_of_each_pixel(size: tuple[int, int], pixels: tuple) -> None:
    assert first_layer_shape("conv1x1", size, channels=160, outputs=16).load_steps == (
        tuple(9 * count for count in pixels),
        pixels,
    )


@pytest.mark.parametrize(("kind", "reads"), [("residual", 1), ("option_a", 16)])
def test_every_block_of_a_residual_is_read_once_or_in_its_parts(kind: str, reads: int) -> None:
    """Stride 2: each of four quads in four parts; none for the zero channels on both sides."""
    outputs = {"outputs": 96} if kind == "option_a" else {}
    quads = [
        count for of_pass in first_layer_shape(kind, (4, 4), channels=48, **outputs).quad_reads for count in of_pass
    ]
    assert sum(quads) == 3 * reads
    assert len(quads) == (24 if outputs else 12)
