"""Writes through redis-py's Sentinel client for as long as its input is open.

    sentinel.py SENTINEL_PORT...

For each write that the leader has and that a follower has acknowledged (WAIT 1) it prints the
number that it wrote: key:N is N then. What fails is tried again with the next number, through
whichever leader the Sentinels name then.
"""

import sys
import threading

import redis
from redis.sentinel import MasterNotFoundError, Sentinel

ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()

sentinel = Sentinel([("127.0.0.1", int(p)) for p in sys.argv[1:]], socket_timeout=1)
leader = sentinel.master_for("kvd", socket_timeout=1)
n = 0
while not ended.is_set():
    n += 1
    try:
        # WAIT counts for the connection of the write, so the two are one.
        with leader.pipeline(transaction=False) as p:
            p.set(f"key:{n}", n)
            p.wait(1, 800)
            reply = p.execute()
        if reply[0] is True and reply[1] >= 1:
            print(n, flush=True)
    except (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.ResponseError, MasterNotFoundError) as e:
        print(f"# {n}: {type(e).__name__}: {e}", flush=True)
        ended.wait(0.1)
    ended.wait(0.002)
