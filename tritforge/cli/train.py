"""``tritforge train``: a recipe to a run folder."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

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
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override any key; may be repeated.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Train a network; run again on the same folder, it resumes where it was stopped.

    Several processes share each batch under torchrun --nproc-per-node 2 --no-python tritforge train ...
    """
    from dataclasses import asdict

    from tritforge.compress.run.recipe import load_recipe, replace_values
    from tritforge.compress.run.workers import workers_around
    from tritforge.compress.training.train import recipe_dataset, remaining_steps
    from tritforge.compress.training.train import train as train_recipe

    resolved = load_recipe(recipe, override or [])
    given = {"seed": seed, "data_folder": data_folder}
    chosen = {key: value for key, value in given.items() if value is not None}
    resolved = replace_values(resolved, chosen, "the command line")
    folder = run or Path("runs") / f"{Path(recipe).stem}-seed{resolved.seed}"
    dataset = recipe_dataset(resolved)
    leads = workers_around().leads
    shown = progress("training", remaining_steps(resolved, folder, dataset)) if leads else nullcontext()
    with warnings.catch_warnings(record=True) as caught, shown as advance:
        warnings.simplefilter("always", UserWarning)
        done = train_recipe(resolved, folder, dataset=dataset, advance=advance)
    if not leads:
        return
    for warning in caught:
        typer.echo(f"warning: {warning.message}", err=True)
    typer.echo(f"run folder             {folder}")
    if done.resumed_from:
        typer.echo(f"resumed from step      {done.resumed_from}")
    if done.validation_accuracy is not None:
        typer.echo(f"validation accuracy    {done.validation_accuracy:.2f} %")
    if resolved.precision == "ternary" or resolved.penalty > 0:
        typer.echo(f"zero PE groups         {100 * done.zero_group_fraction:.1f} %")
    if done.cycles is not None:
        typer.echo(f"predicted cycles       {done.cycles:,.0f} an image")
    if done.checkpoint.pruning:
        typer.echo(f"groups cut             {done.checkpoint.pruning['cut_groups']}")
    metrics = {
        "epochs": resolved.epochs,
        "step_seconds": done.step_seconds,
        "validation_accuracy": done.validation_accuracy,
        "zero_group_fraction": done.zero_group_fraction,
        "resumed_from": done.resumed_from,
        "teacher_digest": done.checkpoint.teacher,
    }
    if done.cycles is not None:
        metrics["predicted_cycles"] = done.cycles
    if done.checkpoint.pruning:
        metrics["cut_groups"] = done.checkpoint.pruning["cut_groups"]
    values = {key: value for key, value in asdict(resolved).items() if value != float("inf")}
    write_result(
        context, json, metrics, arguments={"recipe_values": values}, seeds=[resolved.seed], data_digest=dataset.digest()
    )
