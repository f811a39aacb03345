"""Every kind of layer is in the table of every room, or refused by name in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from torch import nn

from tritforge.compress.export.integer_evaluation import IN_TORCH
from tritforge.compress.layers.ternary import TernaryConv2d
from tritforge.compress.models.kinds import table as node_kinds
from tritforge.compress.models.kinds.classifier import ClassifierNode
from tritforge.compress.models.kinds.conv import ConvNode
from tritforge.compress.models.kinds.flatten import FlattenNode
from tritforge.compress.models.kinds.node import ExportSite, ModelSettings, Node
from tritforge.compress.models.kinds.pool import MaxPoolNode, PoolNode
from tritforge.cost.cycle_model import predict
from tritforge.cost.energy_model import energy
from tritforge.errors import CapacityError, NetworkError, ProgramError
from tritforge.network.kinds import table as network_kinds
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.network import Network
from tritforge.overlay import descriptor
from tritforge.overlay.issued_groups import issued_groups
from tritforge.overlay.kinds import table as overlay_kinds
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import OverlayProgram
from tritforge.rtl.descriptor_outputs import descriptor_package
from tritforge.samples.random_network import random_layer_network, random_network

KINDS = sorted(network_kinds.KINDS)
NODES: dict[str, Node] = {
    node.kind: node
    for node in (
        ConvNode("layer", "input", 16, 16),
        PoolNode("layer", "input", 16),
        MaxPoolNode("layer", "input", 16, padding=1),
        FlattenNode("layer", "input", 16, 64),
        ClassifierNode("layer", "input", 16, 10),
    )
}


def a_network() -> Network:
    return random_network(np.random.default_rng(0), max_size=5, max_channels=32, blocks=1, group_channels=16)


def a_program() -> OverlayProgram:
    network = a_network()
    return lower(network, fitting_parameters(network, AcceleratorParameters()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_layer_is_in_every_table(kind: str) -> None:
    assert network_kinds.KINDS[kind].kind == kind
    assert kind in overlay_kinds.KINDS, "the accelerator runs it"
    assert kind in IN_TORCH, "it has a fast form"
    assert kind in {node.exported for node in node_kinds.KINDS.values()}, "it can be trained"
    assert kind in {layer.kind for layer in a_network().layers}, "random networks have it"


def test_tables_name_no_kind_that_networks_do_not_have() -> None:
    exported = {node.exported for node in node_kinds.KINDS.values()} - {None}
    assert overlay_kinds.KINDS.keys() == IN_TORCH.keys() == exported == network_kinds.KINDS.keys()


@dataclass(frozen=True, eq=False)
class Unknown(AveragePool):
    """A pool by another name, which no table has."""

    kind = "unknown"


def test_a_kind_that_a_table_does_not_have_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    network = a_network()
    pool = network.layer("pool")
    unknown = Unknown(pool.name, pool.input, pool.multiplier, pool.bias, pool.shift)
    with pytest.raises(NetworkError, match="^layer pool: there is no kind of layer 'unknown'; there are convolution, "):
        network.with_layers({"pool": unknown})
    monkeypatch.setitem(network_kinds.KINDS, "unknown", Unknown)
    with pytest.raises(CapacityError, match="^layer pool: the accelerator runs no layer of kind unknown; it runs "):
        lower(network.with_layers({"pool": unknown}), AcceleratorParameters())
    with pytest.raises(NetworkError, match="^there are no random layers of kind 'unknown'; there are conv3x3, "):
        random_layer_network(np.random.default_rng(0), "unknown", group_channels=16)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", sorted(node_kinds.KINDS))
def test_a_kind_of_node_is_exported_or_refused_by_name(kind: str) -> None:
    node = NODES[kind]
    assert node_kinds.KINDS[kind] is type(node)
    if node.exported is not None:
        assert node.why_not_integer() is None
        layer = node.skeleton(stage_of(node), None)
        assert layer.kind == node.exported and layer.name == node.name
        return
    assert str(node.why_not_integer()).startswith("layer layer ")
    sentence = f"^layer layer: a node of kind {kind} has no layer in the integer network"
    with pytest.raises(NetworkError, match=sentence):
        node.export(nn.Identity(), ExportSite({}, {}, 16, None))
    with pytest.raises(NetworkError, match=sentence):
        node.skeleton(nn.Identity(), None)


def stage_of(node: Node) -> nn.Module:
    return node.module(ModelSettings("ternary", 8, TernaryConv2d, "ternary", 8, fused=False))


def test_descriptor_kinds_have_their_codes_everywhere() -> None:
    package = descriptor_package()
    for place, kind in enumerate(descriptor.KINDS):
        assert kind.code == place
        assert f"Kind{kind.name.title().replace(' ', '')} = 4'd{place};" in package
    width = next(field.width for field in descriptor.LAYER if field.name == "kind")
    assert len(descriptor.KINDS) <= 1 << width
    lowered = {descriptor.kind_of(fields, "") for fields in layer_fields(a_program())}
    assert lowered == set(descriptor.KINDS), "every kind of descriptor comes from some kind of layer"


@pytest.mark.parametrize("asked", [predict, energy, issued_groups])
def test_a_descriptor_of_an_unknown_kind_is_refused_by_name(asked) -> None:
    program = a_program()
    frames = program.images["descriptors"].copy()
    frames[descriptor.FRAME_WORDS] |= np.uint64(7)
    broken = replace(program, images=program.images | {"descriptors": frames})
    name = program.layer_names[0]
    sentence = f"^layer {name}: its descriptor has kind 7; there are 0 convolution, 1 average pool$"
    with pytest.raises(ProgramError, match=sentence):
        asked(broken)


def layer_fields(program: OverlayProgram) -> list[dict[str, int]]:
    frames = program.images["descriptors"].reshape(-1, descriptor.FRAME_WORDS)[1:]
    return [descriptor.unpack(descriptor.LAYER, frame) for frame in frames]
