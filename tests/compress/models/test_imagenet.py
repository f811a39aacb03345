"""The networks for ImageNet: their shape, that they train from an image folder, and that nothing exports them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tritforge.cli.main import run
from tritforge.compress.layers.ternary import TernaryConv2d
from tritforge.compress.methods.group_sparsity import grouped
from tritforge.compress.models.catalogue import build_topology
from tritforge.compress.models.kinds.conv import ConvNode
from tritforge.compress.models.kinds.flatten import FlattenNode
from tritforge.compress.models.kinds.pool import MaxPoolNode
from tritforge.compress.models.model import Model
from tritforge.compress.models.restored import build_model
from tritforge.compress.run.recipe import load_recipe
from tritforge.errors import RecipeError
from tritforge.network.layer import INPUT

RECIPES = [f"imagenet_{network}_{kind}" for network in ("resnet18", "alexnet") for kind in ("clipped", "float")]
SMALL = {"resnet18": "widths=[64, 64, 64, 64]", "alexnet": "widths=[64, 64, 64, 64, 64, 96]"}
IMAGE = (3, 224, 224)


def full_size(recipe: str) -> Model:
    """The recipe's model for ImageNet itself, without memory for its weights."""
    with torch.device("meta"):
        return build_model(load_recipe(recipe), IMAGE, 1000, (124, 116, 104))


