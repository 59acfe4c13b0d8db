"""The demo's front page: what this is, what can be done with it, and a share that works.

Also serves the files of the page with the API documentation, which come from a package here and not
from another host.
"""

from __future__ import annotations

import secrets
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from flask import (
    Blueprint,
    Response,
    current_app,
    make_response,
    request,
    send_from_directory,
)
from flask.typing import ResponseReturnValue
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from dserver_signed_url_plugin.demo.sample_share import SampleShare
from dserver_signed_url_plugin.shares.service import link
from dserver_signed_url_plugin.web.link_requests import base_url

BASE_URI_SETTING, SAMPLE_SETTING = "DEMO_BASE_URI", "DEMO_SAMPLE_FILE"
SWAGGER_UI = "/doc/swagger-ui/"
# dservercore's page with the API documentation has an inline script, and nothing of a user's.
_DOCUMENTATION_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

blueprint = Blueprint("demo", __name__)
# With the frame and the style of the page behind a link.
_templates = Environment(
    loader=ChoiceLoader(
        [
            PackageLoader("dserver_signed_url_plugin.demo"),
            PackageLoader("dserver_signed_url_plugin.web"),
        ]
    ),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
)


@blueprint.get("/")
def front_page() -> Response:
    """Return the page; what it links to is looked up at this moment."""
    config = current_app.config
    sample = SampleShare(Path(config[SAMPLE_SETTING]))
    address = base_url()
    token, uri, nonce = sample.token(), sample.uri, secrets.token_urlsafe(16)
    page = _templates.get_template("front_page.html").render(
        address=address,
        base_uri=config[BASE_URI_SETTING],
        link=token and link(address, token),
        uri=uri,
        encoded_uri=quote(uri or "", safe=""),
        nonce=nonce,
    )
    response = make_response(page)
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get(f"{SWAGGER_UI}<path:name>")
def swagger_ui(name: str) -> ResponseReturnValue:
    """Return a file of Swagger UI, out of the package flask-swagger-ui."""
    package = find_spec("flask_swagger_ui")
    if package is None or package.origin is None:
        return "", 404
    return send_from_directory(Path(package.origin).with_name("dist"), name)


@blueprint.after_app_request
def _nothing_from_elsewhere(response: Response) -> Response:
    """Let the API documentation load nothing from other hosts."""
    if request.path == "/doc/swagger":
        response.headers.setdefault("Content-Security-Policy", _DOCUMENTATION_POLICY)
    return response
