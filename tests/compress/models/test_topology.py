from __future__ import annotations

import pytest

from tritforge.compress.models.catalogue import build_topology
from tritforge.compress.models.nodes import ConvNode
from tritforge.errors import RecipeError


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
