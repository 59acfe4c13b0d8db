"""The storage of an account, and all that the account holds."""

from functools import partial

import pytest

from tests.support.azure_accounts import everything_in, storage_of


@pytest.fixture
def storage(account):
    return storage_of(account)


@pytest.fixture
def everything(blobs):
    return partial(everything_in, blobs)
