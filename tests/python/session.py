"""What a redis-py user does, against the server at 127.0.0.1:PORT:

    session.py PORT [--modern]

Every check prints what it found if it does not hold; the exit code is 1 then. See checks.py.
"""

import time

import redis

from checks import check, client, eq, modern, raises, run


@check
def mapping_session():
    r = client(db=9)
    r["a"] = 24.0
    eq(r["a"], b"24.0")
    eq(client(db=0).get("a"), None)
    eq("a" in r, True)
    del r["a"]
    eq(r.get("a") is None, True)
    try:
        r["a"]
    except KeyError:
        pass
    else:
        raise AssertionError("a missing key raises no KeyError")


@check
def default_protocol():
    """The protocol that this redis-py speaks by itself is answered, without a fallback."""
    r = client()
    conn = r.connection_pool.get_connection()
    try:
        spoken = int(conn.protocol)
        proto = (getattr(conn, "handshake_metadata", None) or {}).get(b"proto")
    finally:
        r.connection_pool.release(conn)
    # The server's own word; client_info parses the line, and not every version keeps resp.
    line = r.execute_command("CLIENT", "INFO")
    text = str(line)
    if f"'resp': '{spoken}'" not in text and f"resp={spoken}" not in text:
        raise AssertionError(f"redis-py speaks {spoken}, CLIENT INFO says {text}")
    major = int(redis.__version__.split(".")[0])
    if major >= 8:
        eq(spoken, 3)
        eq(proto, 3)
    print(f"  redis-py {redis.__version__} speaks RESP{spoken}")


@check
def both_protocols():
    for proto in (2, 3):
        r = client(protocol=proto, db=9, client_name="tester", decode_responses=True)
        eq(r.ping(), True)
        eq(r.client_getname(), "tester")
        eq(r.set("k", "caf\u00e9"), True)
        eq(r.get("k"), "caf\u00e9")
        eq(r.get("none"), None)
        eq(r.echo("x"), "x")


@check
def strings():
    r = client(db=9)
    r.flushdb()
    eq(r.set("k", "v", ex=100, nx=True), True)
    eq(r.set("k", "w", nx=True), None)
    eq(r.set("k", "w", xx=True, get=True, keepttl=True), b"v")
    eq(0 < r.ttl("k") <= 100, True)
    eq(r.getex("k", persist=True), b"w")
    eq(r.ttl("k"), -1)
    eq(r.append("k", "!!"), 3)
    eq(r.getrange("k", 1, -1), b"!!")
    eq(r.setrange("k", 5, "x"), 6)
    eq(r.get("k"), b"w!!\0\0x")
    eq(r.strlen("k"), 6)
    eq(r.getdel("k"), b"w!!\0\0x")
    eq(r.exists("k"), 0)
    eq(r.incr("n"), 1)
    eq(r.incrby("n", 9007199254740993), 9007199254740994)
    eq(r.decrby("n", 4), 9007199254740990)
    eq(r.incrbyfloat("f", 0.1), 0.1)
    eq(r.mset({"a": 1, "b": 2}), True)
    eq(r.mget("a", "none", "b"), [b"1", None, b"2"])
    eq(r.msetnx({"b": 1, "c": 2}), False)
    eq(bool(r.setnx("d", 1)), True)
    eq(r.setbit("bits", 7, 1), 0)
    eq(r.getbit("bits", 7), 1)
    eq(r.bitcount("bits"), 1)
    eq(r.bitpos("bits", 1), 7)
    eq(r.bitop("NOT", "not", "bits"), 1)
    eq(r.get("not"), b"\xfe")
    eq(r.bitfield("bf").set("u8", 0, 200).incrby("u8", 0, 100, overflow="SAT").get("u8", 0).execute(), [0, 255, 255])
    r.mset({"x": "ohmytext", "y": "mynewtext"})
    eq(r.lcs("x", "y"), b"mytext")
    eq(r.lcs("x", "y", len=True), 6)
    big = bytes(range(256)) * 1000
    eq(r.set("big", big), True)
    eq(r.get("big"), big)
    raises("not an integer", r.incr, "x")
    raises("wrong number of arguments", r.execute_command, "GET")


