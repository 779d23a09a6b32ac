"""What the scripts of this directory share: checks that say what they found, and clients.

A script's arguments are PORT [--modern]. --modern adds the commands and options that came after
Redis 7.0. The scripts use databases 0 and 9 and empty them.
"""

import inspect
import sys
import time
import traceback
import warnings

import redis

port = int(sys.argv[1])
modern = "--modern" in sys.argv[2:]
registered = []

# redis-py marks what is new in the server as experimental.
warnings.simplefilter("ignore")


def check(f):
    """Registers a function as a check. One with a parameter runs with each protocol, 2 and 3."""
    registered.append(f)
    return f


def eq(got, want):
    """Wants want, of its very type (True is not 1)."""
    if got != want or type(got) is not type(want):
        raise AssertionError(f"got {got!r}, want {want!r}")


def truth(got, what):
    if not got:
        raise AssertionError(what)


def raises(text, f, *args, error=redis.ResponseError, **kw):
    """Wants an error of the class error with text in it."""
    try:
        got = f(*args, **kw)
    except error as e:
        if text not in str(e):
            raise AssertionError(f"error {e!s}, want one with {text!r}")
    else:
        raise AssertionError(f"got {got!r}, want an error with {text!r}")


def until(what, f, seconds=10):
    """Polls f until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        got = f()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.002)


def client(**kw):
    return redis.Redis(host="127.0.0.1", port=port, socket_timeout=20, **kw)


def run(call=lambda f, *args: f(*args)):
    """Runs what is registered, through call, and exits with 1 if a check failed."""
    failures = 0
    for f in registered:
        for args in [(2,), (3,)] if inspect.signature(f).parameters else [()]:
            print(f.__name__, *args)
            with client() as r:
                r.flushall()
            try:
                call(f, *args)
            except Exception:
                failures += 1
                traceback.print_exc(file=sys.stdout)
    with client() as r:
        r.flushall()
    sys.exit(1 if failures else 0)
