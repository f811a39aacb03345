from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from compress_samples import SMALL, small_digits
from torch import Tensor
from torch.nn import functional

from tritforge.compress.data.dataset import Split
from tritforge.compress.engine.fit import fit
from tritforge.compress.engine.method import Gradients, Method, Run, Step, weight_names
from tritforge.compress.engine.step import Batch, Computation, Learner
from tritforge.compress.layers.ternary import ternary_scale
from tritforge.compress.models.evaluation import track_scales
from tritforge.compress.models.model import Model
from tritforge.compress.models.restored import build_model
from tritforge.compress.run.schedules import one_cycle

DATA = small_digits(96).train
STEPS = 6


def fresh_model() -> Model:
    torch.manual_seed(3)
    return build_model(SMALL, (1, 8, 8), 10, (20,))


def deployed_model() -> Model:
    """As an update finds it: in evaluation mode, thresholds and scales pinned, latent weights alone with a gradient."""
    model = fresh_model()
    with torch.no_grad():
        model(torch.from_numpy(DATA.images))  # for the activation scales
    model.eval().requires_grad_(False)
    for layer in model.ternary_layers().values():
        layer.frozen = ternary_scale(layer.weight)
        layer.weight.requires_grad_(True)
    track_scales(model, False)
    return model


def batches(data: Split = DATA, size: int = 32) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    for _ in range(2):
        for chosen in torch.randperm(len(labels), generator=generator).split(size):
            yield Batch(images[chosen], labels[chosen])


def half_free(model: Model) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    layers = model.ternary_layers().items()
    return {name: torch.rand(layer.weight.shape, generator=generator) < 0.5 for name, layer in layers}


def rate(step: int) -> float:
    return one_cycle(step, STEPS, 0.05, 0.2)


def latent_weights(model: Model) -> list[torch.nn.Parameter]:
    return [layer.weight for layer in model.ternary_layers().values()]


class Contributions(Method):
    """By grouped layer, minus the sum of gradient times move (Deep partial updating, eq. 9)."""

    def begin(self, run: Run) -> None:
        self._model, self._names = run.model, weight_names(run.model)
        self.gathered = {name: torch.zeros(()) for name in self._names}

    def edit(self, gradients: Gradients) -> Gradients:
        self._gradients = {layer: gradients[name] for layer, name in self._names.items()}
        self._before = {layer: self._weight(layer).clone() for layer in self._names}
        return gradients

    def after_step(self, done: int) -> None:
        for layer, gradient in self._gradients.items():
            self.gathered[layer] = self.gathered[layer] - gradient * (self._weight(layer) - self._before[layer])

    def _weight(self, layer: str) -> Tensor:
        return self._model.ternary_layers()[layer].weight.detach()


def test_masked_steps_and_what_is_gathered_are_those_of_a_loop_written_out():
    """The loop of deep partial updating, line by line, against the one loop: the same bits."""
    model, ours = deployed_model(), deployed_model()
    free, layers = half_free(model), model.ternary_layers()
    optimiser = torch.optim.SGD(latent_weights(model), lr=1.0, momentum=0.9)
    gathered = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
    for step, batch in enumerate(batches()):
        optimiser.param_groups[0]["lr"] = rate(step)
        optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(model(batch.images), batch.labels).backward()
        before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
        for name, layer in layers.items():
            layer.weight.grad *= free[name]
        optimiser.step()
        for name, layer in layers.items():
            gathered[name] -= layer.weight.grad * (layer.weight.detach() - before[name])

    contributions, steps = Contributions(), []
    contributions.begin(Run(ours, STEPS, SMALL.group_channels))
    again = torch.optim.SGD(latent_weights(ours), lr=1.0, momentum=0.9)
    learner = Learner(ours, again, rate, {"gathered": contributions}, Computation("evaluation"), half_free(ours))
    fit(learner, batches(), advance=steps.append)

    assert steps == [1] * STEPS
    assert not ours.training
    start = deployed_model().state_dict()
    assert any(not torch.equal(value, start[name]) for name, value in ours.state_dict().items())
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in ours.state_dict().items())
    assert all(torch.equal(contributions.gathered[name], gathered[name]) for name in layers)
    assert any(values.any() for values in gathered.values())


