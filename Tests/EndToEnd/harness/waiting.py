"""Waiting for what happens soon, and doing much at once."""
import time
from concurrent.futures import ThreadPoolExecutor


def eventually(read, accept=bool, timeout=5):
    """The first value of `read()` that `accept` takes; fails with the last one after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = read()
        if accept(value):
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s; the last value was {value!r}")
        time.sleep(0.01)


def together(call, values, workers=16):
    """`call(value)` for each of `values`, up to `workers` at once; the results in the order of the values."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(call, values))
