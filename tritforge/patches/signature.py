"""Ed25519 signatures of patch files (RFC 8032), through the optional package ``cryptography``."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

from tritforge.errors import PatchError
from tritforge.patches.file import read_patch_file, signed_message, write_patch_file

KEY_BYTES = 32


def sign(data: bytes, private_key: bytes) -> bytes:
    """The patch ``data`` with a signature by the raw 32-byte ``private_key``; an earlier signature is replaced.

    Raises:
        PatchError: the patch is damaged, the key is malformed, or ``cryptography`` is not installed.
    """
    file = replace(read_patch_file(data), signature=b"")
    _check_key("private", private_key)
    key = _ed25519().Ed25519PrivateKey.from_private_bytes(private_key)
    return write_patch_file(replace(file, signature=key.sign(signed_message(file))))


def check_signature(data: bytes, public_key: bytes) -> None:
    """Check that the patch ``data`` was signed by the holder of the raw 32-byte ``public_key``.

    Raises:
        PatchError: it was not, it is damaged, the key is malformed, or ``cryptography`` is not installed.
    """
    file = read_patch_file(data)
    _check_key("public", public_key)
    if not file.signature:
        raise PatchError("patch: it is not signed, but a signature is required")
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(file.signature, signed_message(file))
    except InvalidSignature as error:
        raise PatchError("patch: its signature is not by the given key") from error


def public_key_of(private_key: bytes) -> bytes:
    """The raw public key that belongs to the raw ``private_key``."""
    _check_key("private", private_key)
    key = _ed25519().Ed25519PrivateKey.from_private_bytes(private_key)
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return bytes(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def _check_key(kind: str, key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise PatchError(f"the {kind} key has {len(key)} bytes; a raw Ed25519 key has {KEY_BYTES}")


def _ed25519() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise PatchError("signatures need the package cryptography; run: pip install cryptography") from error
    return ed25519
