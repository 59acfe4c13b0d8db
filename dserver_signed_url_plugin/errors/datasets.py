"""Datasets and items that cannot be read now, or are not there."""

from __future__ import annotations

from dataclasses import dataclass

from dserver_signed_url_plugin.errors.base import SignedURLError


@dataclass(eq=False)
class DatasetNotFound(SignedURLError):
    """dserver does not know the dataset, or storage no longer holds it."""

    status, slug = 404, "dataset-not-found"
    sentence = "{self.holder} has no dataset {self.dataset}."

    holder: str
    dataset: object


@dataclass(eq=False)
class PageNotFound(SignedURLError):
    """The items of the dataset do not fill so many pages."""

    status, slug = 404, "page-not-found"
    sentence = "There is no page {self.page} of the items; the last is {self.last}."

    page: int
    last: int


@dataclass(eq=False)
class DatasetExpiring(SignedURLError):
    """The store may delete the dataset at any moment."""

    status, slug = 410, "outlived"
    sentence = (
        "A lifecycle rule of the store may delete {self.uri} at any moment, so no URL can be "
        "promised to work: deposit it where it is kept longer."
    )

    uri: object


@dataclass(eq=False)
class ItemNotFound(SignedURLError):
    """The dataset, or the link of a share, has no such item."""

    status, slug = 404, "item-not-found"
    sentence = "{self.holder} has no item {self.item}; {self.hint}"

    item: str
    hint: str = "an item's identifier is the SHA-1 of its relpath, as 40 hexadecimal digits."
    holder: str = "The dataset"


@dataclass(eq=False)
class ItemStored(SignedURLError):
    """The parts of an item were assembled by an earlier attempt to complete its upload."""

    status, slug = 409, "item-stored"
    sentence = (
        "{self.relpath} is stored as announced already: send no part of it again, and complete the "
        "upload."
    )

    relpath: str


@dataclass(eq=False)
class ItemArchived(SignedURLError):
    """The store keeps an object in an archive, where no URL can read it."""

    status, slug = 409, "item-archived"
    sentence = (
        "{self.what} is archived in the store, where no URL can read it: let the administrator of "
        "the store restore it ({self.remedy}), then call again."
    )

    what: str
    remedy: str


@dataclass(eq=False)
class ItemBeingRestored(SignedURLError):
    """The store is restoring an object from its archive, which takes hours."""

    status, slug = 409, "item-being-restored"
    sentence = "{self.what} is being restored from the store's archive; call again in some hours."
    retry_after = 3600

    what: str
