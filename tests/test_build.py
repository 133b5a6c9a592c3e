"""What CMake says where gdfast cannot be built, or only in part: what is missing, and what to install."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1]
CMAKE = shutil.which("cmake", path=str(Path(sys.executable).parent)) or shutil.which("cmake")

pytestmark = [
    pytest.mark.skipif(CMAKE is None, reason="CMake is not installed"),
    pytest.mark.skipif(not (SOURCE / "CMakeLists.txt").exists(), reason="these are tests of the source tree"),
]


def cmake(*arguments: str, **environment: str) -> tuple[int, str]:
    """The exit status, and all that CMake prints with white space as single blanks."""
    assert CMAKE is not None
    done = subprocess.run(
        [CMAKE, *arguments],
        env={"PATH": f"{Path(CMAKE).parent}:{Path(sys.executable).parent}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def judged(compiler: str, version: str) -> tuple[int, str]:
    return cmake(
        f"-DCMAKE_CXX_COMPILER_ID={compiler}",
        f"-DCMAKE_CXX_COMPILER_VERSION={version}",
        f"-DCMAKE_CXX_COMPILER=/opt/{compiler}",
        "-P",
        str(SOURCE / "cmake" / "compiler.cmake"),
    )


@pytest.mark.parametrize(
    ("compiler", "version", "oldest"),
    [("GNU", "8.5.0", "9"), ("Clang", "13.0.1", "14"), ("AppleClang", "13.1.6", "14")],
)
def test_an_old_compiler_is_named_with_the_version_that_it_takes(
    compiler: str, version: str, oldest: str
) -> None:
    status, said = judged(compiler, version)
    assert status != 0
    assert f"gdfast needs {compiler} {oldest} or newer" in said
    assert f"/opt/{compiler} is version {version}" in said
    assert "Install a newer one" in said


@pytest.mark.parametrize(
    ("compiler", "version"),
    [("GNU", "9.1.0"), ("GNU", "16.1.0"), ("Clang", "14.0.0"), ("AppleClang", "14.0.0"), ("Intel", "1.0")],
)
def test_others_are_taken(compiler: str, version: str) -> None:
    assert judged(compiler, version) == (0, "")


def test_for_microsofts_compiler_it_names_clang_cl() -> None:
    status, said = judged("MSVC", "19.40")
    assert status != 0
    assert "-T ClangCL" in said
    assert "-DCMAKE_CXX_COMPILER=clang-cl" in said


def test_a_missing_compiler(tmp_path: Path) -> None:
    status, said = cmake("-S", str(SOURCE), "-B", str(tmp_path), CXX=str(tmp_path / "no-compiler"))
    assert status != 0
    assert "no C++ compiler was found. Install one (g++ on Debian" in said


@pytest.mark.skipif(importlib.util.find_spec("pybind11") is None, reason="pybind11 is not installed")
@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
class TestWithACompiler:
    def configure(self, folder: Path, *options: str) -> tuple[int, str]:
        python = f"-DPython_EXECUTABLE={sys.executable}"
        return cmake("-S", str(SOURCE), "-B", str(folder), python, *options)

    def test_a_missing_openmp_is_a_warning(self, tmp_path: Path) -> None:
        status, said = self.configure(tmp_path, "-DCMAKE_DISABLE_FIND_PACKAGE_OpenMP=ON")
        assert status == 0, said
        assert "This compiler has no OpenMP: gdfast will use one thread only." in said
        assert "libomp-dev" in said
        assert "brew install libomp" in said

    @pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="AVX-512 is x86's")
    def test_missing_headers_of_simde(self, tmp_path: Path) -> None:
        status, said = self.configure(tmp_path, "-DGDFAST_EMULATE_AVX512=ON", "-DSIMDE_INCLUDE_DIR=OFF")
        assert status != 0
        assert "GDFAST_EMULATE_AVX512 needs the headers of SIMDe" in said
        assert "libsimde-dev" in said
