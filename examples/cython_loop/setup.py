"""python setup.py build_ext --inplace"""

import gdfast
from Cython.Build import cythonize
from setuptools import Extension, setup

include = gdfast.get_include()
extension = Extension("online", ["online.pyx"], include_dirs=[include])
setup(name="online", ext_modules=cythonize([extension], include_path=[include]))
