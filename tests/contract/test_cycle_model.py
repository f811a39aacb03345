from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tritforge.cycle_model import predict
from tritforge.issued_groups import issued_groups
from tritforge.layer_timing import LayerShape, LayerTiming, Pipeline, Queue, Word
from tritforge.lowering import fitting_parameters, lower
from tritforge.network import Convolution, Network
from tritforge.parameters import AcceleratorParameters
from tritforge.pe_groups import nonzero_groups, ungroup_weights
from tritforge.random_network import random_layer_network, random_network
from tritforge.resnet_network import resnet_network


def word(active: int, **place: bool) -> Word:
    """A word of a pass of one; ``place`` says where it is not all of the pass."""
    flags = {"starts_group": True, "starts_pass": True, "ends_pass": True} | place
    return Word(active=active, group=0, index=0, blocks=1, **flags)


def shape(*words: Word, tiles: int = 1, buffers: int = 8, reads: tuple[bool, ...] | None = None) -> LayerShape:
    """A layer of P = 16, one output block, windows of four reads."""
    return LayerShape(words, tiles, (4,), buffers, 8, None if reads is None else ((reads,),), end_delay=13)


# Start pulse 0, word read 1, there 3; entry and load pushed 3 and 4; load accepted 4, prepared 7, its first step 8,
# in the router 12, windows complete 16: first group. 13 cycles from a pass's last group until it is counted as done;
# then begin, 8 steps of a block, and 13 cycles from the last one to the end.
FIRST_GROUP = 16


@pytest.mark.parametrize("active", [1, 2, 3, 16])
def test_one_word(active: int) -> None:
    timing = LayerTiming(shape(word(active)))
    assert timing.run() == FIRST_GROUP + (active - 1) + 13 + 8 + 13
    assert timing.issued == active
    # The first group stands before the issue from cycle 8 on.
    assert (timing.stall_windows, timing.stall_accumulators) == (FIRST_GROUP - 8, 0)


def test_a_pass_without_groups_takes_one_cycle() -> None:
    timing = LayerTiming(shape(word(0)))
    assert timing.run() == 8 + 13 + 8 + 13
    assert (timing.issued, timing.stall_windows) == (0, 0)


def test_compute_bound_tiles_follow_each_other_without_a_gap() -> None:
    timing = LayerTiming(shape(word(16), tiles=50))
    assert timing.run() == FIRST_GROUP + 50 * 16 - 1 + 13 + 8 + 13
    assert timing.stall_windows == FIRST_GROUP - 8


def test_drain_bound_tiles_follow_at_the_drain_of_a_block() -> None:
    runs = [LayerTiming(shape(word(3), tiles=tiles)) for tiles in (50, 60)]
    ends = [run.run() for run in runs]
    assert ends[1] - ends[0] == 10 * 8
    assert runs[0].stall_accumulators > 0


def test_window_bound_tiles_follow_at_the_window_reads() -> None:
    # Many blocks deep, as in wide layers: the drain is no limit, each channel group brings one group of work.
    first = word(1, ends_pass=False)
    inner = word(1, starts_pass=False, ends_pass=False)
    last = word(1, starts_pass=False)
    ends = [LayerTiming(shape(first, *[inner] * 8, last, tiles=tiles)).run() for tiles in (20, 30)]
    # Four reads, and the cycle in which the windows are taken.
    assert ends[1] - ends[0] == 10 * 10 * (4 + 1)


def test_a_residual_that_is_there_in_time_costs_nothing() -> None:
    assert LayerTiming(shape(word(16), tiles=9, reads=(True,))).run() == LayerTiming(shape(word(16), tiles=9)).run()


def test_a_pipeline_moves_again_after_its_stalls() -> None:
    pipeline = Pipeline()
    pipeline.stall(5, 8)
    pipeline.stall(9, 10)
    assert [pipeline.move(cycle) for cycle in (4, 5, 7, 8, 9)] == [4, 8, 8, 8, 10]
    assert [pipeline.move(4, further) for further in range(4)] == [4, 8, 10, 11]


