"""``tritforge train``: a recipe to a run folder."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, progress, write_result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train", epilog="Example: tritforge train digits_ternary --seed 1 --set epochs=40")(train)


def train(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Argument(help="Name of a recipe that comes with tritforge, or the path of a TOML file.")
    ],
    run: Annotated[
        Path | None, typer.Option(help="Run folder; by default runs/<recipe>-seed<seed>.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, overrides the recipe's.", show_default=False)] = None,
    data_folder: Annotated[
        str | None,
        typer.Option(
            help="Folder or file of the data set, overrides the recipe's; without either, its name in TRITFORGE_DATA.",
            show_default=False,
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override any key, a method's as METHOD.KEY; may be repeated."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Train a network; run again on the same folder, it resumes where it was stopped.

    Several processes share each batch under torchrun --nproc-per-node 2 --no-python tritforge train ...
    """
    from tritforge.compress.methods.chosen import prunes
    from tritforge.compress.run.recipe import load_recipe, replace_values
    from tritforge.compress.run.workers import workers_around
    from tritforge.compress.training.train import recipe_dataset, remaining_steps
    from tritforge.compress.training.train import train as train_recipe

    leads = workers_around().leads
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        resolved = load_recipe(recipe, override or [])
        given = {"seed": seed, "data_folder": data_folder}
        chosen = {key: value for key, value in given.items() if value is not None}
        resolved = replace_values(resolved, chosen, "the command line")
        zero_groups = prunes(resolved)
        folder = run or Path("runs") / f"{Path(recipe).stem}-seed{resolved.seed}"
        dataset = recipe_dataset(resolved)
        shown = progress("training", remaining_steps(resolved, folder, dataset)) if leads else nullcontext()
        with shown as advance:
            done = train_recipe(resolved, folder, dataset=dataset, advance=advance)
    if not leads:
        return
    for warning in caught:
        echo(f"warning: {warning.message}", err=True)
    echo(f"run folder             {folder}")
    if done.resumed_from:
        echo(f"resumed from step      {done.resumed_from}")
    if done.validation_accuracy is not None:
        echo(f"validation accuracy    {done.validation_accuracy:.2f} %")
    if zero_groups:
        echo(f"zero PE groups         {100 * done.zero_group_fraction:.1f} %")
    for name, value in done.summary.items():
        echo(f"{name.replace('_', ' '):22} {value if isinstance(value, str) else f'{value:,}'}")
    metrics = {
        "epochs": resolved.epochs,
        "step_seconds": done.step_seconds,
        "validation_accuracy": done.validation_accuracy,
        "zero_group_fraction": done.zero_group_fraction,
        "resumed_from": done.resumed_from,
        **done.summary,
    }
    write_result(
        context,
        json,
        metrics,
        arguments={"recipe": resolved.to_toml()},
        seeds=[resolved.seed],
        data_digest=dataset.digest(),
    )
