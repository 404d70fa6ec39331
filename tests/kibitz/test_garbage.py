"""A thread knows when it is in the midst of a collection; no Python code of ours runs for that."""

import gc
import sys
import threading
from collections.abc import Callable
from inspect import isfunction

import pytest

import kibitz
from kibitz import _garbage

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="later Pythons collect between two instructions"
)


class Cycle:
    """Garbage that only a collection finds."""

    def __init__(self, at_end: Callable[[], object]) -> None:
        self.me, self.at_end = self, at_end

    def __del__(self) -> None:
        self.at_end()


def test_only_what_a_collection_ends_is_in_it() -> None:
    kibitz.init()
    seen = []
    Cycle(lambda: seen.append(_garbage.is_collecting()))
    assert not _garbage.is_collecting()
    gc.collect()
    assert seen == [True]
    assert not _garbage.is_collecting()


def test_another_threads_collection_is_not_ours() -> None:
    kibitz.init()
    begun, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        may_end.wait(30)

    Cycle(hold)
    thread = threading.Thread(target=gc.collect)
    thread.start()
    assert begun.wait(30)
    assert _garbage.collecting
    assert not _garbage.is_collecting()
    may_end.set()
    thread.join()
    assert not _garbage.collecting


def test_no_python_code_is_called_where_a_ctrl_c_would_be_lost() -> None:
    kibitz.init()
    kibitz.init()
    ours = [each for each in gc.callbacks if each in _garbage._CALLBACKS]
    assert len(ours) == len(_garbage._CALLBACKS)
    assert not any(isfunction(each) for each in ours)
