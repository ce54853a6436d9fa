"""The compiled cffi module; its shape is media.h."""

from typing import Any

ffi: Any
lib: Any
