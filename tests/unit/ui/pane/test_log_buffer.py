from __future__ import annotations

import gzip
import json
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.events.event import LogLine
from buildr_jupyter.events.line_assembler import LogLines
from buildr_jupyter.ui.pane.log_buffer import BATCH_BYTES, LogFeed, LogFile, clean_log

HOSTILE = (
    "<script>\x1b]8;;http://evil\x07link\x1b]8;;\x07\x1b[31mred\x1b[0m\x1b]0;title\x07\u202eflip\x00\x07\x1b[2J\x1b"
)


class Page:
    """What pane.js does with batches, in few words."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.first = self.next = 0
        self.last: dict[str | None, int] = {}

    def take(self, batch: dict) -> bool:
        """Apply the batch that is next; tell whether it was."""
        if batch["n"] != self.next:
            return False
        self.next += 1
        if batch["before"] != self.first + len(self.rows):
            self.rows, self.first, self.last = [], batch["before"], {}
        for step, join, number, text in batch["runs"]:
            texts = [text] if number == 1 else text.split("\n")
            assert len(texts) == number
            for place, row in enumerate(texts):
                if place == 0 and join:
                    if step in self.last:
                        at = self.last[step]
                        self.rows[at] = row if join == 2 else (self.rows[at] + row)[-4200:]
                else:
                    self.last[step] = len(self.rows)
                    self.rows.append(row)
        return True


def lines(*texts: str, step: str | None = "1") -> list[LogLine]:
    return [
        LogLine(i, text.removesuffix("~"), step, partial=text.endswith(("\r", "~"))) for i, text in enumerate(texts)
    ]


def drain(feed: LogFeed) -> list[dict]:
    return list(iter(feed.take, None))


def test_colours_stay_and_nothing_else_that_steers() -> None:
    assert clean_log(HOSTILE) == "<script>link\x1b[31mred\x1b[0mflip"


def test_a_progress_bar_is_one_row_and_a_line_in_two_halves_too() -> None:
    feed, page = LogFeed(), Page()
    feed.add(lines("a", "10%\r", "20%\r", "done", "half~", " and half", "z"))
    assert all(page.take(batch) for batch in drain(feed))
    assert page.rows == ["a", "done", "half and half", "z"]
    assert feed.total == 4


def test_rows_that_were_sent_already_are_gone_on_with() -> None:
    feed, page = LogFeed(), Page()
    for text in ("10%\r", "20%\r", "done", "half~", " and~", " half", "z"):
        feed.add(lines(text))
        assert all(page.take(batch) for batch in drain(feed))
    assert page.rows == ["done", "half and half", "z"]
    assert feed.total == 3


def test_steps_that_print_at_once_keep_to_their_rows() -> None:
    feed, page = LogFeed(), Page()
    feed.add([
        LogLine(0, "a 1\r", "a", partial=True), LogLine(1, "b 1\r", "b", partial=True), LogLine(2, "a 2", "a"),
        LogLine(3, "b 2", "b"),
    ])  # fmt: skip
    assert all(page.take(batch) for batch in drain(feed))
    assert page.rows == ["a 2", "b 2"]


def test_a_flood_is_bounded_and_its_count_is_exact() -> None:
    feed, page = LogFeed(), Page()
    number = count()
    for _ in range(100):
        feed.add([LogLine(n := next(number), f"line {n:054d}") for _ in range(1000)])
        if batch := feed.take():
            page.take(batch)
    assert len(feed._pending) <= 20_000
    for batch in drain(feed):
        assert sum(len(text.encode()) for *_, text in batch["runs"]) <= BATCH_BYTES
        assert page.take(batch)
    assert page.first + len(page.rows) == feed.total == 100_000
    assert len(page.rows) >= 20_000
    assert page.rows[-20_000:] == [f"line {n:054d}" for n in range(80_000, 100_000)]


def test_long_lines_are_cut_for_the_page_and_whole_in_the_file() -> None:
    feed, spill, long = LogFeed(), LogFile(), "x" * 60_000
    for _ in range(200):
        feed.add(lines(long))
        spill.add(lines(long))
    batches = drain(feed)
    assert "… (55904 more)" in batches[0]["runs"][0][3]
    assert sum(len(text) for batch in batches for *_, text in batch["runs"]) < 2_000_000
    assert spill.size_bytes == 200 * 60_001


def test_a_page_that_missed_batches_gets_them_as_they_were() -> None:
    feed, page = LogFeed(batch_bytes=10), Page()
    feed.add(lines(*"abcdefghij"))
    batches = drain(feed)
    assert len(batches) > 1
    assert not page.take(batches[1])
    assert all(page.take(batch) for batch in feed.since(page.next))
    assert page.rows == list("abcdefghij")
    assert feed.since(99) == []


def test_what_is_kept_is_bounded() -> None:
    feed = LogFeed(max_rows=100, batch_bytes=20)
    for number in range(1000):
        feed.add(lines(f"{number}"))
        drain(feed)
    kept = feed.since(0)
    assert 100 <= sum(run[2] for batch in kept for run in batch["runs"]) <= 110
    assert kept[-1]["before"] == 999


PIECES = st.lists(st.tuples(st.text("ab", max_size=5), st.sampled_from(["", "\r", "~"])).map("".join), max_size=40)


@given(PIECES, st.integers(1, 30))
def test_what_a_page_shows_does_not_hang_on_how_it_was_cut(texts: list[str], cut: int) -> None:
    texts = [text for text in texts if text not in ("~", "\r")]
    whole, pieces = LogFeed(), LogFeed(batch_bytes=cut)
    one, other = Page(), Page()
    whole.add(lines(*texts))
    for batch in drain(whole):
        assert one.take(batch)
    for line in lines(*texts):
        pieces.add([line])
        for batch in drain(pieces):
            assert other.take(batch)
    assert one.rows == other.rows
    assert whole.total == pieces.total == len(one.rows)


def test_the_whole_is_byte_for_byte_what_came() -> None:
    spill = LogFile()
    spill.add(lines("a\x1b[31m", "50%\r", "é\udc80", "end"))
    assert gzip.decompress(b"".join(spill.iter_gzip(block_bytes=4))) == "a\x1b[31m\n50%\ré?\nend\n".encode()
    spill.close()


def test_a_million_lines_are_bounded_and_counted() -> None:
    feed, page = LogFeed(), Page()
    thousand = [LogLine(n, f"line {n:03d} " + "x" * 50) for n in range(1000)]
    for _ in range(1000):
        feed.add(thousand)
        if batch := feed.take():
            page.take(batch)
            page.rows = page.rows[-1:]
            page.first = batch["before"] + sum(run[2] for run in batch["runs"]) - 1
    assert len(feed._pending) <= 20_000
    assert sum(rows for _, rows, _ in feed._kept) <= 21_000
    for batch in drain(feed):
        page.take(batch)
    assert page.first + len(page.rows) == feed.total == 1_000_000


def test_a_line_of_20_megabytes_is_one_short_row_and_the_file_has_what_came() -> None:
    feed, spill, page, cut = LogFeed(), LogFile(), Page(), LogLines(count())
    for _ in range(20 * 64):
        came = cut.feed("x" * 16_384, "stdout", "1", None)
        feed.add(came)
        spill.add(came)
        if batch := feed.take():
            page.take(batch)
    came = cut.feed("\n", "stdout", "1", None)
    feed.add(came)
    spill.add(came)
    assert sum(len(run[3]) for batch, *_ in feed._kept for run in batch["runs"]) < 7_000_000
    assert feed.total == len(page.rows) == 1
    assert spill.size_bytes == 20 * 1024 * 1024 + 1
    whole, longer = LogLines(count()).feed("y" * 20_000_000 + "\n", "stdout", "1", None), LogFile()
    longer.add(whole)
    feed.add(whole)
    assert b"(19934464 more bytes)\n" in gzip.decompress(b"".join(longer.iter_gzip()))
    assert feed.take()["runs"][-1][3].endswith("more)")  # type: ignore[index]


def test_only_carriage_returns_are_one_row() -> None:
    feed, page, cut = LogFeed(), Page(), LogLines(count())
    for number in range(20_000):
        feed.add(cut.feed(f"{number}\r" if number % 2 else "\r", "stdout", "1", None))
        if number % 1000 == 0 and (batch := feed.take()):
            assert page.take(batch)
    assert all(page.take(batch) for batch in drain(feed))
    assert (feed.total, len(page.rows)) == (1, 1)
    assert len(feed._pending) == 0


def test_bytes_that_are_no_utf8_can_be_sent() -> None:
    feed = LogFeed()
    feed.add(lines(b"caf\xe9 \xff\xfe".decode("utf-8", "surrogateescape"), b"\xc3".decode("utf-8", "replace")))
    text = feed.take()["runs"][0][3]  # type: ignore[index]
    assert text == "caf\ufffd \ufffd\ufffd\n\ufffd"
    assert json.dumps(text, ensure_ascii=False).encode("utf-8")
