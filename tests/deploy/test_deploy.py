"""The container image and the systemd unit: rules that keep them safe, small and in step.

Each rule is a function that returns the problems it finds. The project's files must have none, and
a file with that one fault must have one: so no rule can pass by never looking.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IGNORE = ROOT / "deploy" / "Dockerfile.dockerignore"
UNIT = ROOT / "deploy" / "gateway.service"
DEBIAN = "bookworm"
EXPOSURE_LIMIT = 2.0  # of 10, as systemd-analyze judges; "OK" ends at 4.0


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, continuation lines joined, comments removed."""

    name: str
    words: tuple[str, ...]
    stage: int

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def flags(self) -> dict[str, str]:
        """The `--name=value` words in front of the arguments."""
        pairs = (word[2:].partition("=") for word in self.words if word.startswith("--"))
        return {name: value for name, _, value in pairs}

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(word for word in self.words if not word.startswith("--"))


def parse(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile; `stage` counts the FROM lines from 0."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    instructions: list[Instruction] = []
    stage = -1
    for line in filter(str.strip, joined.splitlines()):
        name, *words = line.split()
        stage += name == "FROM"
        instructions.append(Instruction(name, tuple(words), stage))
    return instructions


Rule = Callable[[list[Instruction]], list[str]]


def base_is_pinned(file: list[Instruction]) -> list[str]:
    bases = [i.arguments[0] for i in file if i.name == "FROM"]
    names = {i.arguments[-1] for i in file if i.name == "FROM" and "AS" in i.words}
    return [
        f"{base} does not name the Debian release {DEBIAN}"
        for base in bases
        if base not in names and not base.partition(":")[2].startswith(DEBIAN)
    ] + ([] if bases else ["no FROM"])


def apt_is_tidy(file: list[Instruction]) -> list[str]:
    problems: list[str] = []
    layers = [i.text for i in file if i.name == "RUN" and "apt-get" in i.words]
    for layer in layers:
        steps = [step.strip() for step in layer.split("&&")]
        installs = [step for step in steps if step.startswith("apt-get install")]
        if "apt-get update" not in steps or not installs:
            problems.append("apt-get update and install are not in one layer")
        if any("--no-install-recommends" not in step for step in installs):
            problems.append("apt-get install without --no-install-recommends")
        if any("--yes" not in step for step in installs):
            problems.append("apt-get install asks questions")
        if "rm -rf /var/lib/apt/lists/*" not in steps:
            problems.append("the package lists stay in the layer")
    return problems if layers else ["no apt-get layer"]


def user_is_not_root(file: list[Instruction]) -> list[str]:
    last = file[-1].stage
    final = [i for i in file if i.stage == last]
    names = [i.name for i in final]
    if "ENTRYPOINT" not in names:
        return ["no ENTRYPOINT"]
    users = [i.arguments[0] for i in final[: names.index("ENTRYPOINT")] if i.name == "USER"]
    if not users or users[-1] in {"root", "0"}:
        return ["the entry point runs as root"]
    made = any("useradd" in i.words and users[-1] in i.words for i in final if i.name == "RUN")
    return [] if made else [f"nothing makes the user {users[-1]}"]


def nothing_is_added(file: list[Instruction]) -> list[str]:
    return [f"ADD {i.text}: use COPY" for i in file if i.name == "ADD"]


def workdir_is_absolute(file: list[Instruction]) -> list[str]:
    found = [i.arguments[0] for i in file if i.name == "WORKDIR"]
    relative = [f"WORKDIR {path} is relative" for path in found if not path.startswith("/")]
    return relative if found else ["no WORKDIR"]


def copies_come_from_somewhere(file: list[Instruction]) -> list[str]:
    problems: list[str] = []
    stages = {i.arguments[-1]: i.stage for i in file if i.name == "FROM" and "AS" in i.words}
    patterns = IGNORE.read_text(encoding="utf-8").splitlines()
    let_in = [line[1:] for line in patterns if line.startswith("!")]
    copies = [i for i in file if i.name == "COPY"]
    for copy in copies:
        source = copy.flags.get("from")
        if source is not None:
            if stages.get(source, copy.stage) >= copy.stage:
                problems.append(f"no earlier stage is called {source}")
            continue
        for path in copy.arguments[:-1]:
            if not (ROOT / path).exists():
                problems.append(f"{path} is not in the repository")
            if not any(fnmatch(path, name) or path.startswith(f"{name}/") for name in let_in):
                problems.append(f"{path} is shut out by {IGNORE.name}")
    return problems if copies else ["nothing is copied"]


def has_a_health_check(file: list[Instruction]) -> list[str]:
    checks = [i.text for i in file if i.name == "HEALTHCHECK" and i.stage == file[-1].stage]
    return [] if any("/healthz" in check for check in checks) else ["no HEALTHCHECK of /healthz"]


def shells_are_not_pid_one(file: list[Instruction]) -> list[str]:
    """The shell form hides SIGTERM from the gateway, which then cannot drain."""
    return [
        f"{i.name} is not in exec form"
        for i in file
        if i.name in {"ENTRYPOINT", "CMD"} and not i.text.startswith("[")
    ]


def makefile_packages(*variables: str) -> set[str]:
    show = f"show:;@echo {' '.join(f'$({name})' for name in variables)}"
    shown = subprocess.run(
        ["make", "--silent", "--eval", show, "show"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return set(shown.stdout.split())


def stage_packages(file: list[Instruction], stage: int) -> set[str]:
    layers = [i.text for i in file if i.name == "RUN" and i.stage == stage]
    installs = [s.split() for t in layers for s in t.split("&&") if "apt-get install" in s]
    return {word for words in installs for word in words[2:] if not word.startswith("-")}


def packages_are_the_makefiles(file: list[Instruction]) -> list[str]:
    # make wants its own tool from the image, and pip HTTPS certificates.
    wanted = {
        0: makefile_packages("BUILD_PACKAGES") | {"ca-certificates"},
        1: makefile_packages("RUN_PACKAGES") | {"python3"},
    }
    return [
        f"stage {stage} and the Makefile differ in {', '.join(sorted(difference))}"
        for stage, packages in wanted.items()
        if (difference := packages ^ stage_packages(file, stage))
    ]


# Each rule, with the edit that must make it speak.
RULES: dict[Rule, tuple[str, str]] = {
    base_is_pinned: (r"FROM debian:bookworm-slim\n", "FROM debian:latest\n"),
    apt_is_tidy: (r" --no-install-recommends", ""),
    user_is_not_root: (r"USER gateway", "USER root"),
    nothing_is_added: (r"COPY config", "ADD config"),
    workdir_is_absolute: (r"WORKDIR /src", "WORKDIR src"),
    copies_come_from_somewhere: (r"--from=build", "--from=builder"),
    has_a_health_check: (r"/healthz", "/"),
    shells_are_not_pid_one: (r"(?m)^CMD \[.*\]$", "CMD run"),
    packages_are_the_makefiles: (r" +swig \\\n", ""),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_dockerfile_keeps_the_rule(rule: Rule) -> None:
    assert rule(parse(DOCKERFILE.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_its_fault(rule: Rule) -> None:
    pattern, replacement = RULES[rule]
    broken, count = re.subn(pattern, replacement, DOCKERFILE.read_text(encoding="utf-8"))
    assert count > 0
    assert rule(parse(broken))


@pytest.mark.parametrize("path", ["gateway/none.py", "bench", "README"])
def test_a_copy_of_what_is_not_there_or_shut_out_is_found(path: str) -> None:
    broken = f"FROM debian:bookworm AS build\nCOPY {path} ./\n"
    assert copies_come_from_somewhere(parse(broken))


# ---- the unit ------------------------------------------------------------------------------------


def analyse(unit: str, directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze on a copy of the unit, whose program is one that every machine has."""
    copy = directory / "gateway.service"
    copy.write_text(unit.replace("/opt/gateway/bin/gateway", "/bin/true"), encoding="utf-8")
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is missing: make setup-dev installs it"
    return subprocess.run(
        [program, *command, str(copy)], check=False, capture_output=True, text=True
    )


def verified(unit: str, directory: Path) -> str:
    """Return what `systemd-analyze verify` has to say; the empty string is its praise."""
    done = analyse(unit, directory, "verify", "--man=no")
    return done.stderr + (f"exit status {done.returncode}" if done.returncode else "")


def exposure(unit: str, directory: Path) -> float:
    done = analyse(unit, directory, "security", "--offline=true", "--no-pager")
    found = re.search(r"exposure level for gateway\.service: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


def test_the_unit_is_valid(tmp_path: Path) -> None:
    assert verified(UNIT.read_text(encoding="utf-8"), tmp_path) == ""


@pytest.mark.parametrize(
    ("line", "fault"),
    [("NoNewPrivileges=yes", "NoNewPrivilege=yes"), ("RestartSec=2", "RestartSec=soon")],
)
def test_an_invalid_unit_is_found(line: str, fault: str, tmp_path: Path) -> None:
    unit = UNIT.read_text(encoding="utf-8")
    assert line in unit
    assert verified(unit.replace(line, fault), tmp_path) != ""


def test_the_unit_is_hardened(tmp_path: Path) -> None:
    unit = UNIT.read_text(encoding="utf-8")
    assert exposure(unit, tmp_path) <= EXPOSURE_LIMIT
    weak = re.sub(r"^(CapabilityBoundingSet|ProtectSystem|DynamicUser)=.*$", "", unit, flags=re.M)
    assert exposure(weak, tmp_path) > EXPOSURE_LIMIT


def settings(unit: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit.splitlines() if re.match(r"[A-Z]\w+=", line))


def test_the_unit_lets_the_gateway_work() -> None:
    """Four sockets for each of 1024 calls; netlink for ICE's interface list; room to drain."""
    unit = settings(UNIT.read_text(encoding="utf-8"))
    assert int(unit["LimitNOFILE"]) >= 4 * 1024 + 1024
    families = set(unit["RestrictAddressFamilies"].split())
    assert families == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}
    # pyOpenSSL's verify callback, which every DTLS handshake sets, cannot be made with it.
    assert "MemoryDenyWriteExecute" not in unit
    assert unit["KillSignal"] == "SIGTERM"


def test_container_and_unit_start_the_same_program() -> None:
    unit = settings(UNIT.read_text(encoding="utf-8"))
    file = {i.name: i.text for i in parse(DOCKERFILE.read_text(encoding="utf-8"))}
    command = re.findall(r'"([^"]+)"', file["ENTRYPOINT"] + file["CMD"])
    assert unit["ExecStart"].split() == command
