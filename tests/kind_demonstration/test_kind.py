"""A new kind of layer in three files: ``move_layer.py`` (network), ``move_overlay.py`` (overlay), ``move_node.py``
(training). A row in each room's table is all the rest: files, digests, patches, the reference, lowering, models of
cycles and energy, training, export and the simulated accelerator take the kind as one of theirs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compress_samples import small_digits
from kind_demonstration.move_layer import Move
from kind_demonstration.move_node import MoveNode
from kind_demonstration.move_overlay import MoveKind, as_convolution
from program_interpreter import run_program

from tritforge.compress.export.agreement import compare
from tritforge.compress.export.export import export_network
from tritforge.compress.export.integer_evaluation import IntegerEvaluator
from tritforge.compress.methods.group_sparsity import present_groups
from tritforge.compress.methods.latency import StructureCycles
from tritforge.compress.models.evaluation import settle_statistics
from tritforge.compress.models.kinds import table as node_kinds
from tritforge.compress.models.kinds.classifier import ClassifierNode
from tritforge.compress.models.kinds.conv import ConvNode
from tritforge.compress.models.kinds.pool import PoolNode
from tritforge.compress.models.model import Model
from tritforge.compress.models.nodes import Topology
from tritforge.cost.cycle_model import predict
from tritforge.cost.energy_model import energy
from tritforge.errors import CapacityError, NetworkError, PatchError, RecipeError
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network, save_network
from tritforge.network.kinds import table as network_kinds
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import InputSpec
from tritforge.network.network import Network
from tritforge.network.reference import run
from tritforge.overlay.issued_groups import issued_groups
from tritforge.overlay.kinds import table as overlay_kinds
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.patches.patch import apply_to_network, diff
from tritforge.samples.random_network import random_images, random_ternary_weights
from tritforge.sim.measure.cycle_model import compare_cycles

PARAMETERS = AcceleratorParameters()
CHANNELS = 32


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(network_kinds.KINDS, Move.kind, Move)
    monkeypatch.setitem(overlay_kinds.KINDS, Move.kind, MoveKind())
    monkeypatch.setitem(node_kinds.KINDS, MoveNode.kind, MoveNode)


def move(rng: np.random.Generator, name: str, source: str, channels: int = CHANNELS) -> Move:
    """Random moves, gains from 0 to about 2, some offsets, one output step of rounding."""
    return Move(
        name,
        source,
        rng.integers(-1, 2, (channels, 2)).astype(np.int16),
        rng.integers(0, 16, channels),
        rng.integers(-200, 400, channels),
        3,
    )


def moving_network(seed: int, size: tuple[int, int] = (7, 9), moved_input: bool = False) -> Network:
    """A move of the input or of a ternary layer's map, a ternary layer that adds the moved map, pool and logits."""
    rng = np.random.default_rng(seed)
    one = np.ones(CHANNELS, dtype=np.int64)

    def ternary(name: str, source: str, **residual: Any) -> Convolution:
        weights = random_ternary_weights(rng, CHANNELS, CHANNELS, 3, 0.5, PARAMETERS.group_channels)
        stored = np.ones((CHANNELS, CHANNELS // PARAMETERS.group_channels), dtype=np.bool_)
        return Convolution(
            name, source, weights, 2, 1, 3 * one, 900 * one, 6, stored=stored, active=(stored,), **residual
        )

    before = "input" if moved_input else "first"
    layers = [] if moved_input else [ternary("first", "input")]
    layers += [move(rng, "moved", before), ternary("second", "moved", residual="moved", residual_multiplier=20)]
    layers += [AveragePool("pool", "second", 5 * one, 0 * one, 8)]
    weights = rng.integers(-30, 31, (4, CHANNELS, 1, 1)).astype(np.int16)
    four = np.ones(4, dtype=np.int64)
    layers.append(Convolution("fc", "pool", weights, 6, 1, four, 0 * four, 0, logits=True))
    spec = InputSpec(CHANNELS, *size, 8, (0,) * CHANNELS)
    return Network(spec, tuple(layers), PARAMETERS.activation_bits, PARAMETERS.group_channels)


@pytest.mark.parametrize("moved_input", [False, True])
def test_the_reference_moves_pixels_and_the_evaluator_follows(moved_input: bool) -> None:
    network = moving_network(1, moved_input=moved_input)
    layer = network.layer("moved")
    assert isinstance(layer, Move)
    images = random_images(np.random.default_rng(2), network, 4)
    maps = run(network, images)
    height, width = network.shapes["moved"][1:]
    for channel in (0, 5, 31):
        rows, columns = layer.moves[channel]
        for y, x in np.ndindex(height, width):
            inside = 0 <= y + rows < height and 0 <= x + columns < width
            value = int(maps[layer.input][0, channel, y + rows, x + columns]) if inside else 0
            scaled = (value * int(layer.multiplier[channel]) + int(layer.bias[channel]) + 4) >> 3
            assert maps["moved"][0, channel, y, x] == min(max(scaled, 0), 255)
    fast = IntegerEvaluator(network).maps(images)
    assert all(np.array_equal(fast[name].numpy(), values) for name, values in maps.items())


def test_a_move_is_the_convolution_it_is_lowered_to() -> None:
    network = moving_network(3)
    layer = network.layer("moved")
    assert isinstance(layer, Move)
    same = network.with_layers({"moved": as_convolution(layer, network)})
    images = random_images(np.random.default_rng(4), network, 3)
    assert all(np.array_equal(values, run(same, images)[name]) for name, values in run(network, images).items())


def test_file_and_digest_hold_the_moves(tmp_path: Path) -> None:
    network = moving_network(5)
    layer = network.layer("moved")
    assert isinstance(layer, Move)
    save_network(tmp_path / "a.safetensors", network)
    again = load_network(tmp_path / "a.safetensors")
    assert network_digest(again) == network_digest(network)
    assert np.array_equal(again.layer("moved").moves, layer.moves)  # type: ignore[attr-defined]
    other = network.with_layers({"moved": replace(layer, moves=-layer.moves)})
    assert network_digest(other) != network_digest(network)
    with pytest.raises(NetworkError, match="layer moved: moves take two values from -1 to 1 for each channel"):
        network.with_layers({"moved": replace(layer, moves=2 * layer.moves)})


def test_a_patch_changes_the_affine_entries_and_not_the_moves() -> None:
    network = moving_network(6)
    layer = network.layer("moved")
    assert isinstance(layer, Move)
    louder = network.with_layers({"moved": layer.with_affine(layer.multiplier + 1, layer.bias - 7)})
    patched = apply_to_network(network, diff(network, louder, version=1))
    assert network_digest(patched) == network_digest(louder)
    turned = network.with_layers({"moved": replace(layer, moves=-layer.moves)})
    with pytest.raises(PatchError, match="layer moved: moves differ; a patch changes trits, M and B alone"):
        diff(network, turned, version=1)


@pytest.mark.parametrize("moved_input", [False, True])
def test_the_program_means_what_the_network_means(moved_input: bool) -> None:
    network = moving_network(7, (4, 5), moved_input)
    program = lower(network, PARAMETERS)
    image = random_images(np.random.default_rng(8), network, 1)[0]
    given = run_program(program, [(layer.input, layer.residual) for layer in network.layers], image)
    expected = run(network, image[None])
    assert all(np.array_equal(given[layer.name], expected[layer.name][0]) for layer in network.layers)
    moved = next(layer for layer in issued_groups(program) if layer.name == "moved")
    assert moved.nonzero_groups == CHANNELS  # one group a channel
    assert predict(program).layers[0 if moved_input else 1].issued == moved.tiles * CHANNELS
    assert energy(program).adders > 0


def test_what_the_accelerator_cannot_run_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    network = moving_network(9)
    monkeypatch.delitem(overlay_kinds.KINDS, Move.kind)
    sentence = "layer moved: the accelerator runs no layer of kind move; it runs convolution, average_pool"
    with pytest.raises(CapacityError, match=sentence):
        lower(network, PARAMETERS)
    monkeypatch.delitem(network_kinds.KINDS, Move.kind)
    sentence = "layer moved: there is no kind of layer 'move'; there are convolution, average_pool"
    with pytest.raises(NetworkError, match=sentence):
        moving_network(9)
    monkeypatch.delitem(node_kinds.KINDS, MoveNode.kind)
    with pytest.raises(RecipeError, match="layer moved is of kind move; models are made of conv, average_pool"):
        moving_model(9)


def moving_model(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    moves = tuple((int(rows), int(columns)) for rows, columns in rng.integers(-1, 2, (16, 2)))
    nodes = (
        ConvNode("stem", "input", 1, 16, ternary=False),
        MoveNode("moved", "stem", 16, moves),
        ConvNode("mixed", "moved", 16, 16, kernel=1, residual="moved"),
        PoolNode("pool", "mixed", 16),
        ClassifierNode("classifier", "pool", 16, 10),
    )
    torch.manual_seed(seed)
    return Model(Topology("moving", (1, 8, 8), nodes), (20,))


def test_a_model_with_moves_is_trained_exported_and_costed() -> None:
    data = small_digits(200).train
    model = moving_model(10)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels).long()
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    settle_statistics(model, data.images)
    network = export_network(model, 16)
    assert isinstance(network.layer("moved"), Move)
    agreement = compare(model, network, data.images)
    assert agreement.holds() and agreement.within_one["moved"] == 1.0
    cycles = StructureCycles(model, 16)(present_groups(model, 16))
    assert cycles == predict(lower(network, PARAMETERS)).cycles_per_image


def test_the_accelerator_gives_every_word_in_the_cycles_predicted() -> None:
    cases = []
    for seed, (size, moved_input) in enumerate([((7, 9), False), ((16, 16), False), ((8, 8), True)]):
        network = moving_network(seed, size, moved_input)
        cases.append((f"{size} {moved_input}", network, random_images(np.random.default_rng(seed), network, 4)))
    rows = compare_cycles(PARAMETERS, cases, seed=11)
    for row in rows:
        assert row["mismatching_words"] == 0
        assert row["latency_cycles"] == row["predicted_latency_cycles"]
        assert row["distances"] == row["predicted_distances"]
