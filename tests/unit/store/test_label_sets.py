import fcntl
import json
import os
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.script import Network
from hydrophone.errors import ConfigError
from hydrophone.store import label_sets
from hydrophone.store.label_files import LabelFile, LabelStream, build_label_book
from hydrophone.store.label_sets import LabelSets, SetInfo, name_from_path, require_name, write_whole

TODAY, TOMORROW = date(2026, 11, 25), date(2026, 11, 26)
LABEL = Label(
    b"\x00\x14" + b"\x11" * 20,
    Entity("Binance", EntityKind.EXCHANGE),
    Role.COLD,
    "a-set",
    0.97,
    date(2026, 9, 23),
    'its "own", list',
    "https://example.org/",
    "facts",
)
OTHER = replace(LABEL, script=b"\x00\x14" + b"\x22" * 20)
INFO = SetInfo("a-set", "mainnet", origin="a file", imported_on="2026-11-25")


@pytest.fixture
def sets(tmp_path: Path) -> LabelSets:
    return LabelSets(tmp_path / "labels", Network.MAINNET)


def labels_of(sets: LabelSets, name: str = "a-set") -> list[Label]:
    return list(sets.load(name).labels)


def test_a_set_is_kept_and_read_again(sets: LabelSets) -> None:
    assert sets.names() == []
    revision = sets.revise(INFO, (LABEL, OTHER), on=TODAY)
    assert revision.new == 2
    assert sets.names() == ["a-set"]
    assert labels_of(sets) == [LABEL, OTHER]
    assert replace(sets.info("a-set") or INFO, sha256="") == INFO


def test_what_vanishes_from_a_set_is_retired_and_what_returns_is_not(sets: LabelSets) -> None:
    sets.revise(INFO, (LABEL, OTHER), on=TODAY)
    assert sets.revise(INFO, (LABEL,), on=TOMORROW).retired == 1
    assert labels_of(sets) == [LABEL, replace(OTHER, valid_to=TOMORROW)]
    book = LabelBook(labels_of(sets), on=TOMORROW)
    assert [book.is_disputed(OTHER.script), book.lookup(OTHER.script)] == [False, ()]
    assert sets.revise(INFO, (LABEL, OTHER), on=TOMORROW).returned == 1
    assert labels_of(sets) == [LABEL, OTHER]


def test_a_file_as_we_wrote_it_is_trusted_and_a_changed_one_is_looked_at(sets: LabelSets) -> None:
    sets.revise(INFO, (LABEL, OTHER), on=TODAY)
    assert isinstance(sets.load("a-set"), LabelStream)
    path = sets.path_of("a-set")
    path.write_text(path.read_text().replace("11", "1z", 1))
    changed = sets.load("a-set")
    assert isinstance(changed, LabelFile)
    assert [row.line for row in changed.rejected] == [2]
    assert changed.labels == (OTHER,)


def test_a_file_that_somebody_put_there_is_a_set(sets: LabelSets) -> None:
    sets.revise(INFO, (LABEL,), on=TODAY)
    path = sets.path_of("mine")
    path.write_text("exchange_name,address,type\nKraken,1111111111111111111114oLvT2,hot\n")
    assert sets.names() == ["a-set", "mine"]
    assert [label.source for label in labels_of(sets, "mine")] == ["mine"]
    book, reports = build_label_book(
        Network.REGTEST, [], sets=LabelSets(path.parent, Network.MAINNET).load_all()
    )
    assert len(book) == 2
    assert [(report.path.name, report.claim_count) for report in reports] == [
        ("a-set.csv", 1),
        ("mine.csv", 1),
    ]


@pytest.mark.parametrize("info", ["", "{", "[]", '{"name": 1}', '{"nonsense": 1}'])
def test_without_what_is_known_of_it_a_set_is_read_carefully(sets: LabelSets, info: str) -> None:
    sets.revise(INFO, (LABEL,), on=TODAY)
    (sets.path_of("a-set").parent / "a-set.json").write_text(info)
    assert sets.names() == ["a-set"]
    assert isinstance(sets.load("a-set"), LabelFile)
    assert labels_of(sets) == [LABEL]


