"""The error tree: a status, a slug and facts for each."""

import pytest

from dserver_signed_url_plugin import errors
from dserver_signed_url_plugin.errors import (
    InvalidField,
    SignedURLError,
    UploadBusy,
    UploadIncomplete,
)

STATUS = {
    "AlreadyRegistered": 409,
    "BodyTooLarge": 413,
    "ConfigurationError": 500,
    "DatabaseBusy": 503,
    "DatasetNotFound": 404,
    "DatasetsAtStake": 409,
    "DiscardUnsupported": 501,
    "InvalidField": 400,
    "ItemArchived": 409,
    "ItemNotFound": 404,
    "LengthRequired": 411,
    "LifecycleUnsettled": 409,
    "LifecycleUnsupported": 501,
    "LifetimeTooLong": 422,
    "NoPendingUpload": 400,
    "NotAuthenticated": 401,
    "DatasetExpiring": 410,
    "PermissionDenied": 403,
    "RegistrationFailed": 502,
    "SigningUnsupported": 501,
    "StillRegistered": 502,
    "StorageOccupied": 409,
    "StorageAway": 502,
    "StorageUnavailable": 502,
    "TooManyRequests": 429,
    "TooMuchPending": 409,
    "URLsStillValid": 409,
    "UnfitField": 422,
    "UnreadableBody": 400,
    "UploadBusy": 409,
    "UploadConflict": 409,
    "UploadActive": 409,
    "UploadFrozen": 409,
    "UploadIncomplete": 400,
    "UploadNotFound": 404,
}


def nouns():
    """Every error there is, with whatever is derived from it."""
    waiting = [SignedURLError]
    while waiting:
        subclasses = waiting.pop().__subclasses__()
        waiting += subclasses
        yield from (kind for kind in subclasses if kind.__module__ == errors.__name__)


def test_every_error_has_the_status_that_the_contract_gives_it():
    assert {kind.__name__: kind.status for kind in nouns()} == STATUS


def test_every_error_has_a_slug_of_its_own():
    # An unfit field of a body is an invalid field, with the status of a schema.
    slugs = [kind.slug for kind in nouns() if kind is not errors.UnfitField]
    assert sorted(slugs) == sorted(set(slugs))
    assert SignedURLError.slug not in slugs


def test_an_error_carries_its_sentence_and_a_copy_of_its_facts():
    facts = {"a": 1}
    error = errors.UploadConflict("Taken.", facts)
    facts["a"] = 2
    assert (str(error), error.message, error.facts) == ("Taken.", "Taken.", {"a": 1})
    assert errors.UploadConflict("Taken.").facts == {}


@pytest.mark.parametrize("kind", [InvalidField, errors.LifetimeTooLong])
def test_an_invalid_field_is_named_in_the_message_and_the_facts(kind):
    error = kind("items.3.relpath", "is empty.")
    assert error.message == "items.3.relpath: is empty."
    assert error.facts == {"items.3.relpath": ["is empty."]}


def test_busy_says_when_to_call_again():
    assert UploadBusy("Busy.", 10).retry_after == 10


def test_an_incomplete_upload_lists_the_first_hundred_of_each_and_the_totals():
    missing = [f"file-{number}" for number in range(150)]
    mismatched = [{"relpath": f"other-{number}"} for number in range(101)]
    facts = UploadIncomplete("Not all.", missing, mismatched).facts
    assert facts == {
        "missing": missing[:100],
        "mismatched": mismatched[:100],
        "missing_total": 150,
        "mismatched_total": 101,
    }


def test_an_incomplete_upload_lists_a_few_completely():
    facts = UploadIncomplete("Not all.", ["a"]).facts
    assert facts == {
        "missing": ["a"],
        "mismatched": [],
        "missing_total": 1,
        "mismatched_total": 0,
    }