def map_shapes(model: Model, image: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
    pixels = torch.empty(2, *image, device=model.zero_point.device)
    return {name: tuple(values.shape[1:]) for name, values in model.eval().maps(pixels).items()}


def test_resnet_18_is_the_known_network():
    model = full_size("imagenet_resnet18_float")
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_689_512
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 20
    shapes = map_shapes(model, IMAGE)
    assert (shapes["stem"], shapes["maxpool"]) == ((64, 112, 112), (64, 56, 56))
    ends = [shapes[f"stage{stage}.block2.conv2"] for stage in (1, 2, 3, 4)]
    assert ends == [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]
    assert [name for name in shapes if name.endswith("shortcut")] == [f"stage{n}.block1.shortcut" for n in (2, 3, 4)]
    assert len(model.ternary_layers()) == 19  # of 21 with weights: all but the first and the last


def test_alexnet_has_its_maps_and_three_fully_connected_layers():
    model = full_size("imagenet_alexnet_float")
    shapes = map_shapes(model, IMAGE)
    assert [shapes[f"pool{number}"] for number in (1, 2, 5)] == [(64, 27, 27), (192, 13, 13), (256, 6, 6)]
    assert [shapes[name] for name in ("conv3", "conv4")] == [(384, 13, 13), (256, 13, 13)]
    assert [shapes[name] for name in ("flatten", "fc6", "fc7", "classifier")] == [
        (9216, 1, 1),
        (4096, 1, 1),
        (4096, 1, 1),
        (1000,),
    ]
    assert [node.name for node in model.topology.ternary_nodes()] == ["conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]
    assert [tuple(layer.weight.shape[2:]) for layer in model.ternary_layers().values()] == [
        (5, 5),
        *3 * [(3, 3)],
        *2 * [(1, 1)],
    ]


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
@pytest.mark.parametrize("image", [(3, 64, 64), (1, 67, 90), IMAGE])
def test_topologies_count_the_channels_that_maps_have_for_any_image_size(name, image):
    widths = (64, 32, 64) if name == "resnet18" else (64, 64, 64, 64, 64, 96)
    topology = build_topology(name, image, 7, widths, group_channels=32)
    with torch.device("meta"):
        model = Model(topology, (0,) * image[0], precision="float")
    shapes = map_shapes(model, image)
    channels = {INPUT: image[0]}
    for node in topology.nodes:
        assert node.inputs == channels[node.input]
        channels[node.name] = getattr(node, "outputs", node.inputs)
        assert shapes[node.name][0] == channels[node.name]
    reductions = {end: -(-image[1] // reduction) for end, (_, reduction) in topology.stage_ends().items()}
    if name == "resnet18":
        assert reductions == {end: shapes[end][1] for end in reductions}
        assert next(iter(reductions)) == "stem" and len(reductions) == 4
    else:
        assert list(reductions) == ["conv1", "conv2", "conv5"]


def test_a_projection_is_not_rectified_and_a_residual_without_one_is_the_map_itself():
    model = Model(
        build_topology("resnet18", (3, 32, 32), 4, (16, 32), group_channels=16), (0, 0, 0), activation_bits=32
    )
    maps = model.eval().maps(torch.randint(0, 256, (2, 3, 32, 32)))
    assert maps["stage2.block1.shortcut"].min() < 0
    block, stage = "stage2.block1", model.stage("stage2.block1.conv2")
    expected = stage.norm(stage.conv(maps[f"{block}.conv1"])) + maps[f"{block}.shortcut"]
    assert torch.equal(maps[f"{block}.conv2"], expected.relu())
    residuals = {node.name: node.residual for node in model.topology.nodes if isinstance(node, ConvNode)}
    assert residuals["stage1.block1.conv2"] == "maxpool"


def test_a_group_of_a_larger_kernel_is_as_many_channels_of_the_whole_kernel():
    weights = torch.randn(2, 12, 5, 5)
    assert torch.equal(grouped(weights, 8)[1, 0], weights[1, :8].flatten())
    assert torch.equal(grouped(weights, 8)[1, 1], torch.cat([weights[1, 8:].flatten(), torch.zeros(4 * 25)]))


def test_images_and_widths_that_do_not_fit_are_refused():
    with pytest.raises(RecipeError, match="images of 32x40 pixels are too small for alexnet"):
        build_topology("alexnet", (3, 40, 32), 10, (64,) * 6, group_channels=64)
    with pytest.raises(RecipeError, match="widths has 3 entries; alexnet takes 6"):
        build_topology("alexnet", IMAGE, 10, (64,) * 3, group_channels=64)
    with pytest.raises(RecipeError, match=r"conv2 has 48 input channels; the PE groups multiples of 64"):
        build_topology("alexnet", IMAGE, 10, (48, 64, 64, 64, 64, 64), group_channels=64)
    with pytest.raises(RecipeError, match=r"stage1\.block1\.conv1 has 32 input channels"):
        build_topology("resnet18", IMAGE, 10, (32, 64), group_channels=64)


@pytest.mark.parametrize(
    ("node", "clause"),
    [
        (MaxPoolNode("x", INPUT, 3, 1), "layer x is a max pool"),
        (FlattenNode("x", INPUT, 3, 27), "layer x turns pixels into channels"),
        (ConvNode("x", INPUT, 3, 16, kernel=5), "layer x has a 5x5 kernel; the integer network has 1x1 and 3x3"),
        (ConvNode("x", INPUT, 3, 16, rectified=False), "layer x gives negative values"),
        (ConvNode("x", INPUT, 3, 16, stride=4), "layer x moves by 4 pixels"),
    ],
)
def test_every_node_that_can_only_be_trained_is_named(node, clause):
    topology = build_topology("residual3", (3, 8, 8), 10, group_channels=16)
    assert topology.why_not_integer() is None
    other = type(topology)("other", topology.image, (*topology.nodes[:2], node, *topology.nodes[2:]))
    assert other.why_not_integer().startswith(clause)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A pack of four classes of 64x64 images, eight to train on and two to test with in each."""
    folder = tmp_path_factory.mktemp("imagenet")
    generator = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 2)):
        for label in range(4):
            place = folder / "photos" / part / f"n{label:04}"
            place.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 64 * (label + 1), (70, 80, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{index}.JPEG")
    pack = folder / "small.npz"
    assert run(["data", "pack", str(folder / "photos"), "-o", str(pack), "--size", "64", "--pixels"]) == 0
    return pack


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_on_an_image_folder_and_is_not_exported(photos, tmp_path, capsys, recipe):
    folder, result = str(tmp_path / "run"), tmp_path / "out.json"
    tiny = (SMALL[recipe.split("_")[1]], "epochs=1", "batch_size=16", "bfloat16=false")
    overrides = [part for item in tiny for part in ("--set", item)]
    assert run(["train", recipe, "--data-folder", str(photos), "--run", folder, *overrides]) == 0
    assert "warning" not in capsys.readouterr().err
    assert run(["evaluate", folder, "--json", str(result)]) == 0
    kind = "full_precision_accuracy" if recipe.endswith("float") else "fake_quantised_accuracy"
    assert set(json.loads(result.read_text())["metrics"]) == {"images", kind}
    capsys.readouterr()
    assert run(["export", folder]) == 2
    captured = capsys.readouterr()
    first = "conv1 has a 11x11" if "alexnet" in recipe else "stem has a 7x7"
    assert captured.err == (
        f"run {folder} cannot be exported: layer {first} kernel; the integer network has 1x1 and 3x3\n"
    )


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
def test_the_recipes_step_down_at_the_dissertations_epochs_and_ternarise_all_but_the_ends(name):
    recipe = load_recipe(f"imagenet_{name}_clipped")
    model = full_size(f"imagenet_{name}_clipped")
    ternary = [module for module in model.modules() if isinstance(module, TernaryConv2d)]
    assert ternary == list(model.ternary_layers().values())
    assert recipe.group_channels == 64
    assert [round(milestone * recipe.epochs) for milestone in recipe.milestones] == [30, 40, 45]
    twin = load_recipe(f"imagenet_{name}_float")
    for key in ("widths", "epochs", "batch_size", "learning_rate", "milestones", "decay", "shift_pixels", "optimizer"):
        assert getattr(recipe, key) == getattr(twin, key)
