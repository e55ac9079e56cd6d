"""What ships with the program is found in a checkout, and inside the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from distributor.shipped import shipped

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("templates", "alembic", "config.example.toml")


def shipped_files() -> set[str]:
    files: set[str] = set()
    for name in NAMES:
        path = ROOT / name
        inside = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        files |= {str(p.relative_to(ROOT)) for p in inside if "__pycache__" not in p.parts}
    return files


@pytest.mark.parametrize("name", NAMES)
def test_a_checkout_uses_its_own_files(name: str) -> None:
    assert shipped(name) == ROOT / name
    assert shipped(name).exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as a release would, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_shipped_file_and_nothing_that_does_not_belong(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    data = {name.removeprefix("distributor/_data/") for name in names if "/_data/" in name}
    assert data == shipped_files()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"distributor"}
    assert "distributor/py.typed" in names
    assert any(name.endswith("LICENSE") for name in names)


def test_the_installed_package_finds_its_files_in_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    # Some packages leave such a file behind; it must not be taken for our checkout.
    (tmp_path / "site" / "pyproject.toml").write_text("", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    ask = (
        "from distributor.config import initial_config\n"
        "from distributor.shipped import shipped\n"
        f"print(*(shipped(name) for name in {NAMES!r}), len(initial_config()))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path / "empty",
        env={"PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    data = tmp_path / "site" / "distributor" / "_data"
    assert told[:-1] == [str(data / name) for name in NAMES]
    assert int(told[-1]) == len((ROOT / "config.example.toml").read_text(encoding="utf-8"))
