"""``gdfast info``: what a model file holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gdfast._cli import models
from gdfast._cli.output import listed, show
from gdfast._cli.predict import categories_of
from gdfast._model_file import safetensors
from gdfast._model_file.tree import Stored
from gdfast.training.weights import EMBEDDINGS, NORMS

_MOST_CLASSES = 8


def run(path: Path) -> None:
    stored, predictor = models.read(path)
    with path.open("rb") as file:
        metadata = safetensors.Reader(file, path.stat().st_size).metadata
    facts = [
        ("file", f"{path}, {path.stat().st_size:,} bytes"),
        ("written by", f"gdfast {metadata['gdfast_version']}, format {metadata['format_version']}"),
        ("kind", stored.name),
    ]
    if predictor is not None:
        facts += [*_features(stored), *_target(stored), *_networks(stored)]
    elif not stored.parts["attributes"]:
        facts.append(("fitted", "no"))
    arguments = {name: value for name, value in stored.parts["arguments"].items() if value is not None}
    facts += [("arguments", ""), *((f"  {name}", _shown(value)) for name, value in arguments.items())]
    show((name, value) for name, value in facts)


def _features(stored: Stored) -> Iterator[tuple[str, str]]:
    attributes = stored.parts["attributes"]
    names = attributes.get("feature_names_in_")
    yield "features", f"{attributes['n_features_in_']}" + " without names" * (names is None)
    if names is None:
        return
    for name, values in zip(names, categories_of(stored), strict=True):
        yield f"  {name}", "number" if values is None else f"category: {listed([str(v) for v in values])}"


def _target(stored: Stored) -> Iterator[tuple[str, str]]:
    attributes = stored.parts["attributes"]
    if "classes_" in attributes:
        yield "classes", listed([str(value) for value in attributes["classes_"]])
    else:
        yield "outputs", str(attributes["n_outputs_"])


def _networks(stored: Stored) -> Iterator[tuple[str, str]]:
    members = stored.parts["attributes"].get("members_", [stored])
    weights = [list(_weights(member)) for member in members]
    shapes = [array.shape for array in members[0].parts["attributes"]["coefs_"]]
    yield "networks", f"{len(members)}, each of {sum(array.size for array in weights[0]):,} parameters"
    yield "  weights", ", ".join(" x ".join(map(str, shape)) for shape in shapes)
    yield "  dtype", str(members[0].parts["attributes"]["coefs_"][0].dtype)
    yield "  epochs", ", ".join(str(member.parts["attributes"].get("n_iter_", "?")) for member in members)


def _weights(member: Stored) -> Iterator[Any]:
    for name in ("coefs_", "intercepts_", *NORMS, EMBEDDINGS):
        yield from member.parts["attributes"].get(name, ())


def _shown(value: Any) -> str:
    return value.name if isinstance(value, Stored) else safetensors.shortened(value)
