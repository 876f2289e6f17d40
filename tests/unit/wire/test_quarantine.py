from hydrophone.wire.quarantine import Quarantine, Specimen


def test_a_specimen_says_when_where_why_and_how_it_began() -> None:
    quarantine = Quarantine()
    quarantine.add(7, "mempool_space", "expected JSON", b"\xff" * 1_000)
    assert list(quarantine.specimens) == [Specimen(7, "mempool_space", "expected JSON", b"\xff" * 400, 1_000)]


def test_everything_is_counted_and_the_newest_are_kept() -> None:
    quarantine = Quarantine(limit=2)
    for number in range(5):
        quarantine.add(number, "a source", "a reason", b"")
    assert quarantine.count == 5
    assert [specimen.at for specimen in quarantine.specimens] == [3, 4]


def test_specimens_are_forgotten_and_the_count_goes_on() -> None:
    quarantine = Quarantine()
    for number in range(3):
        quarantine.add(number, "s", "odd", b"x")
    assert [quarantine.clear(), quarantine.clear()] == [3, 0]
    quarantine.add(3, "s", "odd", b"y")
    assert (quarantine.count, len(quarantine.specimens)) == (4, 1)