@check
def generic():
    r = client(db=9)
    r.flushdb()
    r.mset({f"key:{i}": i for i in range(300)})
    eq(r.dbsize(), 300)
    eq(len(set(r.scan_iter(count=50))), 300)
    eq(sorted(r.scan_iter(match="key:1?")), [b"key:%d" % i for i in range(10, 20)])
    eq(sorted(r.scan_iter(match="key:?", _type="string")), [b"key:%d" % i for i in range(10)])
    eq(sorted(r.keys("key:2")), [b"key:2"])
    eq(r.type("key:1"), b"string")
    eq(r.object("encoding", "key:1"), b"int")
    eq(r.rename("key:1", "renamed"), True)
    eq(r.renamenx("renamed", "key:2"), False)
    eq(r.copy("renamed", "key:2"), False)
    eq(r.copy("renamed", "key:2", replace=True), True)
    at = int(time.time()) + 1000
    eq(r.expireat("key:2", at), True)
    eq(r.expiretime("key:2"), at)
    eq(r.pexpiretime("key:2"), at * 1000)
    eq(bool(r.expire("key:2", 10, nx=True)), False)
    eq(bool(r.persist("key:2")), True)
    payload = r.dump("key:2")
    eq(r.restore("restored", 5000, payload), b"OK")
    eq(r.get("restored"), b"1")
    eq(0 < r.pttl("restored") <= 5000, True)
    raises("BUSYKEY", r.restore, "restored", 0, payload)
    eq(r.touch("key:2", "none"), 1)
    eq(r.unlink("key:2", "key:3", "none"), 2)
    eq(r.delete("key:4"), 1)
    eq(bool(r.move("key:5", 0)), True)
    eq(client(db=0).get("key:5"), b"5")
    eq(r.randomkey() is None, False)
    r.pexpire("key:6", 1)
    deadline = time.time() + 5
    while r.exists("key:6"):
        if time.time() > deadline:
            raise AssertionError("a key outlives its deadline")
    eq(r.flushdb(), True)
    eq(r.dbsize(), 0)
    eq(r.randomkey(), None)


@check
def pipelines():
    r = client(db=9)
    r.flushdb()
    with r.pipeline(transaction=False) as p:
        for i in range(1000):
            p.set(f"p{i}", i)
            p.incr(f"p{i}")
        got = p.execute()
    eq(got, [x for i in range(1000) for x in (True, i + 1)])
    with r.pipeline(transaction=False) as p:
        p.set("k", "text").incr("k").get("k")
        got = p.execute(raise_on_error=False)
    eq(got[0], True)
    eq(isinstance(got[1], redis.ResponseError), True)
    eq(got[2], b"text")


@check
def transactions():
    r = client(db=9)
    r.flushdb()
    with r.pipeline() as p:
        eq(p.set("k", 1).incr("k").execute(), [True, 2])
    with r.pipeline() as p:
        p.watch("k")
        r.set("k", 5)
        p.multi()
        p.incr("k")
        try:
            p.execute()
        except redis.WatchError:
            pass
        else:
            raise AssertionError("a transaction whose watched key changed was executed")
    eq(r.get("k"), b"5")


@check
def newer_set_options():
    if not modern:
        return
    r = client(db=9)
    r.flushdb()
    eq(r.set("k", "new", ifeq="old"), None)
    eq(r.exists("k"), 0)
    eq(r.set("k", "one", ifne="old"), True)
    eq(r.set("k", "two", ifeq="one"), True)
    eq(r.set("k", "three", ifeq="one"), None)
    eq(r.get("k"), b"two")
    digest = r.digest("k").decode()
    eq(len(digest), 16)
    eq(r.set("k", "three", ifdne=digest), None)
    eq(r.set("k", "three", ifdeq=digest, ex=100), True)
    eq(0 < r.ttl("k") <= 100, True)
    eq(r.digest("k").decode() != digest, True)
    eq(r.digest("none"), None)


@check
def newer_delex():
    if not modern:
        return
    r = client(db=9)
    r.flushdb()
    r.set("k", "v")
    eq(r.delex("k", ifeq="w"), 0)
    eq(r.delex("k", ifne="v"), 0)
    eq(r.delex("k", ifdeq=r.digest("k").decode()), 1)
    eq(r.delex("k"), 0)
    r.set("k", "v")
    eq(r.delex("k"), 1)


@check
def newer_msetex():
    if not modern:
        return
    from redis.commands.core import DataPersistOptions

    r = client(db=9)
    r.flushdb()
    eq(r.msetex({"a": 1, "b": 2}, ex=100), 1)
    eq(r.mget("a", "b"), [b"1", b"2"])
    eq(0 < r.ttl("b") <= 100, True)
    eq(r.msetex({"b": 3, "c": 3}, data_persist_option=DataPersistOptions.NX), 0)
    eq(r.exists("c"), 0)
    eq(r.msetex({"b": 3, "c": 3}, data_persist_option=DataPersistOptions.XX), 0)
    eq(r.msetex({"a": 3, "b": 3}, data_persist_option=DataPersistOptions.XX, keepttl=True), 1)
    eq(0 < r.ttl("a") <= 100, True)
    eq(r.msetex({"a": 3}), 1)
    eq(r.ttl("a"), -1)


@check
def newer_increx():
    if not modern:
        return
    r = client(db=9)
    r.flushdb()
    if not hasattr(r, "increx"):
        print("  this redis-py has no increx")
        return
    eq(r.increx("n"), [1, 1])
    eq(r.increx("n", byint=10, ex=100), [11, 10])
    eq(0 < r.ttl("n") <= 100, True)
    eq(r.increx("n", byint=10, ubound=15), [11, 0])
    eq(r.increx("n", byint=10, ubound=15, saturate=True), [15, 4])
    eq(r.increx("n", byint=-100, lbound=0, saturate=True, persist=True), [0, -15])
    eq(r.ttl("n"), -1)
    got = r.increx("f", byfloat=1.5)
    eq([float(x) for x in got], [1.5, 1.5])


run()
