"""``tritforge update``: a few changed trits for a deployed network, as a patch file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, progress, write_result
from tritforge.errors import RecipeError
from tritforge.samples.askew import DEGREES, RATIO

if TYPE_CHECKING:
    from tritforge.compress.updates.budget import Budget, Unit


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "update",
        epilog="Example: tritforge update digits.safetensors --checkpoint runs/digits_ternary-seed0 --ratio 0.01",
    )(update)


def update(
    context: typer.Context,
    network: Annotated[Path, typer.Argument(help="Network file of the deployed network.")],
    checkpoint: Annotated[Path, typer.Option(help="Run folder or checkpoint that the network was exported from.")],
    ratio: Annotated[
        float | None,
        typer.Option(
            help=f"Budget as updating ratio: changed trits over trits in stored groups. {RATIO} if no budget is given.",
            show_default=False,
        ),
    ] = None,
    words: Annotated[
        int | None,
        typer.Option(help="Budget in 36-bit weight words that the accelerator commits instead.", show_default=False),
    ] = None,
    bytes: Annotated[
        int | None, typer.Option(help="Budget in bytes of the patch file instead.", show_default=False)
    ] = None,
    policy: Annotated[str, typer.Option(help="Which positions may change: the name of an update policy.")] = "partial",
    output: Annotated[Path, typer.Option("--output", "-o", help="Patch file.")] = Path("update.patch"),
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep-checkpoint",
            help="Write the updated checkpoint here, to make the next update from.",
            show_default=False,
        ),
    ] = None,
    degrees: Annotated[
        float, typer.Option(help="The recorded shift: by how much every camera was turned, counter-clockwise.")
    ] = DEGREES,
    seed: Annotated[int, typer.Option(help="Seed of the order of the data, and of what the policy draws.", min=0)] = 0,
    data_folder: Annotated[
        str | None, typer.Option(help="Folder of the data set, if it has moved since training.", show_default=False)
    ] = None,
    json: JsonOption = None,
) -> None:
    """Train a deployed network on shifted data, change few trits, and write the patch.

    The policy says which; the default is deep partial updating. At most one of --ratio, --words and --bytes is given,
    and the patch never takes more.
    """
    from tritforge.compress.run.checkpoint import save_checkpoint
    from tritforge.compress.studies.demo_run import update_demo
    from tritforge.compress.training.evaluate_target import network_dataset
    from tritforge.network.file import load_network

    budget = _budget(policy, {"ratio": ratio, "words": words, "bytes": bytes})
    deployed = load_network(network)
    dataset = network_dataset(deployed, data_folder)
    done = update_demo(deployed, checkpoint, dataset, budget, output, policy, degrees, seed, progress)
    if keep is not None:
        save_checkpoint(keep, done.checkpoint)
    update, figures = done.update, done.figures
    before, after = figures.validation_before, figures.validation_after
    if done.patch_path is None:
        echo(f"no patch: validation did not improve ({before:.2f} to {after:.2f} %)")
    else:
        echo(f"patch file             {done.patch_path}")
        echo(f"patch size             {figures.patch_bytes} bytes, a full update takes {figures.full_update_bytes}")
    metrics = figures.metrics()
    if budget is not None:
        used, limit = update.used(budget), budget.limit(update.trits)
        echo(f"budget                 {used} of {limit} {budget.counted} used")
        metrics["budget"] = {"unit": budget.counted, "limit": limit, "used": used}
    percent = 100 * figures.updating_ratio
    echo(f"changed trits          {figures.changed_trits} of {figures.stored_trits} ({percent:.2f} %)")
    echo(
        f"accuracy, shifted      {figures.accuracy_before_patch:.2f} % before, "
        f"{figures.accuracy_after_patch:.2f} % after, {figures.accuracy_full_retraining:.2f} % with full retraining"
    )
    echo(
        f"accuracy, original     {figures.original_accuracy_before_patch:.2f} % before, "
        f"{figures.original_accuracy_after_patch:.2f} % after"
    )
    write_result(context, json, metrics, seeds=[seed], data_digest=dataset.digest())


def _budget(policy: str, amounts: Mapping[Unit, float | None]) -> Budget | None:
    """The one budget among the options, else the given scenario's; None for a policy that goes by none.

    Raises:
        RecipeError: more than one budget, one that is out of range, or no such policy.
    """
    from tritforge.compress.updates.budget import Budget
    from tritforge.compress.updates.policies import policy_named

    units = policy_named(policy).units
    given = [(unit, amount) for unit, amount in amounts.items() if amount is not None]
    if len(given) > 1:
        options = ", ".join(f"--{unit}" for unit, _ in given)
        raise RecipeError(f"{options} are given together; an update has one budget")
    for unit, amount in given:
        return Budget(unit, amount)
    return Budget("ratio", RATIO) if units else None
