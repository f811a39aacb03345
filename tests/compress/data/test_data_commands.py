from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from tritforge.cli.main import run
from tritforge.compress.data.sources import load_dataset

NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


@pytest.fixture
def cifar(tmp_path):
    """A CIFAR-10 of twenty images a file, as binary archive in one folder and as python archive in another."""
    generator = np.random.default_rng(0)
    for kind in ("bin", "py"):
        (tmp_path / kind).mkdir()
    for name in NAMES:
        pixels, labels = generator.integers(0, 256, (20, 3072), dtype=np.uint8), np.arange(20) % 10
        rows = np.column_stack([labels.astype(np.uint8), pixels])
        (tmp_path / "bin" / f"{name}.bin").write_bytes(rows.tobytes())
        content = {b"data": pixels, b"labels": labels.tolist()}
        (tmp_path / "py" / name).write_bytes(pickle.dumps(content, protocol=2))
    return tmp_path


@pytest.fixture
def photos(tmp_path):
    """Two classes of five training images and one test image, of 12x10 pixels."""
    root = tmp_path / "photos"
    for part, count in (("train", 5), ("val", 1)):
        for label, name in enumerate(("cat", "dog")):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                seed = 100 * label + 10 * count + index
                pixels = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{index}.png")
    return root


def shown(path, *options: str) -> dict:
    result = path.parent / "show.json"
    assert run(["data", "show", str(path), *options, "--json", str(result)]) == 0
    return json.loads(result.read_text())


@pytest.mark.parametrize("pixels", [[], ["--pixels"]])
@pytest.mark.parametrize("kind", ["bin", "py"])
def test_a_cifar_archive_becomes_a_lossless_pack(cifar, kind, pixels):
    pack = cifar / "cifar.npz"
    assert run(["data", "pack", str(cifar / kind), "--dataset", "cifar10", "-o", str(pack), *pixels]) == 0
    ours, theirs = shown(pack), shown(cifar / kind, "--dataset", "cifar10")
    assert ours["data_digest"] == theirs["data_digest"] != ""
    assert ours["metrics"] == theirs["metrics"]
    assert ours["metrics"]["train_images"] == [10] * 10
    assert ours["metrics"]["image_shape"] == [3, 32, 32]


def test_packing_twice_gives_the_same_file_and_the_same_data_as_the_folder(photos, tmp_path, capsys):
    for name in ("one", "two"):
        result = tmp_path / f"{name}.json"
        assert run(["data", "pack", str(photos), "-o", str(tmp_path / f"{name}.npz"), "--json", str(result)]) == 0
        size = (tmp_path / f"{name}.npz").stat().st_size
        assert json.loads(result.read_text())["metrics"] == {"train_images": 10, "test_images": 2, "bytes": size}
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert shown(tmp_path / "one.npz")["data_digest"] == shown(photos)["data_digest"]
    told = capsys.readouterr().out
    assert f"{tmp_path}/one.npz: 10 training and 2 test images in" in told
    assert "12x10, 3 channels" in told and "  cat        5 training       1 test" in told


def test_images_are_cut_and_split_when_that_is_asked(photos, tmp_path):
    pack = str(tmp_path / "cut.npz")
    options = ["--size", "8", "--resize", "9", "--jpeg", "80", "--test-fraction", "0.4"]
    assert run(["data", "pack", str(photos / "train"), "-o", pack, *options]) == 0
    data = load_dataset("packed", pack, 0.0)
    assert data.image_shape == (3, 8, 8)
    assert (len(data.train), len(data.test)) == (6, 4)


def test_a_folder_trains_and_its_pack_of_pixels_trains_to_the_same_weights(photos, tmp_path, capsys):
    pack = str(tmp_path / "pixels.npz")
    assert run(["data", "pack", str(photos), "-o", pack, "--pixels", "--size", "8"]) == 0
    assert run(["data", "pack", str(photos), "-o", str(tmp_path / "files.npz"), "--size", "8"]) == 0
    tiny = [part for item in ("widths=[16]", "epochs=1", "batch_size=4") for part in ("--set", item)]
    logs = []
    for place in (pack, str(tmp_path / "files.npz")):
        folder = tmp_path / f"run{len(logs)}"
        options = ["--set", "dataset=packed", "--set", "validation_fraction=0.2", "--data-folder", place, *tiny]
        assert run(["train", "digits_ternary", "--run", str(folder), *options]) == 0
        logs.append((folder / "log.csv").read_text())
    assert logs[0] == logs[1]
    again = str(tmp_path / "again.npz")
    assert run(["data", "pack", str(tmp_path / "files.npz"), "-o", again, "--pixels"]) == 0
    assert load_dataset("packed", again, 0.0).digest() == load_dataset("packed", pack, 0.0).digest()
    options = ["--set", "dataset=folder", "--set", "validation_fraction=0.2", "--data-folder", str(photos), *tiny]
    assert run(["train", "digits_ternary", "--run", str(tmp_path / "run"), *options]) == 0
    assert "run folder" in capsys.readouterr().out


def cut_binary(root):
    path = root / "bin" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-7])
    return ["bin", "--dataset", "cifar10"], "data_batch_3.bin has 61453 bytes; a whole number of records of 3073"


def cut_python(root):
    path = root / "py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-7])
    return ["py", "--dataset", "cifar10"], "data_batch_3 is not a batch of a CIFAR python archive, or it is damaged"


