"""What a call from compiled code costs: functions of gdfast.h on one number, or one row of a 1-1 network.

    python benchmarks/compiled.py

Compiles compiled.c with the compiler of CC, or cc, and prints nanoseconds to a call: the least of many
rounds.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from ctypes import c_char_p, c_double, c_int, c_void_p, py_object
from pathlib import Path

import gdfast
from gdfast import _core

RULES = [
    "SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "NAdam", "Adamax", "Lion", "Rprop",
]  # fmt: skip


def main() -> None:
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = c_void_p, [py_object, c_char_p]
    api = get_pointer(_core._C_API, b"gdfast._core._C_API")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "compiled.so")
        source = Path(__file__).with_name("compiled.c")
        command = [os.environ.get("CC", "cc"), "-std=gnu99", "-O2", "-shared", "-fPIC"]
        subprocess.run([*command, f"-I{gdfast.get_include()}", str(source), "-o", str(library)], check=True)
        functions = ctypes.CDLL(str(library))
    rounds, calls = 200, 2000

    def report(name: str, function: str, *arguments: int) -> None:
        call = functions[function]
        call.restype, call.argtypes = c_double, [c_void_p, *[c_int] * (len(arguments) + 2)]
        print(f"{name:24} {call(api, *arguments, rounds, calls):6.0f} ns")

    report("forward, 1-1, one row", "forward")
    report("loss and gradient", "loss_and_grad")
    report("step, SGD", "step")
    for kind, name in enumerate(RULES):
        report(f"{name}, one number", "rule_update", kind)


if __name__ == "__main__":
    main()
