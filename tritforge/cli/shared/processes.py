"""Calls of a function in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")


def in_processes(
    function: Callable[..., T], calls: Sequence[tuple[Any, ...]], processes: int
) -> Iterator[tuple[int, T]]:
    """Index and outcome of ``function(*call)`` for each call, as they end; in this process where one is asked for."""
    if processes == 1:
        for index, call in enumerate(calls):
            yield index, function(*call)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(function, *call): index for index, call in enumerate(calls)}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
