"""What a user of redis.asyncio does, in both protocols, against the server at 127.0.0.1:PORT:

    asyncio_session.py PORT [--modern]
"""

import asyncio

import redis
import redis.asyncio

from checks import check, eq, port, run, truth


def client(proto, **kw):
    return redis.asyncio.Redis(host="127.0.0.1", port=port, db=9, protocol=proto, decode_responses=True, **kw)


async def raises(error, text, awaited):
    try:
        got = await awaited
    except error as e:
        truth(text in str(e), f"error {e!s}, want one with {text!r}")
    else:
        raise AssertionError(f"got {got!r}, want an error with {text!r}")


async def until(what, f):
    """Polls the coroutine function f until it returns something true."""
    async with asyncio.timeout(10):
        while not await f():
            await asyncio.sleep(0.002)


async def next_message(p, **want):
    got = None
    async with asyncio.timeout(10):
        while got is None:
            got = await p.get_message(timeout=1)
    for name, value in want.items():
        eq(got[name], value)


@check
async def values(proto):
    async with client(proto, client_name="mine") as r:
        eq(await r.client_getname(), "mine")
        eq(await r.set("k", "caf\u00e9", ex=100), True)
        eq(await r.get("k"), "caf\u00e9")
        await r.hset("h", mapping={"a": "1", "b": "2"})
        eq(await r.hgetall("h"), {"a": "1", "b": "2"})
        await r.rpush("l", *range(10))
        eq(await r.lrange("l", 0, 2), ["0", "1", "2"])
        await r.sadd("s", "x", "y")
        eq(set(await r.smembers("s")), {"x", "y"})
        await r.zadd("z", {"m": 1.5, "n": 2})
        eq([tuple(p) for p in await r.zrange("z", 0, -1, withscores=True)], [("m", 1.5), ("n", 2.0)])
        await r.mset({f"key:{i}": i for i in range(300)})
        eq({k async for k in r.scan_iter(match="key:*", count=50)}, {f"key:{i}" for i in range(300)})
        eq({m async for m, _ in r.zscan_iter("z")}, {"m", "n"})
        await raises(redis.ResponseError, "WRONGTYPE", r.lpush("k", "x"))


@check
async def many_at_once(proto):
    async with client(proto, max_connections=20) as r:
        got = await asyncio.gather(*(r.incr("n") for _ in range(20)))
        eq(sorted(got), list(range(1, 21)))


@check
async def pipelines(proto):
    async with client(proto) as r:
        async with r.pipeline(transaction=False) as p:
            for i in range(500):
                p.set(f"k{i}", i).get(f"k{i}")
            eq(await p.execute(), [x for i in range(500) for x in (True, str(i))])
        async with r.pipeline() as p:
            eq(await p.incr("n").hset("h", "f", "v").hgetall("h").execute(), [1, 1, {"f": "v"}])
        async with r.pipeline() as p:
            await p.watch("n")
            await r.incr("n")
            p.multi()
            p.set("n", "lost")
            await raises(redis.WatchError, "", p.execute())
        eq(await r.get("n"), "2")


@check
async def pubsub(proto):
    async with client(proto) as r, r.pubsub() as p:
        await p.subscribe("news")
        await p.psubscribe("n*")
        await next_message(p, type="subscribe", channel="news")
        await next_message(p, type="psubscribe", channel="n*")
        eq(await r.publish("news", "hello"), 2)
        await next_message(p, type="message", channel="news", data="hello")
        await next_message(p, type="pmessage", channel="news", data="hello", pattern="n*")
        await p.ssubscribe("shard")
        await next_message(p, type="ssubscribe", channel="shard")
        eq(await r.spublish("shard", "s"), 1)
        await next_message(p, type="smessage", channel="shard", data="s")

        async def publish():
            for i in range(100):
                await r.publish("news", i)
            await r.publish("news", "end")

        await p.punsubscribe("n*")
        task = asyncio.create_task(publish())
        heard = []
        async with asyncio.timeout(20):
            async for m in p.listen():
                if m["type"] == "message":
                    heard.append(m["data"])
                    if m["data"] == "end":
                        break
        await task
        eq(heard, [str(i) for i in range(100)] + ["end"])


@check
async def blocking(proto):
    async with client(proto) as r:
        waiting = asyncio.create_task(r.blpop("q", 20))

        async def blocked():
            return (await r.info("clients"))["blocked_clients"] == 1

        await until("a client is blocked", blocked)
        await r.rpush("q", "job")
        eq(list(await waiting), ["q", "job"])
        # A cancelled wait leaves nothing behind that takes the next element.
        waiting = asyncio.create_task(r.blpop("q", 20))
        await until("a client is blocked", blocked)
        waiting.cancel()
        try:
            await waiting
        except asyncio.CancelledError:
            pass

        async def nobody():
            return (await r.info("clients"))["blocked_clients"] == 0

        await until("nobody is blocked", nobody)
        await r.rpush("q", "kept")
        eq(await r.lrange("q", 0, -1), ["kept"])


@check
async def lock_without_a_script(proto):
    """Ten tasks take turns: no two hold the lock."""
    async with client(proto) as r:
        holders, turns = 0, 0

        async def turn(token):
            nonlocal holders, turns
            while not await r.set("lock", token, nx=True, px=30000):
                await asyncio.sleep(0.001)
            holders += 1
            eq(holders, 1)
            turns += 1
            await asyncio.sleep(0)
            holders -= 1
            async with r.pipeline() as p:
                await p.watch("lock")
                eq(await p.get("lock"), token)
                p.multi()
                p.delete("lock")
                eq(await p.execute(), [1])

        async with asyncio.timeout(30):
            await asyncio.gather(*(turn(f"t{i}") for i in range(10)))
        eq(turns, 10)


run(lambda f, *args: asyncio.run(f(*args)))
