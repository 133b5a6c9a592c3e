"""The package's metadata: what it says of the project's public home, and what the installed package says."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
README = (ROOT / "README.md").read_text("utf-8")
HOME = "https://example.org/gdfast"


@pytest.fixture(scope="module")
def metadata() -> ModuleType:
    spec = importlib.util.spec_from_file_location("metadata", ROOT / "packaging" / "metadata.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_home_nothing_is_linked(metadata: ModuleType) -> None:
    assert metadata.urls_of("") == {}
    text = metadata.links_from(README, "", "1.2.3")
    assert "](docs/" not in text
    assert "](docs/tables.md)" in README
    assert "all scores" in text
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert re.match(r"https?:|#", target), target


def test_with_a_home_every_link_leads_to_the_files_of_the_version(metadata: ModuleType) -> None:
    text = metadata.links_from("![a](a.png) [b](docs/b.md#c) [d](https://d.org) [e](#f)", HOME, "1.2.3")
    raw, blob = f"{HOME}/raw/v1.2.3", f"{HOME}/blob/v1.2.3"
    assert text == f"![a]({raw}/a.png) [b]({blob}/docs/b.md#c) [d](https://d.org) [e](#f)"
    assert all(url.startswith(HOME) for url in metadata.urls_of(HOME).values())


def test_links_of_the_readme_lead_to_files(metadata: ModuleType) -> None:
    paths = [match.group(3).partition("#")[0] for match in metadata._TO_A_FILE.finditer(README)]
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path


def test_classifiers_name_the_pythons_that_wheels_are_built_for() -> None:
    named = {
        line.rpartition(" ")[2]
        for line in PROJECT["project"]["classifiers"]
        if re.search(r"Python :: 3\.\d+$", line)
    }
    minors = re.search(r"cp3\{([\d,]+)\}", PROJECT["tool"]["cibuildwheel"]["build"])
    assert minors is not None
    assert named == {f"3.{minor}" for minor in minors.group(1).split(",")}
    oldest = min(named, key=lambda version: int(version.partition(".")[2]))
    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert f"py{oldest.replace('.', '')}" == PROJECT["tool"]["ruff"]["target-version"]


def test_what_is_cited_is_this_version() -> None:
    project = PROJECT["project"]
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [project["version"]]
    assert re.findall(r"^license: (.*)$", citation, re.MULTILINE) == [project["license"]]
    assert re.findall(r"^  - ((?!name:).*)$", citation, re.MULTILINE) == project["keywords"]
    page = (ROOT / "docs" / "citing.md").read_text("utf-8")
    assert re.findall(r"^ *version *= \{(.*)\}", page, re.MULTILINE) == [project["version"]]


def test_the_installed_package_has_this_metadata() -> None:
    try:
        installed = importlib.metadata.metadata("gdfast")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("gdfast is not installed here")
    assert installed["Version"] == PROJECT["project"]["version"]
    assert installed["License-Expression"] == "BSD-3-Clause"
    assert "LICENSE" in (installed.get_all("License-File") or [])
    assert installed.get_all("Project-URL") is None
    assert "](docs/" not in str(installed.get_payload())


def test_only_what_has_no_wheels_is_missing_from_the_tests_on_musllinux() -> None:
    (override,) = PROJECT["tool"]["cibuildwheel"]["overrides"]
    everywhere = set(PROJECT["project"]["optional-dependencies"]["test"])
    assert everywhere - set(override["test-requires"]) == {"onnx", "onnxruntime", "skl2onnx"}
    assert set(override["test-requires"]) < everywhere
