"""Files of a dataset are opened in place by the programs that scientists use."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pandas as pd
import pytest
import xarray
import zarr
from dserver_client.filesystem import DserverFileSystem

from client.tests.support.proxied_lab import ProxiedLab, some_bytes
from tests.support.proxy import Request

VALUES = np.arange(120_000, dtype="float64").reshape(300, 400)
FRAME = pd.DataFrame({"name": ["a", "b"], "height": [1.5, 2.5]})
LARGE = some_bytes(3_000_000)


@pytest.fixture(scope="module")
def dataset(shared_proxied_lab: ProxiedLab, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The dserver:// URI of a dataset with a file of each kind."""
    directory = tmp_path_factory.mktemp("files")
    FRAME.to_csv(directory / "heights.csv", index=False)
    with h5py.File(directory / "values.h5", "w") as file:
        file.create_dataset("group/values", data=VALUES, chunks=(10, 400))
    xarray.Dataset({"values": (("x", "y"), VALUES)}).to_netcdf(
        directory / "values.nc", engine="h5netcdf"
    )
    # Also with zarr 2, which Python 3.10 has.
    store = str(directory / "values.zarr")
    array = zarr.open_array(store, mode="w", shape=VALUES.shape, chunks=(100, 400), dtype="f8")
    array[:] = VALUES
    (directory / "images").mkdir()
    for name in ("1.bin", "2.bin", "3.txt"):
        (directory / "images" / name).write_bytes(name.encode())
    (directory / "large").write_bytes(LARGE)
    files = {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }
    uri = shared_proxied_lab.deposit(files)
    server = shared_proxied_lab.client.server.url.removeprefix("http://")
    return f"dserver://{server}/{uri.replace('://', '/')}"


@pytest.fixture
def options(proxied: ProxiedLab) -> dict[str, str]:
    return {"token": proxied.token}


@pytest.fixture
def files(options: dict[str, str]) -> DserverFileSystem:
    return fsspec.filesystem("dserver", skip_instance_cache=True, **options)


def test_pandas_reads_a_table(dataset: str, options: dict[str, str]) -> None:
    frame = pd.read_csv(f"{dataset}/heights.csv", storage_options=options)
    pd.testing.assert_frame_equal(frame, FRAME)


def test_h5py_reads_a_part_of_a_file(
    proxied: ProxiedLab, dataset: str, options: dict[str, str]
) -> None:
    with fsspec.open(f"{dataset}/values.h5", **options) as opened, h5py.File(opened) as file:
        assert (file["group/values"][-1] == VALUES[-1]).all()
    fetched = [request.headers["range"] for request in proxied.item_requests()]
    assert len(fetched) < 5


def test_xarray_opens_netcdf(dataset: str, options: dict[str, str]) -> None:
    url = f"{dataset}/values.nc"
    with (
        fsspec.open(url, **options) as opened,
        xarray.open_dataset(opened, engine="h5netcdf") as values,
    ):
        assert float(values["values"][299, 399]) == VALUES[-1, -1]


def test_zarr_opens_an_array(dataset: str, options: dict[str, str]) -> None:
    array = zarr.open_array(f"{dataset}/values.zarr", mode="r", storage_options=options)
    assert (array[150:250] == VALUES[150:250]).all()


def test_directories_are_listed(dataset: str, files: DserverFileSystem) -> None:
    assert {"heights.csv", "images", "values.zarr"} <= {
        path.rpartition("/")[2] for path in files.ls(dataset, detail=False)
    }
    assert files.isdir(f"{dataset}/images")
    assert not files.exists(f"{dataset}/other")
    assert files.info(f"{dataset}/images/1.bin")["size"] == 5
    assert files.modified(f"{dataset}/images/1.bin").year == 2023
    with pytest.raises(FileNotFoundError):
        files.info(f"{dataset.rpartition('/')[0]}/00000000-0000-0000-0000-000000000000/a")


def test_items_are_found_by_pattern(dataset: str, files: DserverFileSystem) -> None:
    found = files.glob(f"{dataset}/images/*.bin")
    assert [path.rpartition("/")[2] for path in found] == ["1.bin", "2.bin"]
    assert len(files.find(f"{dataset}/images")) == 3


def test_ranges_are_read_without_the_rest(
    proxied: ProxiedLab, dataset: str, files: DserverFileSystem
) -> None:
    paths = [f"{dataset}/large"] * 3 + [f"{dataset}/other"]
    *ranges, error = files.cat_ranges(paths, [0, 1_000_000, -10, 0], [10, 1_000_010, None, 1])
    assert ranges == [LARGE[:10], LARGE[1_000_000:1_000_010], LARGE[-10:]]
    assert isinstance(error, FileNotFoundError)
    assert sorted(request.headers["range"] for request in proxied.item_requests()) == [
        "bytes=0-9",
        "bytes=1000000-1000009",
        "bytes=2999990-2999999",
    ]
    assert files.cat_file(f"{dataset}/images/1.bin") == b"1.bin"


def test_an_item_is_copied(dataset: str, files: DserverFileSystem, tmp_path: Path) -> None:
    files.get(f"{dataset}/images", str(tmp_path / "images"), recursive=True)
    assert (tmp_path / "images" / "2.bin").read_bytes() == b"2.bin"


def test_datasets_cannot_be_written(dataset: str, files: DserverFileSystem) -> None:
    with pytest.raises(OSError, match="frozen"):
        files.open(f"{dataset}/new", "wb")


def test_a_dataset_that_is_slow_does_not_delay_others(
    proxied: ProxiedLab, dataset: str, files: DserverFileSystem
) -> None:
    base, _, uuid = dataset.rpartition("/")
    other = proxied.deposit({"a": b"1"}).rpartition("/")[2]
    is_asked, end = threading.Event(), threading.Event()

    def before(request: Request) -> None:
        if uuid in request.target:
            is_asked.set()
            assert end.wait(30)

    proxied.proxy.before = before
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(files.ls, dataset)
        try:
            assert is_asked.wait(30)
            found = threads.submit(files.ls, f"{base}/{other}", detail=False).result(10)
        finally:
            end.set()
    assert [path.rpartition("/")[2] for path in found] == ["a"]
    assert slow.result()
