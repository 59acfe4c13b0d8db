"""One archive of a directory, which usual programs unpack to the same files."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import subprocess
import tarfile
from dataclasses import replace
from zipfile import ZipFile

import pytest
import requests

from dserver_signed_url_plugin.cli.temp_share import temp_share
from dserver_signed_url_plugin.deposits.archives import FORMATS, archived
from dserver_signed_url_plugin.deposits.local_files import UnusableFile, found
from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.uris import DatasetURI
from dserver_signed_url_plugin.zstandard import zstd
from tests.support.shared_files import waiting

WRITTEN = 1_700_000_000  # 2023-11-14 22:13:20 UTC
LONG_NAME = "ü" * 100
FILES = {
    "empty": b"",
    "run.sh": b"echo 1\n",
    "scans/räw 1.tif": os.urandom(600_000),
    f"scans/{LONG_NAME}/{LONG_NAME}": b"deep",
}
each_kind = pytest.mark.parametrize("kind", FORMATS)


@pytest.fixture
def directory(tmp_path):
    """Files, one of which may be executed."""
    directory = tmp_path / "results"
    for name, content in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (WRITTEN, WRITTEN))
    (directory / "run.sh").chmod(0o700)
    return directory


def made(directory, kind):
    return b"".join(archived(found([directory]), kind))


def entries(archive, kind):
    """Return (content, mode, time) of each member, by name, as Python reads the archive."""
    if kind == "zip":
        with ZipFile(io.BytesIO(archive)) as opened:
            assert opened.testzip() is None
            return {
                info.filename: (opened.read(info), info.external_attr >> 16, info.date_time)
                for info in opened.infolist()
            }
    with tarfile.open(fileobj=io.BytesIO(zstd.decompress(archive))) as opened:
        return {
            info.name: (opened.extractfile(info).read(), stat.S_IFREG | info.mode, info.mtime)
            for info in opened
        }


@each_kind
def test_an_archive_has_the_files_with_their_times_and_modes(directory, kind):
    written = (2023, 11, 14, 22, 13, 20) if kind == "zip" else WRITTEN
    found_entries = entries(made(directory, kind), kind)
    assert found_entries == {
        f"results/{name}": (content, 0o100755 if name == "run.sh" else 0o100644, written)
        for name, content in FILES.items()
    }
    assert list(found_entries) == sorted(found_entries)


@each_kind
def test_the_same_files_give_the_same_archive(directory, tmp_path, kind):
    first = made(directory, kind)
    shutil.copytree(directory, tmp_path / "again" / "results")
    assert made(tmp_path / "again" / "results", kind) == first


@pytest.mark.parametrize(
    ("kind", "command"),
    [("zip", ["unzip", "-q", "a.zip"]), ("tar.zst", ["tar", "--extract", "--file", "a.tar"])],
)
def test_usual_programs_unpack_it(directory, tmp_path, kind, command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"this machine has no {command[0]}")
    archive = made(directory, kind)
    if kind == "tar.zst":
        # Not every tar has a program for Zstandard.
        archive = zstd.decompress(archive)
    target = tmp_path / "there"
    target.mkdir()
    (target / command[-1]).write_bytes(archive)
    subprocess.run(command, cwd=target, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    for name, content in FILES.items():
        assert (target / "results" / name).read_bytes() == content
    assert os.access(target / "results" / "run.sh", os.X_OK)


def test_a_file_above_4_gib_is_announced_as_such(directory, tmp_path):
    """Its header alone is looked at: ZIP64 has 0xffffffff in the place of the sizes."""
    with (directory / "empty").open("wb") as stream:
        stream.truncate(5 * 1024**3)
    archive = archived(found([directory]), "zip")
    head = b""
    while len(head) < 30:
        head += next(archive)
    archive.close()
    version, flags = struct.unpack("<4xHH", head[:8])
    assert (version, flags & 8) == (45, 8)
    with tarfile.open(fileobj=io.BytesIO(_tar_head(directory))) as opened:
        assert opened.next().size == 5 * 1024**3


def _tar_head(directory):
    compressed = archived(found([directory]), "tar.zst")
    decompressor, head = zstd.ZstdDecompressor(), b""
    while len(head) < 2048:
        head += decompressor.decompress(next(compressed))
    return head


@pytest.mark.parametrize("time", [-86_400, 5_000_000_000])
def test_a_time_that_a_zip_file_cannot_hold_is_left_out(directory, time):
    os.utime(directory / "empty", (time, time))
    _, _, written = entries(made(directory, "zip"), "zip")["results/empty"]
    assert written == (1980, 1, 1, 0, 0, 0)


# Refusals -----------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("size", [0, 3, 2**20])
def test_a_file_that_changed_since_it_was_found_ends_the_archive(directory, kind, size):
    files = found([directory])
    (directory / "run.sh").write_bytes(bytes(size))
    with pytest.raises(UnusableFile, match=r"run\.sh' changed while it was read"):
        list(archived(files, kind))


@each_kind
def test_a_link_in_the_place_of_a_file_ends_the_archive(directory, kind):
    files = found([directory])
    (directory / "empty").unlink()
    (directory / "empty").symlink_to("/etc/passwd")
    with pytest.raises(UnusableFile):
        list(archived(files, kind))


@pytest.mark.parametrize("relpath", ["../up", "/root", "a\nb", "C:/x"])
def test_a_name_that_could_leave_the_directory_is_refused(directory, relpath):
    [file, *_] = found([directory])
    renamed = replace(file, item=type(file.item)("", relpath, 0))
    with pytest.raises(InvalidField):
        archived([renamed], "zip")


# The command --------------------------------------------------------------------------------


def share(dserver, *arguments):
    command = ["create", *arguments[:-1], dserver.base_uri, arguments[-1]]
    return dserver.app.test_cli_runner().invoke(temp_share, command)


def registered_item(dserver):
    """Return name, relpath and bytes of the only item of the only dataset."""
    [registered] = dserver.alice.post("/uris", {}).json
    with dserver.app.app_context():
        urls = dserver.services.file_urls.urls(DatasetURI.parse(registered["uri"]), (), 60)
    [file] = urls.files
    return registered["name"], file.relpath, requests.get(file.url, timeout=30).content


@pytest.mark.parametrize("place", ["bucket"], indirect=True)
class TestTheCommand:
    @pytest.mark.parametrize(
        ("options", "kind"),
        [(["--archive"], "tar.zst"), (["--archive", "zip"], "zip"), (["--archive=zip"], "zip")],
    )
    def test_a_directory_is_shared_as_one_archive(self, dserver, directory, options, kind):
        result = share(dserver, *options, str(directory))
        assert result.exit_code == 0, result.stderr
        name, relpath, archive = registered_item(dserver)
        assert (name, relpath) == (f"results.{kind}", f"results.{kind}")
        contents = {member: entry[0] for member, entry in entries(archive, kind).items()}
        assert contents == {f"results/{name}": content for name, content in FILES.items()}

    def test_a_directory_that_cannot_be_archived_is_a_usage_error(self, dserver, directory):
        (directory / "link").symlink_to("/etc/passwd")
        result = share(dserver, "--archive", str(directory))
        assert (result.exit_code, waiting(dserver)) == (2, [])
        assert "is a symbolic link" in result.stderr
