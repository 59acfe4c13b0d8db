"""The class Client: which dserver, base URI or dataset is meant."""

from __future__ import annotations

import json

import pytest
from dserver_client import Client
from dserver_client.errors import NotLoggedIn, Refused, UsageError
from dserver_client.settings import Settings
from dserver_client.token_store import TokenStore

from tests.support.answering_server import Answer, Answering

JSON = {"Content-Type": "application/json"}
UUID = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"


def found(*base_uris):
    entry = {"uuid": UUID, "name": "mine", "creator_username": "alice"}
    entries = [{**entry, "base_uri": base, "uri": f"{base}/{UUID}"} for base in base_uris]
    return Answer(content=json.dumps(entries).encode(), headers=JSON)


@pytest.fixture
def client():
    """A client of a dserver that is not asked anything."""
    with Client("https://lab.org/lookup", "token") as client:
        yield client


def test_there_must_be_a_dserver():
    with Client() as client, pytest.raises(UsageError, match="DSERVER_URL"):
        list(client.datasets())


def test_the_last_login_is_enough():
    TokenStore().put("https://lab.org", "token")
    with Client() as client:
        assert client.server.url == "https://lab.org"


@pytest.mark.parametrize(
    "text",
    ["dserver://lab.org/lookup/s3/bucket", "s3://bucket", "https://lab.org/lookup/s3/bucket"],
)
def test_a_base_uri_may_be_given_in_several_forms(client, text):
    if text.startswith("https"):
        with pytest.raises(UsageError):
            client.base_uri(text)
    else:
        assert client.base_uri(text) == "s3://bucket"


def test_the_default_base_uri_is_that_of_the_settings():
    settings = Settings(default_base_uris={"DSERVER_DEFAULT_BASE_URI": "s3://lab"})
    with Client("https://lab.org", settings=settings) as client:
        assert client.base_uri("dserver://lab.org") == "s3://lab"


@pytest.mark.parametrize(
    "text", [f"s3://bucket/{UUID}", "dserver://lab.org/lookup", "dserver://other.org/s3/bucket"]
)
def test_what_is_no_base_uri_here_is_refused(client, text):
    with pytest.raises(UsageError):
        client.base_uri(text)


@pytest.mark.parametrize("text", ["s3://bucket", f"dserver://other.org/s3/bucket/{UUID}"])
def test_what_is_no_dataset_here_is_refused(client, text):
    with pytest.raises(UsageError):
        client.dataset_uri(text)


def test_a_uri_in_the_store_is_at_the_dserver_of_the_client():
    settings = Settings(url="https://other.org")
    with Client("https://lab.org", settings=settings) as client:
        assert client.dataset_uri(f"s3://bucket/{UUID}") == f"s3://bucket/{UUID}"


@pytest.fixture
def looked_up():
    """Look a UUID up at a dserver that has it at these base URIs."""

    def look_up(*base_uris, default=None):
        defaults = {} if default is None else {"DSERVER_DEFAULT_BASE_URI": default}
        settings = Settings(token="token", default_base_uris=defaults)
        with (
            Answering([found(*base_uris)]) as server,
            Client(server.endpoint, settings=settings) as client,
        ):
            return client.dataset_uri(UUID)

    return look_up


def test_a_uuid_is_looked_up(looked_up):
    assert looked_up("s3://bucket") == f"s3://bucket/{UUID}"


def test_of_several_copies_the_one_at_the_default_base_uri_is_meant(looked_up):
    assert looked_up("s3://a", "s3://b", default="s3://b/") == f"s3://b/{UUID}"
    with pytest.raises(UsageError, match=f"s3://a/{UUID}, s3://b/{UUID}"):
        looked_up("s3://a", "s3://b")


def test_a_uuid_that_is_unknown_is_not_found(looked_up):
    with pytest.raises(Refused) as raised:
        looked_up()
    assert (raised.value.status, raised.value.exit_code) == (404, 5)


def test_a_search_without_a_result_is_empty(lab, dserver_url):
    with Client(dserver_url, lab.tokens["alice"]) as client:
        assert list(client.datasets(base_uri=lab.base_uri)) == []
        assert list(client.datasets("nothing")) == []


def test_more_datasets_than_a_page_holds_are_all_listed():
    pages = [found(*(f"s3://{page}-{number}" for number in range(100))) for page in "ab"]
    answers = [*pages, found("s3://last")]
    with Answering(answers) as server, Client(server.endpoint, "token") as client:
        listed = [entry.base_uri for entry in client.datasets()]
    assert (len(listed), listed[0], listed[-1]) == (201, "s3://a-0", "s3://last")
    assert [each.target for each in server.requests] == [
        f"/uris?page={page}&page_size=100&sort=-frozen_at,uri" for page in (1, 2, 3)
    ]


def test_a_full_last_page_and_a_search_without_pages_end():
    page = found(*(f"s3://{number}" for number in range(100)))
    for last in (page, Answer(404, b"{}", headers=JSON)):
        with Answering([page, last]) as server, Client(server.endpoint, "token") as client:
            assert len(list(client.datasets())) == 100


def test_without_a_token_nothing_is_asked(dserver_url):
    with Client(dserver_url) as client, pytest.raises(NotLoggedIn, match="dserver login"):
        list(client.datasets())
