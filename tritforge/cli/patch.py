"""``tritforge patch``: make, look into, check, apply and combine patch files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tritforge.cli.shared.accelerator_options import PesOption
from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, write_result
from tritforge.cli.shared.patch_simulation import simulate_patch
from tritforge.errors import PatchError
from tritforge.files import atomic_write, held, reason
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network, save_network
from tritforge.network.network import Network
from tritforge.patches import patch as patches
from tritforge.patches import steps
from tritforge.patches.signature import check_signature, public_key_of, sign

group = typer.Typer(
    help="Make, look into, check, apply and combine patch files.",
    no_args_is_help=True,
    epilog="Example: tritforge patch diff old.safetensors new.safetensors -o update.patch --version 2",
)

PatchArgument = Annotated[Path, typer.Argument(metavar="PATCH", help="Patch file.")]
NetworkArgument = Annotated[Path, typer.Argument(metavar="NETWORK", help="Network file that the patch starts from.")]
OutputOption = Annotated[Path, typer.Option("-o", "--output", help="File to write.")]
PublicKeyOption = Annotated[
    Path | None, typer.Option("--public-key", help="File with the 32-byte Ed25519 key that must have signed the patch.")
]
PrivateKeyOption = Annotated[
    Path | None, typer.Option("--sign", metavar="KEY", help="Sign with the 32-byte Ed25519 private key in this file.")
]


def register(app: typer.Typer) -> None:
    """Add the command ``patch``."""
    app.add_typer(group, name="patch")


@group.command(epilog="Example: tritforge patch inspect update.patch --json update.json")
def inspect(context: typer.Context, patch: PatchArgument, json: JsonOption = None) -> None:
    """Tell what a patch file changes, what it costs and between which networks it leads."""
    with _about(patch):
        told = patches.inspect(_read(patch))
    width = max(map(len, told))
    for name, value in told.items():
        echo(f"{name:{width}}  {value:.1f}" if isinstance(value, float) else f"{name:{width}}  {value}")
    write_result(context, json, told, data_digest=told["base_digest"])


@group.command(epilog="Example: tritforge patch verify update.patch old.safetensors --public-key server.pub")
def verify(
    context: typer.Context,
    patch: PatchArgument,
    network: NetworkArgument,
    public_key: PublicKeyOption = None,
    json: JsonOption = None,
) -> None:
    """Check that a patch file is whole, fits a network and gives the network that it names."""
    base = load_network(network)
    with _about(patch):
        content = _read(patch)
        checked = _check_signature(content, public_key)
        patches.verify(content, base)
    told = patches.inspect(content)
    told |= {"signature": checked or told["signature"]}
    echo(f"{patch} applies to {network}")
    echo(f"signature: {told['signature']}" + ("" if checked else "; no --public-key was given"))
    write_result(context, json, told, data_digest=network_digest(base))


@group.command(epilog="Example: tritforge patch apply update.patch old.safetensors -o new.safetensors --simulate 32")
def apply(
    context: typer.Context,
    patch: PatchArgument,
    network: NetworkArgument,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Network file to write.", show_default=False)
    ] = None,
    simulate: Annotated[
        int, typer.Option("--simulate", metavar="IMAGES", help="Patch a simulated accelerator between so many images.")
    ] = 0,
    pes: PesOption = 16,
    public_key: PublicKeyOption = None,
    json: JsonOption = None,
) -> None:
    """Apply a patch file to a network file, to a simulated accelerator that runs the network, or to both.

    The network file may be the one that is written: of two patches applied to it at once, one is refused.
    """
    if output is None and not simulate:
        raise PatchError("patch apply needs -o FILE for the new network, --simulate IMAGES, or both")
    base = load_network(network)
    with _about(patch):
        content = _read(patch)
        _check_signature(content, public_key)
        result = patches.apply_to_network(base, content)
    told = simulate_patch(content, base, simulate, pes) if simulate else {}
    if output is not None:
        with held(network):
            _check_unchanged(network, base)
            save_network(output, result)
        echo(f"{output} is version {patches.network_version(result)}")
    write_result(context, json, told, data_digest=network_digest(base))


@group.command(epilog="Example: tritforge patch diff old.safetensors new.safetensors -o update.patch --version 2")
def diff(
    context: typer.Context,
    base: NetworkArgument,
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Network file that the patch leads to.")],
    output: OutputOption,
    version: Annotated[
        int | None, typer.Option(help="Version of the new network; by default the next one.", show_default=False)
    ] = None,
    private_key: PrivateKeyOption = None,
    json: JsonOption = None,
) -> None:
    """Write the patch file that turns one network into another."""
    old = load_network(base)
    number = patches.network_version(old) + 1 if version is None else version
    content = patches.diff(old, load_network(new), number)
    told = _write(output, content, private_key)
    told |= {"full_update_bytes": patches.full_update_bytes(old)}
    write_result(context, json, told, data_digest=told["base_digest"])


@group.command(epilog="Example: tritforge patch compose first.patch second.patch -o both.patch")
def compose(
    context: typer.Context,
    first: PatchArgument,
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="Patch file that starts where the first ends.")],
    output: OutputOption,
    private_key: PrivateKeyOption = None,
    json: JsonOption = None,
) -> None:
    """Write one patch file for two in a row."""
    told = _write(output, steps.compose(_read(first), _read(second)), private_key)
    write_result(context, json, told, data_digest=told["base_digest"])


@group.command(epilog="Example: tritforge patch reverse update.patch -o back.patch --version 3")
def reverse(
    context: typer.Context,
    patch: PatchArgument,
    output: OutputOption,
    version: Annotated[
        int | None, typer.Option(help="Version after going back; by default the next one.", show_default=False)
    ] = None,
    private_key: PrivateKeyOption = None,
    json: JsonOption = None,
) -> None:
    """Write the patch file that leads back to the base network, under a new version."""
    with _about(patch):
        content = _read(patch)
        number = patches.inspect(content)["version"] + 1 if version is None else version
        back = steps.reverse(content, number)
    told = _write(output, back, private_key)
    write_result(context, json, told, data_digest=told["base_digest"])


@group.command(epilog="Example: tritforge patch key server.key -o server.pub")
def key(
    context: typer.Context,
    private_key: Annotated[Path, typer.Argument(metavar="KEY", help="File with a 32-byte private key.")],
    output: OutputOption,
    json: JsonOption = None,
) -> None:
    """Write the public key that belongs to a private key (any 32 random bytes)."""
    public = public_key_of(_read(private_key))
    atomic_write(output, public)
    write_result(context, json, {"public_key": public.hex()})


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Lets the sentence of a PatchError name the file at ``path``."""
    try:
        yield
    except PatchError as error:
        text = str(error)
        raise PatchError(f"{path}: {text.removeprefix('patch: ')}" if text.startswith("patch: ") else text) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PatchError(f"{path}: cannot be read: {reason(error)}") from error


def _write(output: Path, content: bytes, private_key: Path | None) -> dict[str, Any]:
    if private_key is not None:
        content = sign(content, _read(private_key))
    atomic_write(output, content)
    told = patches.inspect(content)
    echo(
        f"{output}: version {told['version']}, {told['changed_trits']} of {told['trits']} trits and "
        f"{told['changed_affine_entries']} of {told['affine_entries']} affine entries in {len(content)} bytes"
    )
    return told


def _check_unchanged(path: Path, network: Network) -> None:
    found = load_network(path)
    same_version = patches.network_version(found) == patches.network_version(network)
    if not same_version or network_digest(found) != network_digest(network):
        raise PatchError(f"{path}: another process has changed it meanwhile; nothing was written")


def _check_signature(content: bytes, public_key: Path | None) -> str | None:
    """Check the signature against the key where there is one; says by which it was made."""
    if public_key is None:
        return None
    key = _read(public_key)
    check_signature(content, key)
    return f"checked, by the key {key.hex()}"
