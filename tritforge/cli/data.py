"""``tritforge data``: make packs of images, look into data sets, and download the official ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, progress, write_result
from tritforge.errors import DataError

group = typer.Typer(
    help="Make packs of images, look into data sets, and download the official ones.",
    no_args_is_help=True,
    epilog="Example: tritforge data pack photos -o photos.npz --size 64 --test-fraction 0.2",
)


DatasetOption = Annotated[
    str | None,
    typer.Option(
        help="Kind: folder (of images), packed, mnist, cifar10 or cifar100; by default packed for a .npz, else folder.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command ``data``."""
    app.add_typer(group, name="data")


@group.command(epilog="Example: tritforge data pack photos -o photos.npz --resize 256 --size 224 --jpeg 90")
def pack(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images, or files of another data set.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Pack to write (.npz).")],
    dataset: DatasetOption = None,
    size: Annotated[
        int | None, typer.Option(help="Cut the centre square of so many pixels from each image.", show_default=False)
    ] = None,
    resize: Annotated[
        int | None,
        typer.Option(help="Bring the shorter side to this length before; by default to --size.", show_default=False),
    ] = None,
    jpeg: Annotated[
        int | None,
        typer.Option(help="Quality of JPEG files for cut images; by default PNG.", min=1, max=100, show_default=False),
    ] = None,
    test_fraction: Annotated[
        float,
        typer.Option(help="Part of every class to set aside as test part, if FOLDER has no parts.", min=0, max=1),
    ] = 0.0,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Pack pixels: a larger file, read from the disk as it is used.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Pack a data set into one file to train on; the same images always give the same file."""
    from tritforge.compress.data.image_files import Cut
    from tritforge.compress.data.image_folder import list_images
    from tritforge.compress.data.packing import pack_dataset, pack_folder
    from tritforge.compress.data.sources import load_dataset

    if size is None and (resize is not None or jpeg is not None):
        raise DataError("--resize and --jpeg need --size")
    if pixels and jpeg is not None:
        raise DataError("--pixels packs images that are not encoded; leave --jpeg out")
    kind = _kind(folder, dataset)
    if kind == "folder":
        cut = None if size is None else Cut(size, resize or size, jpeg or 0)
        listed = list_images(folder, test_fraction)
        train, test = len(listed.train), len(listed.test)
        with progress("packing", train + test, "images") as advance:
            pack_folder(output, listed, cut, pixels, advance)
    else:
        if test_fraction or size is not None:
            raise DataError(f"the images of {kind} are packed as they are; leave --size and --test-fraction out")
        whole = load_dataset(kind, folder, 0.0)
        train, test = len(whole.train), len(whole.test)
        with progress("packing", train + test, "images") as advance:
            pack_dataset(output, whole, pixels, advance)
    written = output.stat().st_size
    echo(f"{output}: {train} training and {test} test images in {written} bytes")
    write_result(context, json, {"train_images": train, "test_images": test, "bytes": written})


@group.command(epilog="Example: tritforge data show photos.npz --json photos.json")
def show(
    context: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(
            help="Pack or folder; may be left out where the data set is found by itself.", show_default=False
        ),
    ] = None,
    dataset: DatasetOption = None,
    json: JsonOption = None,
) -> None:
    """Read a data set whole, and tell its classes, counts, image size, mean pixel and digest."""
    from tritforge.compress.data.dataset import class_counts
    from tritforge.compress.data.sources import load_dataset

    if path is None and dataset is None:
        raise DataError("data show needs a path, --dataset, or both")
    with progress("reading", None, "data sets") as advance:
        data = load_dataset(_kind(path, dataset), path, 0.0)
        digest = data.digest()
        advance(1)
    channels, height, width = data.image_shape
    names = data.class_names or tuple(map(str, range(data.classes)))
    counts = {part: class_counts(split, data.classes) for part, split in (("train", data.train), ("test", data.test))}
    echo(f"data set       {data.name}")
    echo(f"images         {len(data.train)} training, {len(data.test)} test")
    echo(f"image size     {width}x{height}, {'grey' if channels == 1 else f'{channels} channels'}")
    echo(f"mean pixel     {', '.join(map(str, data.zero_point()))}")
    echo(f"digest         {digest}")
    echo(f"classes        {data.classes}")
    width = max(map(len, names))
    for name, trained, tested in zip(names, counts["train"], counts["test"], strict=True):
        echo(f"  {name:{width}}  {trained:7} training {tested:7} test")
    metrics = {
        "classes": list(names),
        "train_images": counts["train"],
        "test_images": counts["test"],
        "image_shape": list(data.image_shape),
        "zero_point": list(data.zero_point()),
    }
    write_result(context, json, metrics, data_digest=digest)


@group.command(epilog="Example: tritforge data download cifar10 --folder data")
def download(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="cifar10 or cifar100.")],
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder to put it in; by default TRITFORGE_DATA, or else data.", show_default=False),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Download an official archive, compare its published MD5, and unpack it."""
    from tritforge.compress.data.download import download as fetch
    from tritforge.compress.data.sources import DATA_VARIABLE

    root = folder or Path(os.environ.get(DATA_VARIABLE) or "data")
    with progress("downloading", None, "bytes") as advance:
        place = fetch(name, root, advance)
    echo(f"{name} lies in {place}")
    echo(f"to train on it: --data-folder {place}, or {DATA_VARIABLE}={root} in the environment")
    write_result(context, json, {"folder": str(place)})


def _kind(path: Path | None, dataset: str | None) -> str:
    return dataset or ("packed" if path is not None and path.suffix == ".npz" else "folder")
