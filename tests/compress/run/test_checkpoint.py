"""A checkpoint is read back as it was written, or refused in one sentence."""

from __future__ import annotations

import io
import zipfile
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from compress_samples import SMALL
from hypothesis import given
from hypothesis import strategies as st

from tritforge.compress.run.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint


def some_checkpoint() -> Checkpoint:
    draw = torch.Generator().manual_seed(0)
    return Checkpoint(
        recipe=SMALL,
        step=18,
        zero_point=(0,),
        model={"weight": torch.randn(4, 3, generator=draw), "count": torch.tensor(3)},
        optimizer={"state": {0: {"exp_avg": torch.randn(4, 3, generator=draw)}}},
        generator=draw.get_state(),
        order=torch.randperm(10, generator=draw),
        finished=True,
        network_digest="ab" * 32,
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.pt"
    save_checkpoint(path, some_checkpoint())
    return path


def assert_equal(one: object, other: object) -> None:
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict) and one.keys() == other.keys()
        for key, value in one.items():
            assert_equal(value, other[key])
    else:
        assert one == other


def assert_equal_checkpoints(one: Checkpoint, other: Checkpoint) -> None:
    for item in fields(Checkpoint):
        assert_equal(getattr(one, item.name), getattr(other, item.name))


def test_what_is_written_is_read_back(path: Path) -> None:
    assert_equal_checkpoints(load_checkpoint(path), some_checkpoint())


def test_the_file_is_a_whole_archive_and_what_torch_reads(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and archive.comment.startswith(b"tritforge checkpoint SHA-256 ")
    assert_equal(torch.load(path, weights_only=True)["model"], some_checkpoint().model)


def refused(path: Path, content: bytes) -> str:
    damaged = path.with_name("damaged.pt")
    damaged.write_bytes(content)
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(damaged)
    assert str(damaged) in str(raised.value) and "\n" not in str(raised.value)
    return str(raised.value)


@given(data=st.data())
def test_a_flipped_bit_is_refused(data: st.DataObject, path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, 8 * len(content) - 1))
    content[place // 8] ^= 1 << place % 8
    assert "is damaged" in refused(path, bytes(content))


def test_a_flipped_bit_in_any_byte_of_the_seal_is_refused(path: Path) -> None:
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        begin = len(content) - len(archive.comment)
    for place in range(begin - 22, len(content)):
        assert "is damaged" in refused(path, content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])


@given(data=st.data())
def test_a_cut_file_is_refused(data: st.DataObject, path: Path) -> None:
    content = path.read_bytes()
    refused(path, content[: data.draw(st.integers(0, len(content) - 1))])


def unsealed(path: Path, number: int) -> bytes:
    stored = io.BytesIO()
    torch.save(torch.load(path, weights_only=True) | {"format": number}, stored)
    return stored.getvalue()


def test_a_checkpoint_of_format_1_has_no_seal_and_is_read(path: Path) -> None:
    old = path.with_name("old.pt")
    old.write_bytes(unsealed(path, 1))
    assert_equal_checkpoints(load_checkpoint(old), some_checkpoint())


def test_a_checkpoint_of_format_2_without_its_seal_is_refused(path: Path) -> None:
    assert refused(path, unsealed(path, 2)).endswith("is damaged: it lacks its SHA-256")