def test_a_queue_has_room_after_a_pop() -> None:
    queue = Queue(1)
    for cycle in (2, 3):
        queue.push(cycle)
    queue.pop(9)
    assert [queue.room(cycle) for cycle in (3, 4, 12)] == [3, 10, 12]


@pytest.mark.parametrize("pes", [4, 8, 16, 32])
@pytest.mark.parametrize("seed", range(6))
def test_counts_equal_those_of_the_program(seed: int, pes: int) -> None:
    network = random_network(np.random.default_rng(seed), max_channels=32)
    program = lower(network, fitting_parameters(network, AcceleratorParameters(pes=pes)))
    prediction = predict(program)
    counted = {layer.name: layer for layer in issued_groups(program)}
    for layer in prediction.layers:
        tiles, groups, nonzero = 0, 0, 0
        if layer.name in counted:
            found = counted[layer.name]
            tiles, groups, nonzero = found.tiles, found.groups, found.nonzero_groups
        assert (layer.issued, layer.dense) == (tiles * nonzero, tiles * groups)
        assert layer.cycles > layer.issued + layer.stall_windows + layer.stall_accumulators
    assert prediction.ideal_cycles == sum(layer.issued for layer in prediction.layers)
    assert prediction.ideal_dense_cycles == sum(layer.dense for layer in prediction.layers)
    assert prediction.latency_cycles > sum(layer.cycles for layer in prediction.layers)
    assert prediction.cycles_per_image >= max(prediction.latency_cycles + 1, prediction.input_cycles)


def layer_with(zero_groups: float, channels: int = 32) -> Network:
    return random_layer_network(
        np.random.default_rng(1), "conv3x3", size=(16, 16), channels=channels, outputs=32, zero_groups=zero_groups
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
        stored = nonzero_groups(weights)
        changed = replace(layer, weights=weights, stored=stored, active=(stored,))
        smaller = network.with_layers({layer.name: changed})
        cycles.append(predict(lower(smaller, AcceleratorParameters())).layers[0].cycles)
    assert cycles == sorted(cycles, reverse=True)


def test_skipping_saves_exactly_the_groups_of_a_compute_bound_layer() -> None:
    network = resnet_network(20, stem_bits=5)
    parameters = fitting_parameters(network, AcceleratorParameters())
    skipping, every = (predict(lower(network, parameters, every_group=flag)) for flag in (False, True))
    for sparse, dense in zip(skipping.layers, every.layers, strict=True):
        if sparse.name.startswith("stage1"):
            assert dense.cycles - sparse.cycles == dense.issued - sparse.issued == sparse.dense // 2


def test_images_wait_for_the_input_where_it_is_slower() -> None:
    network = random_layer_network(np.random.default_rng(3), "conv3x3_stride2", size=(16, 16), channels=64, outputs=16)
    prediction = predict(lower(network, AcceleratorParameters(pes=32)))
    assert prediction.input_cycles == 16 * 16 * 64 // 4
    assert prediction.cycles_per_image == max(prediction.input_cycles, prediction.latency_cycles + 1)
    compute_bound = predict(lower(layer_with(0.0, 16), AcceleratorParameters(pes=4)))
    assert compute_bound.cycles_per_image == compute_bound.latency_cycles + 1


@pytest.mark.parametrize("depth", [20, 56])
def test_resnets_have_exactly_the_asked_zero_groups(depth: int) -> None:
    network = resnet_network(depth, 0.25)
    assert len(network.convolutions()) == depth
    for layer in network.ternary_layers():
        assert (~nonzero_groups(layer.weights)).mean() == 0.25
    repeated = resnet_network(depth, 0.25)
    pairs = zip(network.convolutions(), repeated.convolutions(), strict=True)
    assert all((a.weights == b.weights).all() for a, b in pairs)
