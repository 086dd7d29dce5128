"""No log, no event and no error says a credential of any kind, nor a password that was used."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import shlex
import subprocess
import traceback
from collections.abc import Generator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

import buildr_jupyter
from buildr_jupyter.errors import BuildError
from buildr_jupyter.events.event import Event, Finished, LogLine, RunOutput
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.registry.keychain import Login
from buildr_jupyter.secretscan import redact
from buildr_jupyter.secretscan.redact import MASK, mask, masked_events, masked_logger, remember
from tests.fakes.credentials import Fake, fakes

FAKES = [pytest.param(fake, id=f"{fake.kind}-{number % 2}") for number, fake in enumerate(fakes(each=2, seed=3))]


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logins of other tests are no secrets here."""
    monkeypatch.setattr(redact, "_known", {})


def parts(fake: Fake) -> list[str]:
    """What must not be seen: the value, or each line of its body."""
    if fake.kind == "login-in-url":
        return [fake.value.split("@")[0].rpartition(":")[2]]
    if fake.kind == "authorization-header":
        return [fake.value.rpartition(" ")[2]]
    lines = [line for line in fake.value.splitlines() if not line.startswith("-----")]
    return lines[:1] if len(lines) > 1 else lines


def said_by(events: Generator[Event, None, BuildResult]) -> list[Event]:
    found: list[Event] = []
    try:
        while True:
            found.append(next(events))
    except StopIteration as stop:
        found.append(Finished(stop.value))
    return found


@pytest.mark.parametrize("fake", FAKES)
def test_loggers(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    logger = masked_logger(logging.getLogger("buildr_jupyter.test_masking"))
    with caplog.at_level(logging.DEBUG):
        logger.debug("Build output: %s", f"x {fake.value} y")
        logger.error("Build failed: %r", {"auth": fake.line})
    assert "Build output: x" in caplog.text
    assert not any(part in caplog.text for part in parts(fake))


@pytest.mark.parametrize("fake", FAKES)
def test_events_and_results(fake: Fake) -> None:
    def build() -> Generator[Event, None, BuildResult]:
        for number, line in enumerate(fake.line.splitlines()):
            yield LogLine(number, line, step="1")
        yield LogLine(99, "an ordinary line", step="1")
        step = StepUpdate("1", f"RUN login {fake.line}")
        yield step
        yield RunOutput("stdout", f"logged in with {fake.line}")
        warned = BuildWarning(f"odd: {fake.line}", hint=fake.line)
        yield warned
        result = BuildResult("x", steps=(step,), warnings=(warned,))
        yield Finished(result)
        return result

    events = said_by(masked_events(build(), {}))
    shown = repr([(event, getattr(getattr(event, "result", None), "steps", None)) for event in events])
    body = [line for line in fake.value.splitlines() if not line.startswith("-----")]
    assert not any(part in shown for part in parts(fake))
    logged = "".join(event.text for event in events if isinstance(event, LogLine))
    assert not any(line in logged for line in body)
    assert "an ordinary line" in logged
    assert events[-1].result.steps[0].title.startswith("RUN login")


@pytest.mark.parametrize("fake", FAKES)
def test_errors_and_what_is_behind_them(fake: Fake) -> None:
    def build() -> Generator[Event, None, BuildResult]:
        yield LogLine(0, "begin")
        try:
            raise ConnectionError(f"no answer: {fake.line}")
        except ConnectionError as error:
            raise BuildError(
                f"Image build failed: {fake.line}", hint=f"say {fake.line}", step=fake.line, log_tail=(fake.line,)
            ) from error

    with pytest.raises(BuildError) as raised:
        said_by(masked_events(build(), {}))
    shown = "\n".join([*raised.value.render(), str(raised.value.__cause__)])
    assert shown.startswith("BuildError: Image build failed:")
    assert not any(part in shown for part in parts(fake))


def test_passwords_that_were_used_and_secret_variables() -> None:
    Login("reg.example", "me", "horse staple 9")
    Login("reg.example", "me", identity_token="idtoken-0815-4711")
    packed = base64.b64encode(b"me:horse staple 9").decode()
    text = f"horse staple 9, idtoken-0815-4711, {packed}"
    assert mask(text) == f"{MASK}, {MASK}, {MASK}"

    def build() -> Generator[Event, None, BuildResult]:
        yield LogLine(0, "connected as correct horse")
        return BuildResult("x")

    (line, _) = said_by(masked_events(build(), {"DB_PASSWORD": "correct horse"}))
    assert line == LogLine(0, f"connected as {MASK}")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Authorization: Basic abc", "Authorization: Basic ****"),
        ("{'X-Registry-Auth': 'eyJ1c2VyIjoi'}", "{'X-Registry-Auth': '****'}"),
        ("Cookie: session=1", "Cookie: ****"),
        ("GET https://me:pw@reg.example/v2/", "GET https://****@reg.example/v2/"),
        ("PGPASSWORD=hunter22 psql", "PGPASSWORD=**** psql"),
        ('{"token": "abcdef123"}', '{"token": "****"}'),
    ],
)
def test_shapes_of_a_log(said: str, shown: str) -> None:
    assert mask(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "sha256:" + "ab" * 32 + " exporting layers",
        "RUN --mount=type=secret,id=token,target=/run/secrets/token pip install",
        "--secret id=netrc,src=/home/me/.netrc: no such file",
        "tokenizers==0.21.0, secretstorage==3.3.3",
        "Step 3/9 : COPY requirements.txt /opt/",
        "ENV TOKEN=$TOKEN PASSWORD=",
        "Collecting https://files.example/packages/aa/bb/pandas-2.2.3-cp311-cp311-manylinux_2_17_x86_64.whl",
    ],
)
def test_ordinary_lines_stay(said: str) -> None:
    assert mask(said) == said


