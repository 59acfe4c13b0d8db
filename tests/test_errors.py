"""The errors: one class, one slug and one sentence for each."""

import re
from datetime import datetime, timedelta, timezone

import pytest

from dserver_signed_url_plugin import errors
from dserver_signed_url_plugin.errors import (
    InvalidField,
    SignedURLError,
    StorageUnavailable,
    TooMuchPending,
    UploadBusy,
    UploadIncomplete,
    URLsStillValid,
)

STATUS = {
    "AlreadyRegistered": 409,
    "AssemblyPending": 502,
    "AuditOff": 404,
    "BodyTooLarge": 413,
    "ConfigurationError": 500,
    "DatabaseBusy": 503,
    "DatasetExpiring": 410,
    "DatasetNotFound": 404,
    "DatasetsAtStake": 409,
    "DeletionPending": 502,
    "DiscardUnsupported": 501,
    "InternalError": 500,
    "InvalidField": 400,
    "ItemArchived": 409,
    "ItemBeingRestored": 409,
    "ItemNotFound": 404,
    "ItemStored": 409,
    "LengthRequired": 411,
    "LifecycleUnsettled": 409,
    "LifecycleUnsupported": 501,
    "LifetimeTooLong": 422,
    "MethodNotAllowed": 405,
    "MigrationsBehind": 503,
    "NoPendingUpload": 400,
    "NotAuthenticated": 401,
    "UploadTokenRefused": 401,
    "NotUploader": 403,
    "PageNotFound": 404,
    "PermissionDenied": 403,
    "RegistrationFailed": 502,
    "RequestRefused": 500,
    "RouteNotFound": 404,
    "ShareEnded": 410,
    "ShareNotFound": 404,
    "SigningUnsupported": 501,
    "SizesRequired": 409,
    "StillRegistered": 502,
    "StorageAway": 502,
    "StorageMisconfigured": 502,
    "StorageOccupied": 409,
    "StorageUnavailable": 502,
    "TokenKeyUnusable": 503,
    "TooManyRequests": 429,
    "TooManyShares": 409,
    "TooMuchPending": 409,
    "URLsStillValid": 409,
    "UnannouncedItems": 400,
    "UnreadableBody": 400,
    "UploadActive": 409,
    "UploadBusy": 409,
    "UploadConflict": 409,
    "UploadElsewhere": 409,
    "UploadFrozen": 409,
    "UploadIncomplete": 400,
    "UploadNotFound": 404,
    "UploadNotOpened": 409,
    "UploadOfAnother": 409,
}


def error_classes():
    """Every class of an error that the package exports."""
    found = [getattr(errors, name) for name in errors.__all__]
    return [kind for kind in found if kind is not SignedURLError]


def test_every_error_has_the_status_that_the_contract_gives_it():
    assert {kind.__name__: kind.status for kind in error_classes()} == STATUS


def test_every_error_has_a_slug_of_its_own_in_lower_case():
    slugs = [kind.slug for kind in error_classes()]
    assert sorted(slugs) == sorted(set(slugs))
    assert SignedURLError.slug not in slugs
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", slug) for slug in slugs)


def test_every_error_has_a_sentence():
    assert [kind for kind in error_classes() if not kind.sentence] == []


def test_an_error_is_its_sentence_filled_with_its_attributes():
    error = TooMuchPending("2 {uploads}", 2, "MAX")
    assert (error.used, error.limit, error.setting) == ("2 {uploads}", 2, "MAX")
    assert error.message == str(error)
    assert error.message.startswith("You have 2 {uploads}; this server allows one user 2 (MAX).")
    assert error.details == {}


def test_an_invalid_field_is_named_in_the_message_and_the_details():
    error = InvalidField("items.3.relpath", "is empty.")
    assert error.message == "items.3.relpath: is empty."
    assert error.details == {"items.3.relpath": ["is empty."]}


def test_a_lifetime_that_is_too_long_names_the_maximum():
    error = errors.LifetimeTooLong(60)
    assert error.details == {"expiry_seconds": ["must be at most 60 on this server."]}


def test_busy_says_when_to_call_again():
    error = UploadBusy("some-uuid", 10)
    assert (error.retry_after, "in 10 s" in error.message) == (10, True)


def test_an_unavailable_storage_says_when_to_call_again_only_if_it_passes_by_itself():
    passing = StorageUnavailable("The store", "failed", StorageUnavailable.PAUSE)
    assert (passing.retry_after, "call again in 30 s" in passing.message) == (30, True)
    lasting = StorageUnavailable("The store", "failed")
    assert (lasting.retry_after, "again" in lasting.message) == (None, False)


def test_urls_that_can_still_write_say_when_they_no_longer_can():
    error = URLsStillValid("some-uuid", datetime.now(timezone.utc) + timedelta(minutes=1))
    assert error.retry_after == pytest.approx(61, abs=1)


def test_an_incomplete_upload_lists_the_first_hundred_of_each_and_the_totals():
    missing = [f"file-{number}" for number in range(150)]
    mismatched = [{"relpath": f"other-{number}"} for number in range(101)]
    assert UploadIncomplete("Not all", missing, mismatched).details == {
        "missing": missing[:100],
        "mismatched": mismatched[:100],
        "missing_total": 150,
        "mismatched_total": 101,
    }


def test_an_incomplete_upload_lists_a_few_completely():
    assert UploadIncomplete("Not all", ["a"]).details == {
        "missing": ["a"],
        "mismatched": [],
        "missing_total": 1,
        "mismatched_total": 0,
    }
