"""python setup.py build_ext --inplace"""

import gdfast
from pybind11.setup_helpers import Pybind11Extension, build_ext
from setuptools import setup

extension = Pybind11Extension(
    "random_walk", ["module.cpp", "walk.cpp"], include_dirs=[gdfast.get_include()], cxx_std=17
)
setup(name="random_walk", ext_modules=[extension], cmdclass={"build_ext": build_ext})
