"""Owns reading configuration files: the node's file, and any YAML document beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath

from gateway.config.document import (
    DEFAULT_CAPS,
    PLAN_CAPS,
    Caps,
    ConfigError,
    Document,
    Path,
    Problem,
    Value,
    parse_document,
)
from gateway.config.model import NodeConfig
from gateway.config.validation import validate, without_empty

SECRET_KEYS = frozenset({"password", "credential", "secret"})
_FROM_ENVIRONMENT = re.compile(r"\$\{ENV:([A-Za-z_][A-Za-z0-9_]*)\}")


def read_plan(path: FilePath) -> Document:
    """Reads and parses a dialplan, which may be larger than other files. Raises ConfigError."""
    return read_document(path, PLAN_CAPS)


def read_document(path: FilePath, caps: Caps = DEFAULT_CAPS) -> Document:
    """Reads and parses one strict YAML file (UTF-8). Raises ConfigError."""
    file = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(caps.bytes + 1)
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(Problem(file, 0, 0, "no such file", "check the path")) from None
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise ConfigError(
            Problem(file, 0, 0, reason, "name a file that this user may read")
        ) from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(Problem(file, line, 1, "not UTF-8 text", "save it as UTF-8")) from None
    return parse_document(text, file, caps)


def load_config(path: FilePath, environment: Mapping[str, str] = os.environ) -> NodeConfig:
    """The node's configuration. Raises ConfigError with every located problem.

    `${ENV:NAME}` as the whole of a `password`, `credential` or `secret` is replaced from
    `environment`.
    """
    return config_from(read_document(path), environment)


def config_from(document: Document, environment: Mapping[str, str]) -> NodeConfig:
    """The configuration in an already parsed document. Raises ConfigError."""
    problems: list[Problem] = []
    root = _fill_in(document, document.root, (), environment, problems)
    if problems:
        raise ConfigError(*problems)
    return validate(replace(document, root=without_empty(root)), NodeConfig)


def dialplan_path(config_file: FilePath, config: NodeConfig) -> FilePath:
    """Where the node's dialplan is: relative to the configuration file."""
    return config_file.parent / config.dialplan


def _fill_in(
    document: Document,
    value: Value,
    path: Path,
    environment: Mapping[str, str],
    problems: list[Problem],
) -> Value:
    if isinstance(value, dict):
        return {
            key: _fill_in(document, item, (*path, key), environment, problems)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _fill_in(document, item, (*path, index), environment, problems)
            for index, item in enumerate(value)
        ]
    if value is None or "${ENV:" not in value:
        return value
    wanted = _FROM_ENVIRONMENT.fullmatch(value)
    if wanted is None or path[-1] not in SECRET_KEYS:
        problems.append(
            document.problem(
                path,
                "${ENV:...} in a place where it is not replaced",
                "use it as the whole value of a password, credential or secret",
            )
        )
    elif wanted[1] not in environment:
        problems.append(
            document.problem(
                path, f"the environment variable {wanted[1]} is not set", f"set {wanted[1]}"
            )
        )
    else:
        return environment[wanted[1]]
    return value