def wrong_label(root):
    path = root / "bin" / "test_batch.bin"
    path.write_bytes(bytes([12]) + path.read_bytes()[1:])
    return ["bin", "--dataset", "cifar10"], "test_batch.bin holds the label 12; allowed are 0 to 9"


def missing_batch(root):
    (root / "bin" / "data_batch_2.bin").unlink()
    return ["bin", "--dataset", "cifar10"], "bin lacks data_batch_2.bin (or data_batch_2 of the python archive)"


def cut_pack(root):
    assert run(["data", "pack", str(root / "photos"), "-o", str(root / "p.npz")]) == 0
    (root / "p.npz").write_bytes((root / "p.npz").read_bytes()[:-20])
    return ["p.npz"], "p.npz is not a pack of images, or it is damaged"


def cut_pixels(root):
    assert run(["data", "pack", str(root / "photos"), "-o", str(root / "p.npz"), "--pixels"]) == 0
    (root / "p.npz").write_bytes((root / "p.npz").read_bytes()[:500])
    return ["p.npz"], "p.npz is not a pack of images, or it is damaged"


def wrong_offsets(root):
    assert run(["data", "pack", str(root / "photos"), "-o", str(root / "p.npz")]) == 0
    with np.load(root / "p.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["train_offsets"][-1] += 1
    np.savez(root / "p.npz", **arrays)
    return ["p.npz"], "p.npz: train_offsets does not divide the"


def other_size(root):
    Image.new("RGB", (12, 11)).save(root / "photos" / "val" / "dog" / "0.png")
    return ["photos"], "val/dog/0.png has 12x11 pixels; the first image has 12x10"


def empty_class(root):
    shutil.rmtree(root / "photos" / "train" / "dog")
    (root / "photos" / "train" / "dog").mkdir()
    return ["photos"], "train/dog holds no images"


def other_classes(root):
    (root / "photos" / "val" / "dog").rename(root / "photos" / "val" / "wolf")
    return ["photos"], "the class dog is in train but not in val; both need the same classes"


def unreadable(root):
    (root / "photos" / "train" / "cat" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return ["photos"], "train/cat/3.png cannot be decoded"


def nowhere(root):
    return ["nowhere"], "nowhere does not exist"


def no_place(root):
    return ["--dataset", "cifar10"], "needs data_folder, the folder of its unpacked archive, or TRITFORGE_DATA"


def nothing_asked(root):
    return [], "data show needs a path, --dataset, or both"


def unknown(root):
    return ["bin", "--dataset", "imagenet"], "dataset is 'imagenet'; allowed are digits, mnist"


@pytest.mark.parametrize(
    "fault",
    [
        cut_binary,
        cut_python,
        wrong_label,
        missing_batch,
        cut_pack,
        cut_pixels,
        wrong_offsets,
        other_size,
        empty_class,
        other_classes,
        unreadable,
        nowhere,
        no_place,
        nothing_asked,
        unknown,
    ],
)
def test_wrong_data_is_one_sentence_and_status_two(cifar, photos, monkeypatch, capsys, fault):
    monkeypatch.chdir(cifar)
    monkeypatch.delenv("TRITFORGE_DATA", raising=False)
    arguments, sentence = fault(cifar)
    capsys.readouterr()
    assert run(["data", "show", *arguments]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_training_on_wrong_data_makes_no_run_folder(cifar, monkeypatch, capsys):
    monkeypatch.chdir(cifar)
    cut_python(cifar)
    assert run(["train", "cifar10_ternary", "--data-folder", "py"]) == 2
    assert "py/data_batch_3 is not a batch of a CIFAR python archive" in capsys.readouterr().err
    assert not (cifar / "runs").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--jpeg", "80"], "--resize and --jpeg need --size"),
        (["--resize", "80"], "--resize and --jpeg need --size"),
        (["--size", "8", "--jpeg", "80", "--pixels"], "leave --jpeg out"),
        (["--size", "8", "--resize", "4"], "cannot be resized to 4 pixels and then cut to 8"),
        (["--size", "0"], "cannot be resized to 0 pixels and then cut to 0"),
        (["--test-fraction", "0.5"], "has the parts train and val already; leave the test fraction out"),
        (["--test-fraction", "-0.5"], "greater than or equal to 0"),
        (["--dataset", "cifar10", "--size", "8"], "the images of cifar10 are packed as they are"),
        (["--dataset", "cifar10"], "lacks data_batch_1.bin"),
    ],
)
def test_mistakes_in_packing_leave_the_old_pack(photos, tmp_path, capsys, options, sentence):
    pack = tmp_path / "old.npz"
    pack.write_text("old")
    assert run(["data", "pack", str(photos), "-o", str(pack), *options]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err and captured.err.count("\n") == 1
    assert pack.read_text() == "old"


def test_an_update_without_validation_images_is_refused(tmp_path, capsys):
    tiny = ["--set", "widths=[16]", "--set", "epochs=1", "--set", "batch_size=512", "--set", "validation_fraction=0.0"]
    folder, network, patch = tmp_path / "run", tmp_path / "net.safetensors", tmp_path / "update.patch"
    assert run(["train", "digits_ternary", "--run", str(folder), *tiny]) == 0
    assert "validation" not in capsys.readouterr().out
    assert run(["export", str(folder), "-o", str(network)]) == 0
    capsys.readouterr()
    assert run(["update", str(network), "--checkpoint", str(folder), "-o", str(patch)]) == 2
    captured = capsys.readouterr()
    assert "an update is judged on validation images" in captured.err and captured.err.count("\n") == 1
    assert not patch.exists()
