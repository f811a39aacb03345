from __future__ import annotations

import hashlib
import http.server
import io
import socket
import tarfile
import threading

import numpy as np
import pytest

from tritforge.cli.main import run
from tritforge.compress.data import download as downloads
from tritforge.compress.data.download import ARCHIVES, Archive, download
from tritforge.compress.data.sources import load_dataset
from tritforge.errors import DataError

FOLDER = "cifar-10-batches-bin"


def tar(entries: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return buffer.getvalue()


def small_cifar() -> dict[str, bytes]:
    """Twelve images a file, one label more than once in each."""
    rows = np.random.default_rng(0).integers(0, 256, (12, 3073), dtype=np.uint8)
    rows[:, 0] = np.arange(12) % 10
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    return {f"{FOLDER}/{name}": rows.tobytes() for name in names}


@pytest.fixture(scope="module")
def server():
    """A local server, and what it answers by path; a path that is not there gets a 404."""
    answers: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = answers.get(self.path)
            self.send_response(404 if content is None else 200)
            # One path breaks off in the middle of what was announced.
            self.send_header("Content-Length", str(len(content or b"") + (100 if self.path == "/broken" else 0)))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as local:
        threading.Thread(target=local.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{local.server_port}", answers
        local.shutdown()


@pytest.fixture
def serve(server, monkeypatch):
    """Makes the archive of cifar10 one that the local server answers with."""
    address, answers = server
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def offer(content: bytes, path: str = "/archive", md5: str | None = None) -> None:
        answers[path] = content
        own = hashlib.md5(content).hexdigest() if md5 is None else md5
        monkeypatch.setitem(downloads.ARCHIVES, "cifar10", Archive(address + path, own))

    return offer


def test_the_official_archives_come_over_https_with_the_published_sums():
    assert {name: archive.md5 for name, archive in ARCHIVES.items()} == {
        "cifar10": "c32a1d4ab5d03f1284b67883e8d87530",
        "cifar100": "03b5dce01913d631647c71ecec9e9cb8",
    }
    assert all(archive.url.startswith("https://www.cs.toronto.edu/~kriz/cifar-") for archive in ARCHIVES.values())


def test_what_was_downloaded_is_found_by_the_name_of_the_data_set(serve, tmp_path, monkeypatch, capsys):
    content = tar(small_cifar())
    serve(content)
    monkeypatch.setenv("TRITFORGE_DATA", str(tmp_path / "data"))
    assert run(["data", "download", "cifar10"]) == 0
    assert f"cifar10 lies in {tmp_path}/data/cifar10" in capsys.readouterr().out
    assert len(load_dataset("cifar10", validation_fraction=0.2).test) == 12
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["cifar10"]


def test_bytes_are_counted_and_an_existing_folder_is_not_touched(serve, tmp_path):
    content = tar(small_cifar())
    serve(content)
    received = []
    target = download("cifar10", tmp_path, received.append)
    assert sum(received) == len(content)
    (target / "mine").touch()
    with pytest.raises(DataError, match="cifar10 exists already; remove it"):
        download("cifar10", tmp_path)
    assert (target / "mine").exists()


def outside(tmp_path):
    return tar({f"{FOLDER}/a": b"x", "../outside": b"x"})


def absolute(tmp_path):
    return tar({f"{FOLDER}/a": b"x", f"{tmp_path}/outside": b"x"})


def linked(tmp_path):
    return tar({f"{FOLDER}/a": b"x"}, {f"{FOLDER}/b": f"{tmp_path}/outside"})


def two_folders(tmp_path):
    return tar({"a/x": b"", "b/x": b""})


def a_file(tmp_path):
    return tar({"x": b""})


def cut_short(tmp_path):
    return tar(small_cifar())[:-500]


def no_archive(tmp_path):
    return b"no archive"


def nothing(tmp_path):
    return b""


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (outside, "cannot unpack"),
        (linked, "cannot unpack"),
        (absolute, "does not hold one folder"),
        (two_folders, "does not hold one folder"),
        (a_file, "does not hold one folder"),
        (cut_short, "it is damaged"),
        (no_archive, "it is damaged"),
        (nothing, "it is damaged"),
    ],
)
def test_archives_that_are_damaged_or_lead_elsewhere_leave_nothing(serve, tmp_path, capsys, make, sentence):
    folder = tmp_path / "data"
    serve(make(tmp_path))
    assert run(["data", "download", "cifar10", "--folder", str(folder)]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("path", ["/archive", "/broken"])
def test_another_file_than_the_published_one_is_not_unpacked(serve, tmp_path, path):
    serve(tar(small_cifar()), path, md5="0" * 32)
    with pytest.raises(DataError, match="incomplete or not the published archive|cannot download"):
        download("cifar10", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_one_sentence_says_so(serve, tmp_path, monkeypatch, capsys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        monkeypatch.setitem(downloads.ARCHIVES, "cifar10", Archive(address, ""))
        assert run(["data", "download", "cifar10", "--folder", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        f"cannot download {address}: connection refused; without a network, bring the archive otherwise and unpack it\n"
    )
    monkeypatch.setitem(downloads.ARCHIVES, "cifar10", Archive("http://no-such-host.invalid/x", ""))
    assert run(["data", "download", "cifar10", "--folder", str(tmp_path)]) == 2
    assert "cannot download http://no-such-host.invalid/x: " in capsys.readouterr().err
    serve(b"")
    monkeypatch.setitem(
        downloads.ARCHIVES, "cifar10", Archive(downloads.ARCHIVES["cifar10"].url.replace("archive", "missing"), "")
    )
    assert run(["data", "download", "cifar10", "--folder", str(tmp_path)]) == 2
    assert "missing: Not Found; without a network" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_and_folders_that_cannot_be_made_are_told(serve, tmp_path):
    with pytest.raises(DataError, match="'mnist' cannot be downloaded; allowed are cifar10, cifar100"):
        download("mnist", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write .*/file/cifar10"):
        download("cifar10", tmp_path / "file")