def test_held_weights_stay_to_the_bit_under_an_optimiser_that_decays_them():
    model, start = fresh_model(), fresh_model().ternary_layers()
    free = half_free(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.5)
    fit(Learner(model, optimiser, rate, free=free), batches())
    for name, layer in model.ternary_layers().items():
        assert torch.equal(layer.weight[~free[name]], start[name].weight[~free[name]])
        assert not torch.equal(layer.weight[free[name]], start[name].weight[free[name]])
        assert layer.weight.grad is not None and not layer.weight.grad[~free[name]].any()


class Recorder(Method):
    """Notes its hooks as they are called, and changes a value in each of those that return one."""

    def __init__(self, calls: list[str], name: str, factor: float) -> None:
        self.calls, self.name, self.factor = calls, name, factor

    def loss(self, step: Step, loss: Tensor) -> Tensor:
        self.calls.append(f"{self.name} loss {step.number}")
        return self.factor * loss

    def penalty(self, step: Step) -> Tensor | float:
        self.calls.append(f"{self.name} penalty {step.number}")
        return self.factor

    def edit(self, gradients: Gradients) -> Gradients:
        self.calls.append(f"{self.name} edit")
        return {name: self.factor * gradient for name, gradient in gradients.items()}

    def after_step(self, done: int) -> None:
        self.calls.append(f"{self.name} after {done}")


def test_hooks_are_called_in_the_order_that_is_drawn_and_what_they_return_is_put_together():
    calls: list[str] = []
    methods = {"a": Recorder(calls, "a", 2.0), "b": Recorder(calls, "b", 4.0)}
    model, plain = fresh_model(), fresh_model()
    batch = next(batches())
    learner = Learner(model, torch.optim.SGD(model.parameters(), lr=0.0), rate, methods)
    losses = learner.take_step(7, batch)
    hooks = ("loss 7", "penalty 7", "edit", "after 8")
    assert calls == [f"{name} {hook}" for hook in hooks for name in methods]
    usual = Learner(plain, torch.optim.SGD(plain.parameters(), lr=0.0), rate).take_step(7, batch)
    assert losses.loss == 8 * usual.loss and losses.penalty == 6
    assert usual.penalty == 0
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours.grad, 64 * theirs.grad)


def test_a_batch_is_asked_for_after_the_step_before_it_was_watched():
    order: list[str] = []

    def told() -> Iterator[Batch]:
        for number, batch in enumerate(batches()):
            order.append(f"batch {number}")
            yield batch

    model = fresh_model()
    learner = Learner(model, torch.optim.SGD(model.parameters(), lr=0.1), rate)
    fit(
        learner,
        told(),
        4,
        lambda done, _: order.append(f"watch {done}"),
        lambda count: order.append(f"advance {count}"),
    )
    assert order == [
        line for number in range(STEPS) for line in (f"batch {number}", f"watch {5 + number}", "advance 1")
    ]


@pytest.mark.parametrize(
    ("norms", "model_trains", "norms_train"),
    [
        ("batch", True, True),
        ("frozen", True, False),
        ("evaluation", False, False),
    ],
)
def test_the_modes_of_a_step(norms, model_trains, norms_train):
    model = fresh_model()
    Computation(norms).prepare(model)
    found = {module.training for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)}
    assert (model.training, found) == (model_trains, {norms_train})


def test_another_models_maps_have_no_gradient_and_the_steps_precision():
    model = fresh_model()
    batch = next(batches())
    for bfloat16 in (False, True):
        step = Step(0, batch.images, batch.labels, {}, bfloat16)
        maps = step.maps_of(model)
        assert not any(one.requires_grad for one in maps.values())
        assert maps["stage1.block1.conv1"].dtype == (torch.bfloat16 if bfloat16 else torch.float32)
