"""A token stops what hangs on it once, from any thread, whatever one of its callbacks does."""

from __future__ import annotations

import threading

import pytest

from buildr_jupyter.errors import Cancelled
from buildr_jupyter.events.cancel import CancelToken


def test_callbacks_are_called_once_in_the_thread_that_sets() -> None:
    token, called = CancelToken(), []
    token.on_cancel(lambda: called.append(threading.current_thread()))
    assert not token.is_set()
    setter = threading.Thread(target=token.set)
    setter.start()
    setter.join(5)
    token.set()
    assert called == [setter]
    assert token.is_set()


def test_one_that_comes_late_is_called_at_once() -> None:
    token, called = CancelToken(), []
    token.set()
    remove = token.on_cancel(lambda: called.append("late"))
    assert called == ["late"]
    remove()
    token.set()
    assert called == ["late"]


def test_what_was_taken_off_is_not_called() -> None:
    token, called = CancelToken(), []
    remove = token.on_cancel(lambda: called.append("off"))
    token.on_cancel(lambda: called.append("on"))
    remove()
    remove()
    token.set()
    assert called == ["on"]


def test_of_two_equal_callbacks_one_is_taken_off() -> None:
    token, called = CancelToken(), []

    def callback() -> None:
        called.append("x")

    token.on_cancel(callback)
    token.on_cancel(callback)()
    token.set()
    assert called == ["x"]


def test_an_error_of_one_keeps_no_other_from_its_call() -> None:
    token, called = CancelToken(), []

    def fail() -> None:
        raise OSError("socket")

    token.on_cancel(fail)
    token.on_cancel(lambda: called.append("second"))
    token.on_cancel(fail)
    with pytest.raises(ExceptionGroup) as caught:
        token.set()
    assert [type(error) for error in caught.value.exceptions] == [OSError, OSError]
    assert called == ["second"]
    token.set()  # they were called; nothing is raised again


def test_a_callback_may_take_off_another_and_set_again() -> None:
    token, called = CancelToken(), []
    remove = token.on_cancel(lambda: called.append("other"))
    token.on_cancel(lambda: (remove(), token.set(), called.append("self"))[0])
    token.set()
    assert called == ["other", "self"]


def test_waiting_ends_when_it_is_set() -> None:
    token = CancelToken()
    assert token.wait(0) is False
    threading.Timer(0.01, token.set).start()
    assert token.wait(5) is True


def test_each_callback_is_called_once_whoever_comes_first() -> None:
    token, called, start = CancelToken(), [], threading.Barrier(8)

    def work(number: int) -> None:
        start.wait(5)
        if number % 4 == 0:
            token.set()
        token.on_cancel(lambda: called.append(number))
        token.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(called) == list(range(8))


def test_check_raises_once_it_is_set_and_says_what_was_cancelled() -> None:
    token = CancelToken()
    token.check("the push")
    token.set()
    with pytest.raises(Cancelled, match=r"^the push was cancelled$"):
        token.check("the push")
    with pytest.raises(Cancelled, match=r"^the work was cancelled$"):
        token.check()
