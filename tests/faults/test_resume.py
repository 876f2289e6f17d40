"""A client that is cut off again and again; the whole measure is `python -m evaluation.resume`."""

from evaluation.resume import run


async def test_a_client_that_is_cut_off_at_random_gets_each_wanted_event_once() -> None:
    report = await run(600, 6)
    assert report.cuts == 6
    assert report.is_sound, (report.wanted, report.received, report.resyncs)
