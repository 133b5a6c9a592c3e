"""Arguments, errors and exit statuses of the command line."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from gdfast._cli.errors import STANDARD_OUTPUT, CommandError, naming
from gdfast._core import __version__

# A shell's statuses of commands that SIGINT and SIGPIPE have ended.
_INTERRUPTED, _PIPE_CLOSED = 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status."""
    if sys.stdout is None:  # it is closed
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    # The encoding of a pipe may have no letter of a name, above all on Windows.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            _run(_parser().parse_args(argv))
            return 0
        finally:
            with naming(STANDARD_OUTPUT):
                sys.stdout.flush()
    except CommandError as error:
        return _refused(str(error))
    except BrokenPipeError:
        _end(sys.stdout)
        return _PIPE_CLOSED
    except OSError as error:
        if error.filename == STANDARD_OUTPUT:
            _end(sys.stdout)
        named = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return _refused(f"{named}{error.strerror or error}")
    except KeyboardInterrupt:
        _say("gdfast: interrupted")
        return _INTERRUPTED
    finally:
        try:
            sys.stderr.flush()
        except OSError:
            _end(sys.stderr)


def _run(arguments: argparse.Namespace) -> None:
    # A command is imported when it is run: the report needs no scikit-learn, and comes where that is broken.
    match arguments.command:
        case "train":
            from gdfast._cli import train

            train.run(arguments)
        case "predict":
            from gdfast._cli import predict

            predict.run(arguments)
        case "info":
            from gdfast._cli import info

            info.run(arguments.model)
        case "bench":
            from gdfast._cli import bench

            bench.run(arguments.rows)
        case _:
            from gdfast._cli import report

            report.run()


def _end(stream: IO[str]) -> None:
    # Python flushes once more at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _refused(message: str) -> int:
    _say(f"gdfast: error: {message}")
    return 2


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the status says it as well
        print(line, file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """argparse drops errors of printing."""

    def print_help(self, file: Any = None) -> None:
        with naming(STANDARD_OUTPUT):
            print(self.format_help(), end="", file=file)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gdfast",
        description="Neural networks for tables, from a file to a model and to predictions. "
        "Without a command: the information for a bug report.",
    )
    parser.add_argument("--version", action="version", version=f"gdfast {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")

    def command(name: str, what: str, more: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=what, description=f"{what.capitalize()}. {more}")

    _add_train(
        command(
            "train",
            "train on a table, and save the model",
            "The score of rows that are held out is printed. The model is a file that predict, info and "
            "gdfast.load read.",
        )
    )
    _add_predict(
        command(
            "predict",
            "predict the rows of a table by a saved model",
            "The result is CSV with the column prediction and, with --proba, a column for each class.",
        )
    )
    info = command(
        "info",
        "say what a model file holds",
        "The kind of model, its columns, classes, networks and arguments are printed; no code is run.",
    )
    info.add_argument("model", type=_path, help="model file")
    bench = command(
        "bench",
        "measure this machine: its peak, and seconds of six networks",
        "The peak is of fused multiply-adds; the seconds are those of an epoch on random rows.",
    )
    bench.add_argument(
        "--rows", type=_count, metavar="N", default=10_000, help="rows to train on (default: %(default)s)"
    )
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data", type=_path, help="CSV (UTF-8, names in the first line; , ; | or tabs) or Parquet file")
    add("--target", required=True, metavar="COLUMN", help="what is to be predicted")
    add("--out", required=True, type=_path, metavar="FILE", help="model file to write, .safetensors")
    add(
        "--task",
        choices=("classification", "regression"),
        help="default: classification of texts and of few whole numbers, else regression",
    )
    add(
        "--preset",
        choices=("fast", "balanced", "best"),
        default="balanced",
        help="2, 4 or 8 networks, of more epochs each (default: %(default)s)",
    )
    add("--time", type=_positive, metavar="SECONDS", help="end training after this time")
    add("--max-iter", type=_count, metavar="EPOCHS", help="epochs of each network (default: by the preset)")
    add(
        "--test-size",
        type=_share,
        default=0.2,
        metavar="SHARE",
        help="share of the rows that are held out for the score; 0 for none (default: %(default)s)",
    )
    add(
        "--seed", type=_seed, metavar="N", default=0, help="seed of all random choices (default: %(default)s)"
    )
    add("--drop", action="append", default=[], metavar="COLUMN", help="leave a column out; may be repeated")
    add(
        "--categorical",
        action="append",
        default=[],
        metavar="COLUMN",
        help="take a column of numbers as categories; may be repeated",
    )
    add("--weight", metavar="COLUMN", help="weights of the rows")
    _add_decimal(parser)
    add("--plot", type=_path, metavar="FILE", help="draw the losses by epoch (.png, .pdf or .svg)")


def _add_predict(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", type=_path, help="model file")
    add("data", type=_path, help="CSV or Parquet file with the columns that the model was trained on")
    _add_decimal(parser)
    add("--out", type=_path, metavar="FILE", help="CSV file to write (default: standard output)")
    add("--proba", action="store_true", help="the probability of each class as well")


def _add_decimal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decimal",
        choices=(".", ","),
        default=".",
        help="decimal mark of numbers in CSV (default: %(default)s)",
    )


def _path(text: str) -> Path:
    if not text:  # it would be the working directory
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"must be in [0, 2**32), got {text}")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be positive, got {text}")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1), got {text}")
    return number


# argparse names them in its own errors.
_count.__name__, _seed.__name__, _positive.__name__, _share.__name__ = (
    "integer",
    "integer",
    "number",
    "number",
)
