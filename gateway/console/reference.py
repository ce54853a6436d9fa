"""Owns `/docs`: the OpenAPI document as one page for people, without scripts. Pure but for its
route."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from aiohttp import web

from gateway.console import schemas
from gateway.console.markup import Piece, element, paragraphs, words, written
from gateway.console.pages import HEADERS, TYPES

PATH = "/docs"
DOCUMENT = "/v1/openapi.json"
Document = Mapping[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")
_PROBLEM = "Problem"


def reference(document: Callable[[], Document]) -> web.RouteDef:
    """The route. document: the OpenAPI document; asked for once, when the page is."""
    made: list[bytes] = []
    headers = {**HEADERS, "Content-Type": TYPES[".html"]}

    async def answer(_request: web.Request) -> web.Response:
        if not made:
            made.append(page(document()))
        return web.Response(body=made[0], headers=headers)

    return web.get(PATH, answer)


def page(document: Document) -> bytes:
    """The page, in HTML."""
    info, tags = document["info"], _by_tag(document)
    known: Mapping[str, Any] = document.get("components", {}).get("schemas", {})
    title = str(info["title"])
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        element("link", rel="stylesheet", href="/static/style.css"),
        element("link", rel="stylesheet", href="/static/docs.css"),
    )
    icon = element("img", src="/static/icon.svg", alt="", width="28", height="28")
    bar = element(
        "header",
        element("h1", icon, f" {title}"),
        element("p", f"version {info['version']}", class_="link-state"),
        class_="bar",
    )
    sections: list[Piece] = [_beginning(info)]
    for tag, operations in tags.items():
        sections.append(element("h2", tag, id=f"tag-{tag}"))
        sections += [_operation(each, known) for each in operations]
    sections.append(element("h2", "Schemas", id="schemas"))
    sections += [schemas.section(name, known[name]) for name in sorted(known)]
    body = element(
        "body", bar, element("div", _index(tags, known), element("main", sections), class_="docs")
    )
    return written(element("html", head, body, lang="en"))


def _by_tag(document: Document) -> dict[str, list[tuple[str, str, Document]]]:
    """The operations of each tag: method, path, and what the document says; in its order."""
    found: dict[str, list[tuple[str, str, Document]]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                [tag, *_] = item[method].get("tags") or ["other"]
                found.setdefault(tag, []).append((method.upper(), path, item[method]))
    return found


def _beginning(info: Document) -> Element:
    header = 'printf "Authorization: Bearer %s\\n" "$GATEWAY_KEY" > key.header'
    return element(
        "section",
        paragraphs(str(info.get("description", ""))),
        element(
            "p",
            "The same for programs: ", element("a", DOCUMENT, href=DOCUMENT),
            ". The examples want the gateway's address in ", element("code", "GATEWAY_URL"),
            " and a file with an API key: on the command line, every user of the machine could "
            "read it.",
        ),
        element("pre", element("code", f"umask 077\n{header}")),
        class_="card",
    )  # fmt: skip


def _index(tags: Mapping[str, Sequence[tuple[str, str, Document]]], known: Document) -> Element:
    inside: list[Piece] = []
    for tag, operations in tags.items():
        links = [
            element("li", element("a", str(told["summary"]), href=f"#{told['operationId']}"))
            for _, _, told in operations
        ]
        inside += [element("a", tag, href=f"#tag-{tag}", class_="tag"), element("ul", links)]
    names = [
        element("li", element("a", name, href=f"#{schemas.anchor(name)}")) for name in sorted(known)
    ]
    summary = element("summary", "Schemas")
    inside.append(element("details", summary, element("ul", names)))
    return element("nav", inside, class_="index")


def _operation(described: tuple[str, str, Document], known: Document) -> Element:
    method, path, told = described
    name = str(told["operationId"])
    inside: list[Piece] = [
        element("h3", element("a", str(told["summary"]), href=f"#{name}")),
        element(
            "p",
            element("b", method, class_=f"method {method.lower()}"), " ",
            element("code", path, class_="path"),
            class_="route",
        ),
        *paragraphs(str(told.get("description", ""))),
        element("p", _allowed(told), class_="quiet"),
    ]  # fmt: skip
    parameters = [
        (part["name"], part["schema"], bool(part.get("required")), _about(part))
        for part in told.get("parameters", ())
    ]
    if parameters:
        inside += [element("h4", "Parameters"), schemas.table(parameters, "name")]
    if "requestBody" in told:
        inside += [element("h4", "Body"), element("p", _content(told["requestBody"]))]
    inside += [element("h4", "Answers"), element("dl", list(_answers(told)), class_="answers")]
    inside += [element("h4", "Example"), element("pre", element("code", curl(described, known)))]
    return element("article", inside, id=name, class_="card")


def _about(part: Document) -> str:
    about, where = str(part.get("description", "")), part["in"]
    return about if where == "query" else f"In the {where}. {about}".strip()


def _allowed(told: Document) -> list[Piece]:
    scopes = [scope for one in told.get("security", ()) for of in one.values() for scope in of]
    if not scopes:
        return ["For everybody whom the gateway knows."]
    return ["Needs the scope ", *[element("code", scope) for scope in scopes], "."]


def _content(told: Document) -> list[Piece]:
    found: list[Piece] = []
    for media, content in told.get("content", {}).items():
        found.append(" or " if found else "")
        if "$ref" in content.get("schema", {}):
            found += [*schemas.value(content["schema"]), " as "]
        found.append(element("code", media))
    return found


def _answers(told: Document) -> Iterator[Element]:
    for status, response in told["responses"].items():
        if "$ref" in response:  # of every operation alike
            link = element("a", _PROBLEM, href=f"#{schemas.anchor(_PROBLEM)}")
            yield element("dt", "else")
            yield element("dd", link, ", with the status of what went wrong")
            continue
        content = _content(response)
        about = words(str(response.get("description", "")).removesuffix("."))
        yield element("dt", status)
        yield element("dd", about, [": ", *content] if content else [])


def curl(described: tuple[str, str, Document], known: Document) -> str:
    """The operation as a command."""
    method, path, told = described
    where = path.replace("{", "$").replace("}", "").replace("-", "_")
    query = "&".join(
        f"{part['name']}={schemas.example(part['schema'], known)}"
        for part in told.get("parameters", ())
        if part["in"] == "query" and part.get("required")
    )
    command = f'curl -sS -H @key.header "$GATEWAY_URL{where}{"?" + query if query else ""}"'
    if method not in ("GET", "POST"):
        command += f" -X {method}"
    content = told.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return command + (" -X POST" if method == "POST" else "")
    body = json.dumps(schemas.example(content["schema"], known)).replace("'", "'\\''")
    return f"{command} \\\n  --json '{body}'"
