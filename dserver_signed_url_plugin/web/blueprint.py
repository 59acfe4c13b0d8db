"""The kind of blueprint that the routes are registered on, with what all of them have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from flask_smorest import Blueprint
from marshmallow import Schema

from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.web import audit_hooks, body_parser, openapi, rendering
from dserver_signed_url_plugin.web.schemas.common import RefusalSchema

View = TypeVar("View", bound=Callable[..., object])


class SignedURLBlueprint(Blueprint):  # type: ignore[misc]  # untyped in flask-smorest
    """flask-smorest's blueprint, with limits for bodies and stores, and with an audit."""

    ARGUMENTS_PARSER = body_parser.BodyParser()

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Register a view, whose name is the operation's ID in the OpenAPI document."""
        register = super().route(rule, **options)

        def decorate(view: View) -> View:
            operation_id = openapi.operation_id(view.__name__)
            registered: View = register(self.doc(operationId=operation_id)(view))
            return registered

        return decorate

    def register_views_in_doc(self, api: Any, app: Any, spec: Any, **options: Any) -> None:
        """Add the routes to dserver's OpenAPI document, and correct that."""
        spec.components.security_scheme(openapi.UPLOAD_TOKEN, openapi.UPLOAD_TOKEN_SCHEME)
        super().register_views_in_doc(api, app, spec, **options)
        openapi.correct(spec.to_dict(), f"{self.url_prefix}/")

    def response(self, status: int, schema: type[Schema], **options: Any) -> Callable[[View], View]:
        """Note the extent of a view's result, then dump it, or stream it."""
        dump = super().response(status, schema, **options)
        return lambda view: dump(rendering.rendered(schema, audit_hooks.audited(limited(view))))

    def refuses(
        self, more: Mapping[int, str], common: Mapping[int, str] = openapi.REFUSALS
    ) -> Callable[[View], View]:
        """Document the refusals of a route, by status, beside those of every route of its kind."""

        def decorate(view: View) -> View:
            for status, description in sorted({**common, **more}.items(), reverse=True):
                documented = self.alt_response(
                    status, schema=RefusalSchema, description=description
                )
                view = documented(view)
            return view

        return decorate


def limited(view: Callable[..., Any]) -> Callable[..., Any]:
    """Limit how long a view may wait for its store."""

    @wraps(view)
    def within_limit(*args: Any, **kwargs: Any) -> Any:
        with services().storages.call():
            return view(*args, **kwargs)

    return within_limit
