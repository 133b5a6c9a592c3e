"""Model files, as data."""

from __future__ import annotations

from pathlib import Path

from gdfast._cli.errors import CommandError, naming
from gdfast._model_file import files
from gdfast._model_file.errors import ModelFormatError
from gdfast._model_file.models import checked
from gdfast._model_file.objects import RUN, TRAINING
from gdfast._model_file.tree import Stored
from gdfast.prediction.predictors import Predictor


def read(path: Path) -> tuple[Stored, Predictor | None]:
    """What a file holds, and its predictor if it has one."""
    try:
        with naming(path):
            return files.read(path, checked, leave_out=(RUN, TRAINING))
    except ModelFormatError as error:
        named = "" if str(path) in str(error) else f"{path}: "
        raise CommandError(f"{named}{error}") from None
