from __future__ import annotations

from dataclasses import replace

import pytest

from tritforge.compress.models.catalogue import build_topology
from tritforge.compress.models.kinds.conv import ConvNode
from tritforge.errors import RecipeError
from tritforge.network.layer import INPUT


@pytest.mark.parametrize(("depth", "blocks"), [(20, 3), (32, 5), (44, 7), (56, 9)])
def test_resnets_have_their_depth_in_convolutions_and_classifier(depth, blocks):
    topology = build_topology(f"resnet{depth}", (3, 32, 32), 10, group_channels=16)
    assert sum(isinstance(node, ConvNode) for node in topology.nodes) + 1 == depth
    assert len(topology.ternary_nodes()) == 6 * blocks
    assert [node.stride for node in topology.ternary_nodes()].count(2) == 2


def test_digits_network_is_strided_once_and_residuals_read_the_blocks_input():
    topology = build_topology("residual3", (1, 8, 8), 10, group_channels=16)
    assert [node.stride for node in topology.ternary_nodes()] == [1, 1, 2, 1, 1, 1]
    assert [node.residual for node in topology.ternary_nodes()] == [
        None,
        "stem",
        None,
        "stage1.block1.conv2",
        None,
        "stage2.block1.conv2",
    ]
    assert not topology.nodes[0].ternary


def test_layers_tell_their_stage_block_and_role():
    topology = build_topology("resnet18", (3, 64, 64), 10, (16, 32), group_channels=16)
    told = {node.name: (node.stage, node.block, node.role) for node in topology.nodes if isinstance(node, ConvNode)}
    assert told.pop("stem") == (0, 0, "stem")
    assert {f"stage{stage}.block{block}.{role}" for stage, block, role in told.values()} == told.keys()
    assert told["stage2.block1.shortcut"] == (2, 1, "shortcut") and len(told) == 9
    layers = [
        node
        for node in build_topology("alexnet", (3, 224, 224), 10, (16,) * 6, group_channels=16).nodes
        if isinstance(node, ConvNode)
    ]
    assert [(node.stage, node.role) for node in layers] == [
        *[(stage, "conv") for stage in (1, 2, 3, 3, 3)],
        *[(4, "hidden")] * 2,
    ]


def test_stages_end_where_their_fields_say_whatever_layers_are_called():
    topology = build_topology("resnet18", (3, 64, 64), 10, (16, 32), group_channels=16)
    called = {node.name: f"layer{index}" for index, node in enumerate(topology.nodes)} | {INPUT: INPUT, None: None}
    renamed = [replace(node, name=called[node.name], input=called[node.input]) for node in topology.nodes]
    renamed = [
        replace(node, residual=called[node.residual]) if isinstance(node, ConvNode) else node for node in renamed
    ]
    ends = replace(topology, nodes=tuple(renamed)).stage_ends()
    assert ends == {called[name]: end for name, end in topology.stage_ends().items()} and len(ends) == 3


def test_widths_that_the_pe_cannot_group_are_refused():
    with pytest.raises(
        RecipeError, match=r"stage2\.block1\.conv2 has 24 input channels; the PE groups multiples of 16"
    ):
        build_topology("residual3", (1, 8, 8), 10, widths=(16, 24), group_channels=16)


def test_narrowing_stages_and_unknown_names_are_refused():
    with pytest.raises(RecipeError, match="stage 2 has 16 channels after 32"):
        build_topology("residual3", (1, 8, 8), 10, widths=(32, 16), group_channels=16)
    with pytest.raises(RecipeError, match="allowed are residual3, resnet20"):
        build_topology("resnet21", (1, 8, 8), 10, group_channels=16)