def test_a_password_that_is_a_word_harms_no_option() -> None:
    remember("secret")
    assert mask("give --secret id=x, the secret") == "give --secret id=x, the ****"


def test_every_logger_of_the_package_is_masked() -> None:
    for path in Path(buildr_jupyter.__file__).parent.rglob("*.py"):
        if path.name != "masking.py":
            for line in re.findall(r".*getLogger\(.*", path.read_text(encoding="utf-8")):
                if line.endswith("addHandler(logging.NullHandler())"):
                    continue  # nothing is written by it
                assert "masked_logger(" in line, f"{path.name}: {line}"


SECRET = "p'w\"d/\\é&x=1 %7"
FORMS = {
    "plain": SECRET, "repr": repr(SECRET), "repr of bytes": repr(SECRET.encode()), "JSON": json.dumps(SECRET),
    "JSON in UTF-8": json.dumps(SECRET, ensure_ascii=False), "JSON in JSON": json.dumps(json.dumps({"a": SECRET})),
    "a path": quote(SECRET), "a part of a URL": quote(SECRET, safe=""), "a form": urlencode({"p": SECRET}),
    "small digits": quote(SECRET, safe="").lower(), "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode(), "HTML": html.escape(SECRET),
    "hexadecimal": SECRET.encode().hex(), "shell": shlex.quote(SECRET), "a dict": repr({"a": [SECRET]}),
    **{f"base64 behind {n}": base64.b64encode(b"u" * n + b":" + SECRET.encode() + b"\n").decode() for n in range(4)},
}  # fmt: skip


def shown_of(text: str) -> set[str]:
    """The pieces of eight characters that would tell the value."""
    return {text[at : at + 8] for at in range(len(text) - 7)}


@pytest.mark.parametrize("form", FORMS)
def test_a_value_is_known_in_every_form(form: str) -> None:
    said = f"before {FORMS[form]} after"
    shown = mask(said, [SECRET])
    assert MASK in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    kept = 6 if "behind" in form else 0  # what stands before it in the same base64 is no secret
    assert len(shown) <= len("before  after") + len(MASK) + 16 + kept
    remember(SECRET)
    assert mask(said) == shown


def outputs(texts: list[str], environ: dict[str, str], *, lines: bool = False) -> list[Event]:
    def build() -> Generator[Event, None, BuildResult]:
        for number, text in enumerate(texts):
            yield LogLine(number, text, step="1") if lines else RunOutput("stdout", text)
        yield StepUpdate("1", "RUN x")
        return BuildResult("x")

    return said_by(masked_events(build(), environ))


