-- A worker has finished a job of a queue, and takes the next one. Keys, arguments and the shape are those of the largest
-- script of a job queue for Node.js (BullMQ), whose own text can take this one's place: bench -job-script FILE. It names
-- many keys that are not declared, and makes all of its functions at each run, of which most jobs need few.
--
-- KEYS: 1 wait, 2 active, 3 prioritized, 4 events, 5 stalled, 6 limiter, 7 delayed, 8 paused, 9 meta, 10 priority counter,
--       11 finished, 12 job, 13 metrics, 14 marker
-- ARGV: 1 id, 2 time, 3 field of the result, 4 result, 5 completed or failed, 6 "1": fetch the next, 7 prefix,
--       8 options (msgpack), 9 fields to set (msgpack)
local call = redis.call

local function emit(stream, name, id, ...)
    return call("XADD", stream, "*", "event", name, "jobId", id, ...)
end

local function slices(n, size)
    local at = 1 - size
    return function()
        at = at + size
        if at <= n then
            return at, math.min(at + size - 1, n)
        end
    end
end

local function count(key, points, most, now)
    local n = call("HINCRBY", key, "count", 1) - 1
    local before = call("HGET", key, "prevTS")
    if not before then
        call("HSET", key, "prevTS", now, "prevCount", 0)
        return
    end
    local minutes = math.min(math.floor(now / 60000) - math.floor(before / 60000), tonumber(most))
    if minutes <= 0 then
        return
    end
    local list = {n - call("HGET", key, "prevCount")}
    for i = 2, minutes do
        list[i] = 0
    end
    for from, to in slices(#list, 7000) do
        call("LPUSH", points, unpack(list, from, to))
    end
    call("LTRIM", points, 0, most - 1)
    call("HSET", key, "prevCount", n, "prevTS", now)
end

local function unlock(job, stalled, token, id)
    if token == "0" then
        return 0
    end
    local lock = job .. ":lock"
    local holder = call("GET", lock)
    if holder ~= token then
        return holder and -6 or -2
    end
    call("DEL", lock)
    call("SREM", stalled, id)
    return 0
end

local function setFields(job, packed)
    if packed and #packed > 0 then
        call("HSET", job, unpack(cmsgpack.unpack(packed)))
    end
end

local function mark(marker, stopped)
    if not stopped then
        call("ZADD", marker, 0, "0")
    end
end

local function mostEvents(meta)
    local most = call("HGET", meta, "opts.maxLenEvents")
    if not most then
        most = 10000
        call("HSET", meta, "opts.maxLenEvents", most)
    end
    return most
end

local function trim(meta, stream)
    call("XTRIM", stream, "MAXLEN", "~", mostEvents(meta))
end

local function limits(meta, active)
    local m = call("HMGET", meta, "paused", "concurrency", "max", "duration")
    local stopped = m[1] and true or false
    if not stopped and m[2] then
        stopped = call("LLEN", active) >= tonumber(m[2])
    end
    return stopped, m[3], m[4]
end

local function rank(priority, counter)
    return priority * 0x100000000 + call("INCR", counter) % 0x100000000
end

local function enqueue(wait, marker, id, stopped, last)
    call(last and "RPUSH" or "LPUSH", wait, id)
    mark(marker, stopped)
end

local function enqueueByRank(marker, prioritized, priority, id, counter, stopped)
    call("ZADD", prioritized, rank(priority, counter), id)
    mark(marker, stopped)
end

local function wakeDelayed(delayed, marker, wait, prioritized, stream, prefix, now, counter, stopped)
    local due = call("ZRANGEBYSCORE", delayed, 0, (now + 1) * 0x1000 - 1, "LIMIT", 0, 1000)
    if #due == 0 then
        return
    end
    call("ZREM", delayed, unpack(due))
    for _, id in ipairs(due) do
        local priority = tonumber(call("HGET", prefix .. id, "priority")) or 0
        if priority == 0 then
            call("LPUSH", wait, id)
        else
            call("ZADD", prioritized, rank(priority, counter), id)
        end
        emit(stream, "waiting", id, "prev", "delayed")
        call("HSET", prefix .. id, "delay", 0)
    end
    mark(marker, stopped)
end

local function nextDelayed(delayed)
    local first = call("ZRANGE", delayed, 0, 0, "WITHSCORES")
    if #first > 0 then
        return tonumber(first[2]) / 0x1000
    end
end

local function limitedFor(most, limiter)
    if most and most <= tonumber(call("GET", limiter) or 0) then
        local left = call("PTTL", limiter)
        if left == 0 then
            call("DEL", limiter)
        elseif left > 0 then
            return left
        end
    end
    return 0
end

local function popPrioritized(prioritized, active, counter)
    local first = call("ZPOPMIN", prioritized)
    if #first == 0 then
        call("DEL", counter)
        return
    end
    call("LPUSH", active, first[1])
    return first[1]
end

local function begin(prefix, limiter, stream, id, now, most, span, marker, opts)
    local job = prefix .. id
    if most and tonumber(call("INCR", limiter)) == 1 then
        call("PEXPIRE", limiter, math.floor(math.abs(span)))
    end
    if opts["token"] ~= "0" then
        call("SET", job .. ":lock", opts["token"], "PX", opts["lockDuration"])
    end
    local more = {}
    if opts["name"] then
        table.insert(more, "pb")
        table.insert(more, opts["name"])
    end
    emit(stream, "active", id, "prev", "waiting")
    call("HMSET", job, "processedOn", now, unpack(more))
    call("HINCRBY", job, "ats", 1)
    mark(marker, false)
    return {call("HGETALL", job), id, 0, 0}
end

local function fetch(wait, active, prioritized, stream, limiter, delayed, meta, counter, marker, prefix, now, opts)
    local stopped, most, span = limits(meta, active)
    wakeDelayed(delayed, marker, wait, prioritized, stream, prefix, now, counter, stopped)
    local mine = opts["limiter"]
    most = tonumber(most or (mine and mine["max"]))
    local left = limitedFor(most, limiter)
    if left > 0 then
        return {0, 0, left, 0}
    end
    if stopped then
        return {0, 0, 0, 0}
    end
    span = mine and mine["duration"] or span
    local id = call("RPOPLPUSH", wait, active)
    if id and string.sub(id, 1, 2) == "0:" then
        call("LREM", active, 1, id)
        id = nil
    end
    id = id or popPrioritized(prioritized, active, counter)
    if id then
        return begin(prefix, limiter, stream, id, now, most, span, marker, opts)
    end
    local at = nextDelayed(delayed)
    if at then
        return {0, 0, 0, at}
    end
end

local function removeJob(job)
    return call("DEL", job, job .. ":logs", job .. ":dependencies", job .. ":processed", job .. ":failed", job .. ":unsuccessful")
end

local function forgetDouble(prefix, double, id)
    if not double then
        return
    end
    local key = prefix .. "de:" .. double
    local left = call("PTTL", key)
    if left == 0 or left == -1 and call("GET", key) == id then
        return call("DEL", key)
    end
end

local function wakeParent(queue, parent, id, now)
    if call("EXISTS", parent) == 0 or call("SCARD", parent .. ":dependencies") > 0 then
        return
    end
    call("ZREM", queue .. ":waiting-children", id)
    local stopped = limits(queue .. ":meta", queue .. ":active")
    local priority = tonumber(call("HGET", parent, "priority")) or 0
    if priority == 0 then
        enqueue(queue .. ":wait", queue .. ":marker", id, stopped, true)
    else
        enqueueByRank(queue .. ":marker", queue .. ":prioritized", priority, id, queue .. ":pc", stopped)
    end
    emit(queue .. ":events", "waiting", id, "prev", "waiting-children", "at", now)
end

local function tellParent(parent, queue, id, job, value, now)
    if call("SREM", parent .. ":dependencies", job) == 1 then
        call("HSET", parent .. ":processed", job, value)
        wakeParent(queue, parent, id, now)
    end
end

local function failParent(parent, job, value)
    call("SREM", parent .. ":dependencies", job)
    call("HSET", parent .. ":failed", job, value)
end

local function dropOld(set, prefix, ids)
    for _, id in ipairs(ids) do
        removeJob(prefix .. id)
        call("ZREM", set, id)
    end
end

local function dropByAge(now, age, set, prefix, most)
    dropOld(set, prefix, call("ZRANGEBYSCORE", set, "-inf", now - age * 1000, "LIMIT", 0, most))
end

local function dropByCount(keep, set, prefix)
    dropOld(set, prefix, call("ZREVRANGE", set, keep, -1))
end

local job, id, now, stream, meta = KEYS[12], ARGV[1], ARGV[2], KEYS[4], KEYS[9]
if call("EXISTS", job) ~= 1 then
    return -1
end
if ARGV[5] == "completed" then
    if call("SCARD", job .. ":dependencies") ~= 0 then
        return -4
    end
    if call("ZCARD", job .. ":unsuccessful") ~= 0 then
        return -9
    end
end
local opts = cmsgpack.unpack(ARGV[8])
local fault = unlock(job, KEYS[5], opts["token"], id)
if fault < 0 then
    return fault
end
setFields(job, ARGV[9])
local keep = opts["keepJobs"]
local about = call("HMGET", job, "parentKey", "parent", "deid")
local parent, parentID, parentQueue = about[1], nil, nil
if about[2] then
    local decoded = cjson.decode(about[2])
    parentID, parentQueue = decoded["id"], decoded["queueKey"]
end
if call("LREM", KEYS[2], -1, id) < 1 then
    return -3
end
trim(meta, stream)
forgetDouble(ARGV[7], about[3], id)
if parentID then
    if ARGV[5] == "completed" then
        tellParent(parent, parentQueue, parentID, job, ARGV[4], now)
    else
        failParent(parent, job, ARGV[4])
    end
end
local attempts = call("HINCRBY", job, "atm", 1)
if keep["count"] ~= 0 then
    call("ZADD", KEYS[11], now, id)
    call("HSET", job, ARGV[3], ARGV[4], "finishedOn", now)
    if ARGV[5] == "failed" then
        call("HDEL", job, "defa")
    end
    if keep["age"] then
        dropByAge(now, keep["age"], KEYS[11], ARGV[7], keep["limit"] or 1000)
    end
    if keep["count"] and keep["count"] > 0 then
        dropByCount(keep["count"], KEYS[11], ARGV[7])
    end
else
    removeJob(job)
end
emit(stream, ARGV[5], id, ARGV[3], ARGV[4], "prev", "active")
if ARGV[5] == "failed" and tonumber(attempts) >= tonumber(opts["attempts"]) then
    emit(stream, "retries-exhausted", id, "attemptsMade", attempts)
end
if opts["maxMetricsSize"] ~= "" then
    count(KEYS[13], KEYS[13] .. ":data", opts["maxMetricsSize"], now)
end
if ARGV[6] == "1" then
    local taken = fetch(KEYS[1], KEYS[2], KEYS[3], stream, KEYS[6], KEYS[7], meta, KEYS[10], KEYS[14], ARGV[7], now, opts)
    if taken then
        return taken
    end
end
if call("LLEN", KEYS[1]) == 0 and call("LLEN", KEYS[2]) == 0 and call("ZCARD", KEYS[3]) == 0 then
    call("XADD", stream, "*", "event", "drained")
end
return 0
