"""The wheel holds every package and every data file of the rooms, and works away from the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("tritforge", "compress", "rtl", "sim", "reports", "hls", "pynq_overlay")
RECORDED = ("reports/results", "reports/networks")
DATA_SUFFIXES = {".sv", ".svh", ".vlt", ".rdl", ".toml", ".j2", ".html", ".json", ".cpp", ".h"}
GENERATED = shutil.ignore_patterns("__pycache__", "sim_build", "obj_dir", "*.egg-info", ".*")


def installed_place(place: Path) -> str:
    """Where a file of the checkout lies in the wheel."""
    return str(place if place.parts[0] == "tritforge" else Path("tritforge") / place)


def is_recorded(place: Path) -> bool:
    return any(place.is_relative_to(folder) for folder in RECORDED)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the wheel is built from: building in place would leave its folders in the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    for room in ROOMS:
        if (ROOT / room).is_dir():
            shutil.copytree(ROOT / room, copy / room, ignore=GENERATED)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(checkout))
    (built,) = folder.glob("tritforge-*.whl")
    return built


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def pip(*arguments: str) -> str:
    return run(sys.executable, "-m", "pip", *arguments)


def run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_every_source_is_in_the_wheel(checkout: Path, contents: set[str]):
    sources = {path.relative_to(checkout) for room in ROOMS for path in (checkout / room).rglob("*.py")}
    missing = sorted(str(place) for place in sources if installed_place(place) not in contents)
    assert missing == [], "add their packages to [tool.setuptools] packages in pyproject.toml"


def test_every_data_file_is_in_the_wheel(checkout: Path, contents: set[str]):
    files = {path.relative_to(checkout) for room in ROOMS for path in (checkout / room).rglob("*") if path.is_file()}
    wanted = {place for place in files if place.suffix in DATA_SUFFIXES or place.name == "py.typed"}
    missing = sorted(str(p) for p in wanted if not is_recorded(p) and installed_place(p) not in contents)
    assert missing == [], "add their kind to [tool.setuptools.package-data] in pyproject.toml"


def test_tests_and_recorded_data_are_not_in_the_wheel(contents: set[str]):
    strangers = {name for name in contents if not name.startswith(("tritforge/", "tritforge-"))}
    recorded = {name for name in contents if name.startswith(tuple(f"tritforge/{folder}" for folder in RECORDED))}
    assert strangers | recorded == set()


def test_the_check_on_data_files_can_fail(checkout: Path, wheel: Path, contents: set[str], tmp_path: Path):
    """A data file of a known kind deep in a room does reach a wheel, one of an unknown kind does not."""
    copy = tmp_path / "checkout"
    shutil.copytree(checkout, copy, ignore=GENERATED)
    for name in ("rtl/hdl/deep/planted.sv", "reports/results/planted.html", "sim/hdl/planted.unknown"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("planted\n")
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(copy))
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        planted = {name for name in archive.namelist() if "planted" in name}
    assert planted == {"tritforge/rtl/hdl/deep/planted.sv"}


def test_the_installed_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path):
    target, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip("install", "--quiet", "--no-deps", "--target", str(target), str(wheel))
    environment = {"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"}
    script = "import tritforge, tritforge.rtl, tritforge.results; print(tritforge.__file__, tritforge.rtl.__file__)"
    printed = run(sys.executable, "-c", script, cwd=elsewhere, env=environment)
    assert printed == f"{target}/tritforge/__init__.py {target}/tritforge/rtl/__init__.py"
    for pattern in ("rtl/hdl/*.sv", "compress/run/recipes/*.toml"):
        found = {path.name for path in (target / "tritforge").glob(pattern)}
        assert found == {path.name for path in ROOT.glob(pattern)}
    version = run(
        sys.executable, "-c", "from tritforge.cli.main import run; run(['--version'])", cwd=elsewhere, env=environment
    )
    assert version.startswith("tritforge ")


@pytest.mark.parametrize("folder", ["build", "data", "runs"])
def test_folders_in_rooms_are_linted_whatever_their_name(tmp_path: Path, folder: str):
    """Only the top folders of these names hold what commands write."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for place in (f"compress/{folder}", folder):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "planted.py").write_text("import os\n")
    files = run(sys.executable, "-m", "ruff", "check", "--show-files", cwd=tmp_path).splitlines()
    assert [str(Path(file).relative_to(tmp_path)) for file in files if file.endswith(".py")] == [
        f"compress/{folder}/planted.py"
    ]


def test_the_environment_is_consistent():
    pip("check")
