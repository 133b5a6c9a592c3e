"""The commands of docs/tutorial.md take the table that its first program writes, and print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import gdfast
import pytest
from gdfast.__main__ import main

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def without_numbers(text: str) -> str:
    return re.sub(r"\d+\.\d+", "0.0", text).strip()


def test_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[0], {})
    capsys.readouterr()
    (commands,) = blocks("bash")
    printed = []
    for line in commands.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "gdfast"
        assert main(arguments) == 0, line
        out, err = capsys.readouterr()
        assert err == ""
        printed.append(out)
    assert without_numbers(printed[0]) == without_numbers(blocks("text")[-1])
    written = {"tumours.csv", "tumours.png", "tumours.safetensors", "predictions.csv"}
    assert {path.name for path in tmp_path.iterdir()} == written
    assert gdfast.load("tumours.safetensors").classes_.tolist() == ["benign", "malignant"]
