from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from tritforge.compress.cifar import load_cifar
from tritforge.compress.data import load_dataset
from tritforge.errors import DataError


@pytest.fixture
def batches():
    """Six batches of 20 images: ``(pixels (20, 3072), labels)``."""
    generator = np.random.default_rng(0)
    return [(generator.integers(0, 256, (20, 3072), dtype=np.uint8), np.arange(20) % 10) for _ in range(6)]


NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def write_binary(folder: Path, batches) -> None:
    for name, (pixels, labels) in zip(NAMES, batches, strict=True):
        (folder / f"{name}.bin").write_bytes(np.column_stack([labels.astype(np.uint8), pixels]).tobytes())


def write_python(folder: Path, batches) -> None:
    for name, (pixels, labels) in zip(NAMES, batches, strict=True):
        content = {b"data": pixels, b"labels": labels.tolist(), b"batch_label": b"x"}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("write", [write_binary, write_python])
def test_both_archives_give_the_same_pixels(tmp_path, batches, write):
    write(tmp_path, batches)
    data = load_dataset("cifar10", tmp_path, 0.2)
    assert (len(data.train), len(data.validation), data.classes) == (80, 20, 10)
    assert np.array_equal(data.test.images, batches[5][0].reshape(20, 3, 32, 32))
    assert np.array_equal(data.test.labels, batches[5][1])


def test_cifar_100_takes_fine_labels_after_the_coarse_ones(tmp_path, batches):
    pixels = np.concatenate([pixels for pixels, _ in batches])[:100]
    for name in ("train", "test"):
        rows = np.column_stack([np.full(100, 7, np.uint8), np.arange(100, dtype=np.uint8) // 2, pixels])
        (tmp_path / f"{name}.bin").write_bytes(rows.tobytes())
    data = load_cifar(tmp_path, 100, 0.5)
    assert data.test.labels.tolist() == (np.arange(100) // 2).tolist()
    assert np.array_equal(data.test.images.reshape(100, -1), pixels)


def test_missing_truncated_and_wrong_files_are_told(tmp_path, batches):
    with pytest.raises(DataError, match="needs data_folder"):
        load_dataset("cifar10")
    with pytest.raises(DataError, match="does not exist"):
        load_cifar(tmp_path / "nowhere", 10)
    with pytest.raises(DataError, match=r"lacks data_batch_1\.bin"):
        load_cifar(tmp_path, 10)
    write_binary(tmp_path, batches)
    path = tmp_path / "test_batch.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match="61459 bytes; a whole number of records of 3073"):
        load_cifar(tmp_path, 10, 0.2)
    path.write_bytes(b"\x0a" + content[1:])
    with pytest.raises(DataError, match="holds the label 10; allowed are 0 to 9"):
        load_cifar(tmp_path, 10, 0.2)


def test_a_python_batch_that_would_run_code_is_refused(tmp_path, batches):
    class Malicious:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    write_python(tmp_path, batches)
    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Malicious()}))
    with pytest.raises(DataError, match="not a batch of a CIFAR python archive"):
        load_cifar(tmp_path, 10, 0.2)
    assert not (tmp_path / "ran").exists()