def test_a_set_of_another_network_is_left_alone(sets: LabelSets, tmp_path: Path) -> None:
    sets.revise(INFO, (LABEL,), on=TODAY)
    elsewhere = LabelSets(tmp_path / "labels", Network.REGTEST)
    assert elsewhere.names() == []
    with pytest.raises(ConfigError, match="holds addresses of mainnet, and this is regtest"):
        elsewhere.revise(replace(INFO, network="regtest"), (LABEL,), on=TODAY)
    assert labels_of(sets) == [LABEL]


def test_who_does_not_agree_leaves_the_set_as_it_was(sets: LabelSets) -> None:
    sets.revise(INFO, (LABEL, OTHER), on=TODAY)

    def refuse(before: int, revision: object) -> None:
        assert before == 2
        raise ConfigError("no")

    with pytest.raises(ConfigError, match=r"^no$"):
        sets.revise(INFO, (LABEL,), on=TODAY, agree=refuse)
    assert labels_of(sets) == [LABEL, OTHER]


def test_a_write_that_fails_leaves_the_set_as_it_was(
    sets: LabelSets, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets.revise(INFO, (LABEL, OTHER), on=TODAY)
    folder = sets.path_of("a-set").parent
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"cannot be written: No space left on device: make room"):
        sets.revise(INFO, (LABEL,), on=TODAY)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sets = LabelSets(tmp_path / "file" / "labels", Network.MAINNET)
    with pytest.raises(
        ConfigError, match=r"labels\.folder .* cannot be written: (Not a directory|File exists)"
    ):
        sets.revise(INFO, (LABEL,), on=TODAY)
    with pytest.raises(ConfigError, match="expected a folder that can be read: Not a directory"):
        LabelSets(tmp_path / "file", Network.MAINNET).names()


def test_two_at_once_do_not_mix(sets: LabelSets) -> None:
    sets.revise(INFO, (LABEL,), on=TODAY)
    with (sets.path_of("a-set").parent / ".lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="is being changed by another import or sync"):
            sets.revise(INFO, (OTHER,), on=TODAY)
    assert labels_of(sets) == [LABEL]


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", ".hidden", "x" * 65, "a b", "a\n"])
def test_a_name_is_no_path(sets: LabelSets, name: str) -> None:
    with pytest.raises(ConfigError, match="expected a name of small letters"):
        require_name(name)
    with pytest.raises(ConfigError, match="give one with --name"):
        sets.revise(replace(INFO, name=name), (LABEL,), on=TODAY)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("core_tagpack.yaml", "core_tagpack"),
        ("My Labels (2).csv", "my-labels-2"),
        ("Größe.csv", "gr-sse"),
        ("標籤.csv", ""),
    ],
)
def test_a_set_is_named_after_its_file(path: str, name: str) -> None:
    assert name_from_path(Path("/x") / path) == name


def test_a_claim_of_a_set_counts_what_is_written(sets: LabelSets) -> None:
    counted: list[int] = []
    sets.revise(INFO, (LABEL, OTHER), on=TODAY, advance=lambda: counted.append(1))
    assert len(counted) == 3  # its header is a line too


def test_a_file_is_replaced_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == b"new"
    with pytest.raises(OSError, match="No such file"):
        write_whole(tmp_path / "missing" / "x", b"")


def test_what_is_known_of_a_set_is_json_for_people(sets: LabelSets) -> None:
    sets.revise(INFO, (LABEL,), on=TODAY)
    sets.note(replace(sets.info("a-set") or INFO, failure="it broke off"))
    found = json.loads((sets.path_of("a-set").parent / "a-set.json").read_text())
    assert (found["failure"], len(found["sha256"])) == ("it broke off", 64)
    assert isinstance(sets.load("a-set"), LabelStream)


def test_the_lock_is_the_only_other_file(sets: LabelSets) -> None:
    sets.revise(INFO, (LABEL,), on=TODAY)
    names = {path.name for path in sets.path_of("a-set").parent.iterdir()}
    assert names == {"a-set.csv", "a-set.json", label_sets._LOCK}
