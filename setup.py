"""Adds the cffi media plane to wheels; everything else is in pyproject.toml.

Other commands, an editable install among them, do without: there `make` compiles the media plane
in place, and only when a source changed.
"""

import sys

from setuptools import setup

compiled = {"bdist_wheel", "build_ext"} & set(sys.argv)
setup(cffi_modules=["gateway/media/native/build.py:ffibuilder"] if compiled else [])
