"""The one loop: a learner takes the batches of a training, or of a part of it, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tritforge.compress.engine.step import Batch, Learner, Losses

Advance = Callable[[int], None]
"""Called with the number of steps just done."""

Watch = Callable[[int, Losses], None]
"""Called after a step with how many are done in all, and what it lost: where logs and checkpoints are written."""


def fit(
    learner: Learner,
    batches: Iterable[Batch],
    first: int = 0,
    watch: Watch | None = None,
    advance: Advance | None = None,
) -> None:
    """Take a step for each batch. A batch is asked for when the step before it is done and was watched.

    A training of masked positions alone, which gathers something of every step, is::

        learner = Learner(model, SGD([...]), rate, {"gathered": gathering}, Computation("evaluation"), free=masks)
        fit(learner, batches, advance=advance)

    Args:
        learner: what learns; its methods have begun.
        batches: of the steps that are left.
        first: how many steps were done before.
        watch: called after each step.
        advance: called with 1 after each step, last of all: what it raises ends the loop between two steps.
    """
    for number, batch in enumerate(batches, first):
        losses = learner.take_step(number, batch)
        if watch is not None:
            watch(number + 1, losses)
        if advance is not None:
            advance(1)
