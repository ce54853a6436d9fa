"""Configuration files: validation errors have a place and a remedy; the shipped files are good."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gateway.app.files import read_files
from gateway.config.document import ConfigError, parse_document
from gateway.config.loader import config_from, load_config, read_document
from gateway.config.model import NodeConfig, RecordingsConfig
from gateway.dialplan import DialOut, DialTrunk, DialUser, NoRoute, Request, Route, RunProgram
from gateway.terms import Codec, RecordingFormat

ROOT = Path(__file__).parents[2]


def config(text: str, **environment: str) -> NodeConfig:
    return config_from(parse_document(textwrap.dedent(text), "g.yaml"), environment)


def problems(text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        config(text, **environment)
    return [str(problem) for problem in refused.value.problems]


# ---- values ---------------------------------------------------------------------------------


def test_text_becomes_what_the_model_wants() -> None:
    found = config("""
        dialplan: d.yaml
        demo: yes
        http: {port: 0}
        media: {rtp_timeout: 12.5, threads: 2, bridge_rate: 8000}
        sip:
          trunks:
            - name: t
              host: h
              username: 0123
              caller: +14155550100
              codecs: [g722, pcmu]
              allow: [192.0.2.0/24, "2001:db8::/32"]
        """)
    assert found.demo is True
    assert found.http.port == 0
    assert found.media.rtp_timeout == 12.5
    assert found.media.rate == 8000
    (trunk,) = found.sip.trunks
    assert (trunk.username, trunk.caller) == ("0123", "+14155550100")
    assert trunk.codecs == [Codec.G722, Codec.PCMU]
    assert [str(network) for network in trunk.allow] == ["192.0.2.0/24", "2001:db8::/32"]


def test_nothing_is_recorded_unless_the_configuration_says_where() -> None:
    assert config("dialplan: d").recordings is None
    found = config("dialplan: d\nrecordings: {folder: calls, format: ogg, max_length: 60}")
    assert found.recordings == RecordingsConfig(
        folder="calls", format=RecordingFormat.OGG, max_length=60
    )
    (told,) = problems("dialplan: d\nrecordings: {format: wav}")
    assert "folder" in told
    (told,) = problems("dialplan: d\nrecordings: {folder: calls, format: aiff}")
    assert "'wav', 'ogg', 'mp3' or 'flac'" in told


def test_an_empty_key_means_its_default() -> None:
    found = config("dialplan: d\nhttp:\nsip:\n  trunks:\n")
    assert found.http.port == 8080
    assert found.sip.trunks == []


# ---- problems -------------------------------------------------------------------------------


def test_every_problem_is_told_in_order_with_its_place_and_remedy() -> None:
    found = problems("""\
        dialplan: x
        http:
          prt: 80
          port: 99999
        media: fast
        sip:
          trunks:
            - name: a b
              host: h
              allow: [127.0.0.1/3x]
              codecs: [pcmu, opsu]
            - host: h
        max_calls: many
        """)
    assert [line.split(": ")[0] for line in found] == [
        "g.yaml:3:3",
        "g.yaml:4:9",
        "g.yaml:5:8",
        "g.yaml:8:13",
        "g.yaml:10:15",
        "g.yaml:11:22",
        "g.yaml:12:7",
        "g.yaml:13:12",
    ]
    assert found[0].endswith("unknown key 'prt' (did you mean 'port'?)")
    assert "'opus', 'pcmu'" in found[5]
    assert "'name' is missing (add it)" in found[6]
    assert "write a whole number" in found[7]


def test_an_unknown_key_far_from_any_is_to_be_removed() -> None:
    assert problems("dialplan: x\nwombat: 1\n") == ["g.yaml:2:1: unknown key 'wombat' (remove it)"]


def test_our_own_rules_have_remedies_too() -> None:
    (found,) = problems("dialplan: x\ndemo: true\nhttp: {address: 0.0.0.0}\n")
    assert "demo mode binds to loopback only" in found
    assert "use 127.0.0.1 or set demo: false" in found
    (found,) = problems(
        "dialplan: x\nsip:\n  trunks:\n    - {name: a, host: h}\n    - {name: a, host: h}\n"
    )
    assert found == "g.yaml:2:1: two trunks are called 'a' (rename one)"


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "soon", "1e9"])
def test_times_that_are_none(value: str) -> None:
    (found,) = problems(f"dialplan: x\nwebrtc: {{setup_timeout: {value}}}\n")
    assert found.startswith("g.yaml:2:25: setup_timeout: ")


def test_a_wrong_secret_is_not_quoted() -> None:
    found = problems("dialplan: x\nsip: {trunks: [{name: a, host: h, password: [s3cret]}]}\n")
    assert "s3cret" not in "".join(found)


# ---- files and environment ------------------------------------------------------------------


def test_secrets_come_from_the_environment() -> None:
    found = config(
        "dialplan: x\nsip: {trunks: [{name: a, host: h, password: '${ENV:PW}'}]}\n", PW="s3cret"
    )
    (trunk,) = found.sip.trunks
    assert trunk.password is not None
    assert trunk.password.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(found)


def test_the_secret_of_webhooks_is_one_and_is_not_quoted() -> None:
    good = "whsec_" + "A" * 32
    found = config("dialplan: x\nweb: {secret: '${ENV:HOOKS}'}\n", HOOKS=good)
    assert found.web.secret is not None
    assert found.web.secret.get_secret_value() == good
    assert good not in repr(found)
    for bad in ("sentinel", "whsec_" + "A" * 20, "whsec_" + "A" * 100, "whsec_ü" * 9):
        (told,) = problems("dialplan: x\nweb: {secret: '${ENV:HOOKS}'}\n", HOOKS=bad)
        assert told.startswith("g.yaml:2:")
        assert "openssl rand -base64 32" in told
        assert bad not in told


def test_speech_and_web_are_checked() -> None:
    found = config(
        "dialplan: x\nspeech: {engine: 'a.b:C', language: fr-CA, speed: 200}\n"
        "web: {allow_private: [10.0.0.0/8, 'fd00::/8'], attempts: 1}\n"
    )
    assert (found.speech.engine, found.speech.language, found.speech.speed) == (
        "a.b:C",
        "fr-CA",
        200,
    )
    assert [str(network) for network in found.web.allow_private] == ["10.0.0.0/8", "fd00::/8"]
    for section in (
        "speech: {engine: festival}",
        "speech: {language: '-w'}",
        "speech: {voice: ../../x}",
        "speech: {speed: 1000}",
        "web: {allow_private: [10.0.0.1/8]}",
        "web: {allow_private: [internal]}",
        "web: {timeout: 0}",
        "web: {attempts: 0}",
    ):
        assert len(problems(f"dialplan: x\n{section}\n")) == 1


def test_a_variable_that_is_not_set_is_located() -> None:
    text = "dialplan: x\nsip: {trunks: [{name: a, host: h, password: '${ENV:PW}'}]}\n"
    assert problems(text) == [
        "g.yaml:2:45: the environment variable PW is not set (set PW)",
    ]


@pytest.mark.parametrize("value", ["${ENV:PW}x", "${ENV:}", "${ENV:P W}"])
def test_half_a_variable_is_refused(value: str) -> None:
    text = f"dialplan: x\nsip: {{trunks: [{{name: a, host: h, password: '{value}'}}]}}\n"
    (found,) = problems(text, PW="s3cret")
    assert "whole value" in found
    assert "s3cret" not in found


def test_the_environment_reaches_nothing_but_secrets() -> None:
    (found,) = problems("dialplan: '${ENV:HOME}'\n", HOME="/root")
    assert "not replaced" in found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no such file"),
        (b"a: \xff\xfe\n", ":1:1: not UTF-8"),
        (b"x: 1\na: \xff\n", ":2:1: not UTF-8"),
        (b"a" * (1024 * 1024 + 1), "larger than"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None, expected: str) -> None:
    file = tmp_path / "g.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=expected):
        read_document(file)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        read_document(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_bytes(b"\xef\xbb\xbfdialplan: x\r\nmax_calls: 3\r\n")
    assert load_config(file).max_calls == 3


def problems_of(file: Path) -> list[str]:
    """What `gateway check FILE` says."""
    try:
        read_files(file)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


# ---- a node ---------------------------------------------------------------------------------


def test_a_node_needs_both_files_to_fit(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("dialplan: plans/d.yaml\n")
    assert "d.yaml: no such file" in problems_of(tmp_path / "g.yaml")[0]
    (tmp_path / "plans").mkdir()
    plan_file = tmp_path / "plans" / "d.yaml"
    plan_file.write_text("contexts: {browser: [{match: a, dial: {trunk: t, number: a}}]}\n")
    (found,) = problems_of(tmp_path / "g.yaml")
    assert found.startswith(f"{plan_file}:1:47: no trunk 't'")
    (tmp_path / "g.yaml").write_text(
        "dialplan: plans/d.yaml\nsip: {trunks: [{name: t, host: h}]}\n"
    )
    assert problems_of(tmp_path / "g.yaml") == []


# ---- what ships -----------------------------------------------------------------------------


def test_the_demo_is_good_and_stays_at_home() -> None:
    node = read_files(ROOT / "config" / "demo.yaml")
    assert node.config.demo
    assert (str(node.config.http.address), node.config.http.port) == ("127.0.0.1", 8080)
    assert {str(listen.transport) for listen in node.config.sip.listen} == {"udp", "tcp"}
    (trunk,) = node.config.sip.trunks
    assert (trunk.name, trunk.host, trunk.port) == ("loop", "127.0.0.1", 5060)
    assert [str(network) for network in trunk.allow] == ["127.0.0.1/32"]


@pytest.mark.parametrize(
    ("context", "dialled", "action"),
    [
        ("browser", "echo", DialTrunk("loop", "echo", "")),
        ("browser", "ivr", DialTrunk("loop", "ivr", "")),
        ("browser", "234", DialTrunk("loop", "234", "", 30)),
        ("browser", "alice", DialUser("alice", "", 30)),
        ("browser", "bob", DialUser("bob", "", 30)),
        ("loop", "echo", RunProgram("echo")),
        ("loop", "ivr", RunProgram("ivr")),
        ("loop", "234", RunProgram("echo")),
        ("loop", "345", RunProgram("ivr")),
        ("loop", "alice", DialUser("alice", "", 30)),
    ],
)
def test_the_demo_routes(
    context: str, dialled: str, action: RunProgram | DialTrunk | DialUser
) -> None:
    plan = read_files(ROOT / "config" / "demo.yaml").plan
    found = plan.route(Request(context, "", dialled))
    assert isinstance(found, Route)
    expected = action if isinstance(action, RunProgram) else DialOut((action,))
    assert found.action == expected


def test_the_demo_has_no_way_to_the_world() -> None:
    plan = read_files(ROOT / "config" / "demo.yaml").plan
    for dialled in ("+14155550100", "911", "0", "carol"):
        found = plan.route(Request("browser", "", dialled))
        assert isinstance(found, NoRoute) or found.action == DialOut(
            (DialTrunk("loop", dialled, "", 30),)
        )
    assert isinstance(plan.route(Request("loop", "", "911")), NoRoute)


def test_the_template_is_good_but_for_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    file = ROOT / "config" / "gateway.yaml"
    monkeypatch.delenv("PROVIDER_PASSWORD", raising=False)
    (found,) = problems_of(file)
    assert "PROVIDER_PASSWORD is not set" in found
    monkeypatch.setenv("PROVIDER_PASSWORD", "x")
    assert problems_of(file) == []


def test_the_template_shows_the_defaults() -> None:
    shown = load_config(ROOT / "config" / "gateway.yaml", {"PROVIDER_PASSWORD": "x"})
    defaults = NodeConfig(dialplan="x")
    for part in ("demo", "http", "media", "webrtc", "max_calls"):
        assert getattr(shown, part) == getattr(defaults, part), part
    for field in ("rtp_port_min", "rtp_port_max", "user_agent"):
        assert getattr(shown.sip, field) == getattr(defaults.sip, field), field