@pytest.mark.parametrize("size", range(1, 20))
def test_a_value_is_known_in_chunks(size: int) -> None:
    value = "correct-horse-battery-9"
    for form in (value, base64.b64encode(f"me:{value}".encode()).decode()):
        whole = f"logged in as {form}, and on\ncorrect or not: corr"
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        events = outputs(pieces, {"DB_PASSWORD": value})
        shown = "".join(event.text for event in events if isinstance(event, RunOutput))
        assert shown.startswith("logged in as ")
        assert shown.endswith("****, and on\ncorrect or not: corr")
        assert not shown_of(form) & shown_of(shown)


@pytest.mark.parametrize("width", [5, 8, 11, 17, 22])
def test_a_value_is_known_over_lines(width: int) -> None:
    value = "Correct-horse-battery-staple-9"
    cut = [value[at : at + width] for at in range(0, len(value), width)]
    for before, after in (("", ""), ("  '", "'"), ("| ", " |")):
        lines = ["first", *(f"{before}{one}{after}" for one in cut), "last"]
        events = outputs(lines, {"DB_PASSWORD": value}, lines=True)
        shown = [event.text for event in events if isinstance(event, LogLine)]
        assert shown == ["first", *([f"{before}****{after}"] * len(cut)), "last"], before
        assert [event.seq for event in events if isinstance(event, LogLine)] == list(range(len(lines)))
        assert mask("\n".join(lines), [value]) == "\n".join(shown)


def test_what_only_begins_like_a_value_is_shown_and_in_its_order() -> None:
    lines = ["xx corre", "of another kind", "corre"]
    events = outputs(lines, {"DB_PASSWORD": "correct horse"}, lines=True)
    assert [getattr(event, "text", "") for event in events[:3]] == lines
    assert isinstance(events[3], StepUpdate)


def test_a_value_of_several_lines_is_known_line_by_line() -> None:
    value = "first line of it\nsecond line of it\n"
    assert (
        outputs(["say first line of it", "second line of it"], {"MY_SECRET": value}, lines=True)[0].text == "say ****"
    )


def test_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    remember("correct horse battery")
    logger = masked_logger(logging.getLogger("buildr_jupyter.test_masking"))
    told: list[str] = []

    class Another(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(logging.Formatter().format(record) + repr(record.exc_info) + repr(record.args))

    logger.addHandler(handler := Another())
    try:
        try:
            try:
                raise KeyError({"password": "correct horse battery"})
            except KeyError as error:
                raise ValueError("login as me:correct horse battery") from error
        except ValueError:
            logger.exception("that went wrong")
            logger.warning("here", exc_info=True, stack_info=True)
        try:
            raise ValueError("harmless")
        except ValueError:
            logger.exception("harmless")
    finally:
        logger.removeHandler(handler)
    assert "Traceback" in told[0]
    assert "ValueError: login as me:****" in told[0]
    assert "horse" not in caplog.text + "".join(told)
    assert "ValueError: harmless" in told[2]


HORSE = " ".join(("correct", "horse"))


def test_what_stands_behind_an_error_is_no_text() -> None:
    class Refused(Exception):
        def __init__(self, address: str) -> None:
            super().__init__({"url": address})
            self.address = address

    def build() -> Generator[Event, None, BuildResult]:
        yield LogLine(0, "begin")
        try:
            try:
                raise subprocess.CalledProcessError(1, ["login", "-p", HORSE], output=HORSE.encode())
            except subprocess.CalledProcessError as error:
                error.add_note(f"it was {HORSE}")
                raise Refused(f"http://{HORSE}@x") from error
        except Refused:
            raise OSError(2, "no", f"/tmp/{HORSE}") from ExceptionGroup("g", [Refused(HORSE)])

    with pytest.raises(OSError) as raised:
        said_by(masked_events(build(), {"DB_PASSWORD": HORSE}))
    told = "".join(traceback.format_exception(raised.value))
    left: list[BaseException | None] = [raised.value, raised.value.__cause__, raised.value.__context__]
    assert "****" in told
    assert HORSE not in told
    assert HORSE not in repr([vars(one) for one in left if one])
