"""A file is the old one or the new one, whenever the process that writes it ends."""

from __future__ import annotations

import copy
import os
import random
import signal
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from models import assert_alike, fitted, rows


def test_what_is_written_is_on_disk_before_the_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(source: Any, target: Any) -> None:
        assert Path(source).parent == Path(target).parent
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    fitted("gru").save(tmp_path / "model")
    assert calls == ["file", "replace", *["folder"] * (os.name == "posix")]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_failure_leaves_the_old_file(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gdfast._model_file import safetensors

    def fails(*arguments: Any) -> None:
        raise OSError("No space left on device")

    path = tmp_path / "model"
    fitted("gru").save(path)
    before = path.read_bytes()
    monkeypatch.setattr(safetensors if step == "write" else os, step, fails)
    with pytest.raises(OSError, match="No space left"):
        fitted("everything").save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_places_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no folder '.*missing' to write to"):
        fitted("gru").save(tmp_path / "missing" / "model")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        fitted("gru").save(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "model"
    fitted("gru").save(path)
    path.chmod(0o640)
    fitted("gru").save(os.fsencode(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["coefs_", "loss_curve_"])
def test_what_changes_while_it_is_written_is_written_as_it_was(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread that trains the estimator meanwhile makes no file with checksums that do not fit."""
    from gdfast._model_file import safetensors

    est = copy.deepcopy(fitted("gru"))
    write = safetensors.write

    def write_later(*arguments: Any) -> None:
        est.coefs_[0][:] = 7
        est.loss_curve_.clear()
        write(*arguments)

    monkeypatch.setattr(safetensors, "write", write_later)
    est.save(tmp_path / "model")
    assert_alike(getattr(fitted("gru"), name), getattr(gdfast.load(tmp_path / "model"), name))


def save_for_ever(path: Path, models: Sequence[Any]) -> None:
    while True:
        for model in models:
            model.save(path)


def seconds_of_a_save(path: Path, model: Any) -> float:
    """The median: a disk may take its time now and then."""
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        model.save(path)
        seconds.append(time.perf_counter() - begin)
    return sorted(seconds)[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_killed_at_any_moment(tmp_path: Path) -> None:
    """200 children save two models to one path in turn, and are killed: one of the two loads each time."""
    path = tmp_path / "model"
    # Large enough that writing takes its time.
    X = np.tile(rows(), 100)
    models = [
        gdfast.MLPRegressor(hidden_layer_sizes=(400,), max_iter=1, random_state=seed).fit(X, rows()[:, 0])
        for seed in (0, 1)
    ]
    expected = [model.predict(X).tolist() for model in models]
    longest = 4 * seconds_of_a_save(path, models[0])
    rng, found, torn = random.Random(0), [0, 0], 0
    for number in range(200):
        child = os.fork()
        if child == 0:
            try:
                save_for_ever(path, models if number % 2 else models[::-1])
            finally:
                os._exit(1)
        time.sleep(rng.uniform(0.001, longest))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        loaded = gdfast.load(path, training=False)
        found[expected.index(loaded.predict(X).tolist())] += 1
        torn += len(list(tmp_path.iterdir())) > 1
    print(
        f"200 kills: the file was the one model {found[0]} times and the other {found[1]}; {torn} kills "
        f"left a part of a file beside it"
    )
    assert sum(found) == 200
    assert min(found) > 0
    assert torn > 20, "hardly any child was killed while it wrote"
    models[0].save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at the worst moments: with half a file written, and before and after it is moved."""
    path = tmp_path / "model"
    fitted("gru").save(path)
    old = path.read_bytes()

    for moment in ("fsync", "replace"):
        for after in (False, True):
            child = os.fork()
            if child == 0:
                whole = getattr(os, moment)

                def killed(*arguments: Any, whole: Any = whole, after: bool = after) -> None:
                    if after:
                        whole(*arguments)
                    os.kill(os.getpid(), signal.SIGKILL)

                setattr(os, moment, killed)
                try:
                    fitted("lstm, stateful").save(path)
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == signal.SIGKILL
            is_moved = (moment, after) == ("replace", True)
            assert (path.read_bytes() == old) is not is_moved
            assert_alike(fitted("lstm, stateful" if is_moved else "gru"), gdfast.load(path))


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="symbolic links"):
        fitted("classes of strings").save(tmp_path / "a")
