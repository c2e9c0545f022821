"""Describes the answers: handlers encode them straight with msgspec, which FastAPI cannot see."""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI, Response

from functions.problems import MEDIA_TYPE, Problem

REFERENCE = "#/components/schemas/{name}"
PROBLEMS = {
    400: "The body is no usable JSON.",
    401: "The token is missing or wrong.",
    404: "No such thing for this owner.",
    409: "It was accepted before.",
    413: "The body is too large.",
    422: "A value cannot be used; ``field`` or ``detail`` says which.",
    501: "Not on this platform; ``fix`` says what to do instead.",
    502: "A provider failed.",
    503: "The database or a setting is missing; try later or see ``fix``.",
}

Responses = dict[int | str, dict[str, Any]]


def json_answer(body: msgspec.Struct, status: int = 200, **headers: str) -> Response:
    """An answer encoded without a detour."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def answers(
    model: type[msgspec.Struct] | None,
    *,
    description: str,
    example: object = None,
    statuses: Sequence[int] = (200,),
    problems: Sequence[int] = (401, 404, 422, 503),
) -> Responses:
    """The ``responses`` of an operation: its good answer and its problems."""
    good: dict[str, Any] = {"description": description}
    if model is not None:
        schema = {"$ref": REFERENCE.format(name=model.__name__)}
        content = {"schema": schema, "example": msgspec.to_builtins(example)}
        good["content"] = {"application/json": content}
    bad = {"schema": {"$ref": REFERENCE.format(name=Problem.__name__)}}
    return {
        **dict.fromkeys(statuses, good),
        **{
            status: {"description": PROBLEMS[status], "content": {MEDIA_TYPE: bad}}
            for status in problems
        },
    }


def describe(app: FastAPI, models: Sequence[type[msgspec.Struct]]) -> None:
    """Add the schemas of the answers to the application's OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            _, components = msgspec.json.schema_components(
                [Problem, *models], ref_template=REFERENCE
            )
            document.setdefault("components", {}).setdefault("schemas", {}).update(components)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
