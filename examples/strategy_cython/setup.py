"""python setup.py build_ext --inplace       with fixwire, Cython and a C compiler installed"""
from Cython.Build import cythonize
from setuptools import Extension, setup

setup(name="follower", ext_modules=cythonize([Extension("follower", ["follower.pyx"])], language_level=3))
