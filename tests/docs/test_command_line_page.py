"""The commands of docs/command_line.md work, one after another."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from gdfast.__main__ import main

PAGE = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text()


def blocks(language: str) -> str:
    return "".join(re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def split(text: str) -> tuple[str, list[float]]:
    """A report without its seconds and scores, and the scores."""
    text = re.sub(r"in [\d.]+ s", "in seconds", text)
    score = re.compile(r"^(  (?:R2|RMSE|MAE)) +([\d.]+)$", re.MULTILINE)
    return score.sub(r"\1", text), [float(found[2]) for found in score.finditer(text)]


def test_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(blocks("python"), {})
    outs = []
    for line in blocks("bash").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "gdfast"
        assert main(arguments) == 0, line
        out, err = capsys.readouterr()
        assert err == ""
        outs.append(out)
    shown, scores = split(blocks("text"))
    found, found_scores = split(outs[0])
    assert found == shown
    assert found_scores == pytest.approx(scores, rel=0.25)  # other instruction sets round differently
