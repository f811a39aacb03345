from __future__ import annotations

import hashlib
import sys
from types import ModuleType

import pytest
from network_samples import changed, tiny_network

from tritforge.errors import PatchError
from tritforge.patches.file import HEADER_BYTES, MAX_HEADER_BYTES
from tritforge.patches.patch import apply_to_network, diff, inspect
from tritforge.patches.signature import check_signature, public_key_of, sign
from tritforge.patches.steps import compose, reverse

PRIVATE, OTHER = bytes(range(32)), bytes(range(1, 33))


class _StandIn:
    """Keys with the interface of ``cryptography`` and a hash for a signature: enough to test what is signed."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    @classmethod
    def from_private_bytes(cls, key: bytes) -> _StandIn:
        return cls(hashlib.sha256(key).digest())

    @classmethod
    def from_public_bytes(cls, key: bytes) -> _StandIn:
        return cls(key)

    def public_key(self) -> _StandIn:
        return self

    def public_bytes(self, encoding: str, form: str) -> bytes:
        assert (encoding, form) == ("raw", "raw")
        return self.key

    def sign(self, message: bytes) -> bytes:
        return hashlib.sha512(self.key + message).digest()

    def verify(self, signature: bytes, message: bytes) -> None:
        if signature != self.sign(message):
            raise sys.modules["cryptography.exceptions"].InvalidSignature


@pytest.fixture(params=["ed25519", "stand-in"], autouse=True)
def scheme(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "ed25519":
        pytest.importorskip("cryptography")
        return
    names = ["cryptography"]
    for part in ("exceptions", "hazmat", "hazmat.primitives", "hazmat.primitives.serialization"):
        names.append(f"cryptography.{part}")
    names += [f"cryptography.hazmat.primitives.{part}" for part in ("asymmetric", "asymmetric.ed25519")]
    for name in names:
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], own, module)
    sys.modules["cryptography.exceptions"].InvalidSignature = type("InvalidSignature", (Exception,), {})  # type: ignore[attr-defined]
    serialization = sys.modules["cryptography.hazmat.primitives.serialization"]
    serialization.Encoding = serialization.PublicFormat = type("Raw", (), {"Raw": "raw"})  # type: ignore[attr-defined]
    ed25519 = sys.modules[names[-1]]
    ed25519.Ed25519PrivateKey = ed25519.Ed25519PublicKey = _StandIn  # type: ignore[attr-defined]


def patch() -> bytes:
    base = tiny_network()
    return diff(base, changed(base, 1, 0.1, 0.1), 1)


def test_a_signature_is_by_its_key() -> None:
    signed = sign(patch(), PRIVATE)
    check_signature(signed, public_key_of(PRIVATE))
    with pytest.raises(PatchError, match="not by the given key"):
        check_signature(signed, public_key_of(OTHER))
    assert sign(signed, PRIVATE) == signed
    check_signature(sign(signed, OTHER), public_key_of(OTHER))
    with pytest.raises(PatchError, match="not by the given key"):
        check_signature(sign(signed, OTHER), public_key_of(PRIVATE))


def test_a_signed_patch_is_the_same_patch() -> None:
    plain = patch()
    signed = sign(plain, PRIVATE)
    assert len(signed) == len(plain) + 64 and HEADER_BYTES + 64 <= MAX_HEADER_BYTES
    assert inspect(signed) == inspect(plain) | {"bytes": len(signed), "signature": "present, not checked"}
    base = tiny_network()
    assert apply_to_network(base, signed).provenance == apply_to_network(base, plain).provenance
    assert reverse(signed, 2) == reverse(plain, 2)
    back = reverse(plain, 2)
    assert compose(signed, sign(back, PRIVATE)) == compose(signed, back) == compose(plain, back)


def test_a_signature_moved_to_another_patch_is_refused() -> None:
    base = tiny_network()
    signed = sign(patch(), PRIVATE)
    from dataclasses import replace

    from tritforge.patches.file import read_patch_file, write_patch_file

    other = read_patch_file(diff(base, changed(base, 2, 0.1, 0.1), 1))
    moved = write_patch_file(replace(other, signature=read_patch_file(signed).signature))
    newer = write_patch_file(replace(read_patch_file(signed), version=2))
    for forged in (moved, newer):
        with pytest.raises(PatchError, match="not by the given key"):
            check_signature(forged, public_key_of(PRIVATE))


def test_what_cannot_be_checked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = patch()
    with pytest.raises(PatchError, match="not signed"):
        check_signature(plain, public_key_of(PRIVATE))
    with pytest.raises(PatchError, match="private key has 31 bytes"):
        sign(plain, PRIVATE[1:])
    with pytest.raises(PatchError, match="private key has 33 bytes"):
        public_key_of(PRIVATE + b"x")
    with pytest.raises(PatchError, match="public key has 0 bytes"):
        check_signature(plain, b"")
    with pytest.raises(PatchError, match="checksum"):
        sign(plain[:-1] + bytes([plain[-1] ^ 1]), PRIVATE)
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(PatchError, match="pip install cryptography"):
        sign(plain, PRIVATE)
