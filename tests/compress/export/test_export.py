from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tritforge.compress.export.agreement import Agreement, compare
from tritforge.compress.export.export import export_network
from tritforge.compress.export.integer_evaluation import IntegerEvaluator
from tritforge.compress.models.catalogue import build_topology
from tritforge.compress.models.evaluation import predict, settle_statistics
from tritforge.compress.models.kinds.node import map_step
from tritforge.compress.models.model import Model
from tritforge.errors import NetworkError
from tritforge.network import reference
from tritforge.network.layer import INPUT
from tritforge.network.pe_groups import nonzero_groups


def random_model(
    seed: int, *, topology: str = "residual3", image: tuple[int, int, int] = (1, 8, 8), bits: int = 8, **ends: Any
) -> tuple[Model, np.ndarray]:
    """A model with random weights, batch norms of both signs, statistics settled on random images, and the images."""
    torch.manual_seed(seed)
    zero_point = tuple(int(z) for z in torch.randint(1, 200, (image[0],)))
    model = Model(build_topology(topology, image, 10, group_channels=16), zero_point, activation_bits=bits, **ends)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1.0, 1.5)
            nn.init.normal_(module.bias, 0.2, 0.3)
    images = torch.randint(0, 256, (96, *image), dtype=torch.uint8).numpy()
    model.train()
    with torch.no_grad():
        model(torch.from_numpy(images))
    settle_statistics(model, images)
    return model, images


@pytest.mark.parametrize(
    ("seed", "topology", "image"),
    [(0, "residual3", (1, 8, 8)), (1, "residual3", (3, 7, 9)), (2, "resnet20", (3, 16, 16))],
)
def test_integer_network_follows_the_model_and_torch_equals_the_reference_in_every_map(seed, topology, image):
    model, images = random_model(seed, topology=topology, image=image)
    network = export_network(model, 16)
    agreement = compare(model, network, images)
    # Random logits lie close together, so equal classes are asked of trained networks alone.
    assert agreement.worst_layer >= 0.999
    assert agreement.equal_argmax_fraction >= 0.9
    maps = reference.run(network, images[:8])
    fast = IntegerEvaluator(network).maps(images[:8])
    for name, values in maps.items():
        assert np.array_equal(values, fast[name].numpy()), name
    assert np.array_equal(IntegerEvaluator(network).classify(images), reference.classify(network, images))


def test_sixteen_bit_activations_are_exact_in_torch_too():
    model, images = random_model(5, bits=16)
    network = export_network(model, 16)
    maps, fast = reference.run(network, images[:4]), IntegerEvaluator(network).maps(images[:4])
    assert maps["stage3.block1.conv2"].max() > 255
    assert all(np.array_equal(values, fast[name].numpy()) for name, values in maps.items())
    assert np.mean(predict(model, images) == reference.classify(network, images)) >= 0.95


@pytest.mark.parametrize("field", ["multiplier", "bias", "residual_multiplier", "weights"])
def test_agreement_notices_a_wrong_fold(field):
    model, images = random_model(3)
    network = export_network(model, 16)
    layer = network.layer("stage2.block1.conv2")
    wrong = layer.residual_multiplier // 2 if field == "residual_multiplier" else -getattr(layer, field)
    broken = network.with_layers({layer.name: replace(layer, **{field: wrong})})
    agreement = compare(model, broken, images)
    assert agreement.within_one["stage2.block1.conv2"] < 0.9
    assert agreement.within_one["stage1.block1.conv1"] >= 0.999
    assert not agreement.holds()


def test_a_channel_without_trits_has_multiplier_zero_and_a_layer_without_any_stays_valid():
    model, images = random_model(4)
    layers = model.ternary_layers()
    with torch.no_grad():
        layers["stage1.block1.conv1"].weight[3] = 0
        layers["stage3.block1.conv1"].weight.zero_()
    settle_statistics(model, images)
    network = export_network(model, 16)
    layer = network.layer("stage1.block1.conv1")
    assert layer.multiplier[3] == 0
    assert np.count_nonzero(layer.multiplier) == 15
    assert not network.layer("stage3.block1.conv1").stored.any()
    assert compare(model, network, images).worst_layer >= 0.999


def test_padding_means_the_zero_point():
    model, _ = random_model(6)
    zero_point = int(model.zero_point)
    blank = np.full((1, 1, 8, 8), zero_point, np.uint8)
    maps = model.maps(torch.from_numpy(blank))
    assert not maps[INPUT].any()
    stem = reference.run(export_network(model, 16), blank)["stem"]
    # Every position of a constant map at the zero point sees the same zeros, also at the border.
    assert (stem == stem[:, :, :1, :1]).all()
    assert np.array_equal(stem, np.rint(maps["stem"].detach().numpy() / map_step(model.stage("stem"))))


def test_stored_bitmaps_are_the_nonzero_groups_or_the_given_ones():
    model, _ = random_model(7)
    with torch.no_grad():
        model.ternary_layers()["stage2.block1.conv2"].weight[5, :16] = 0
    network = export_network(model, 16)
    layer = network.layer("stage2.block1.conv2")
    assert np.array_equal(layer.stored, nonzero_groups(layer.weights, network.group_channels))
    assert not layer.stored[5, 0]
    everything = {item.name: np.ones_like(item.stored) for item in network.ternary_layers()}
    kept = export_network(model, 16, stored=everything).layer("stage2.block1.conv2")
    assert kept.stored.all()
    assert kept.active[0].all()


def test_full_precision_models_have_no_integer_network():
    model = Model(build_topology("residual3", (1, 8, 8), 10, group_channels=16), (0,), precision="float")
    with pytest.raises(NetworkError, match="weights are in full precision"):
        export_network(model, 16)


def test_evaluating_does_not_change_the_model():
    model, images = random_model(8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    compare(model, export_network(model, 16), images)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("ends", "stated", "largest"),
    [({"end_layers": "ternary"}, 3, 1), ({"end_layers": "integer"}, 8, 127), ({"end_layer_bits": 5}, 5, 15)],
    ids=str,
)
def test_the_width_of_first_and_last_layer_is_stated(ends, stated, largest):
    model, images = random_model(9, **ends)
    network = export_network(model, 16)
    for layer in (network.layers[0], network.layers[-1]):
        assert layer.weight_bits == stated
        assert layer.stored is None
        assert not layer.ternary
        assert np.abs(layer.weights).max() == largest
    assert compare(model, network, images).worst_layer >= 0.999


@pytest.mark.parametrize(
    ("differing", "within", "holds"), [(1, 0.999, True), (2, 0.999, False), (1, 0.9989, False), (0, 1.0, True)]
)
def test_an_agreement_holds_at_its_bounds(differing, within, holds):
    classes = np.zeros(200, dtype=np.int64)
    other = classes.copy()
    other[:differing] = 1
    assert Agreement(classes, other, {"first": 1.0, "second": within}).holds() == holds


def test_maps_are_compared_on_the_first_images_alone():
    model, images = random_model(3)
    network = export_network(model, 16)
    layer = network.layer("stage2.block1.conv2")
    broken = network.with_layers({layer.name: replace(layer, bias=-layer.bias)})
    first = compare(model, broken, images, limit=1)
    assert first.within_one == compare(model, broken, images[:1]).within_one
    assert first.within_one != compare(model, broken, images[:2]).within_one
    assert len(first.model_classes) == len(images)
