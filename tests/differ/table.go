package differ

import (
	"fmt"
	"slices"
	"strings"
)

// containers are the commands whose second word is a subcommand.
var containers = map[string]bool{"OBJECT": true, "CLIENT": true, "CONFIG": true, "COMMAND": true, "DEBUG": true, "MEMORY": true, "XGROUP": true, "XINFO": true}

// families are the groups of forms that a run can have, in the order in which they land.
var families = []struct {
	name  string
	pools string // the key pools that its commands fill
	forms string
}{
	{"strings", "snb", `
APPEND <str> <val>
APPEND <num> <int>
APPEND <big> <bigval>
DECR <num>
DECRBY <num> <int>
GET <str>
GET <num>
GET <big>
GETDEL <str>
GETDEL <num>
GETEX <str> [EX <sec> | PX <ms> | EXAT <at> | PXAT <atms> | PERSIST]
GETRANGE <str> <index> <index>
GETRANGE <bits> <index> <index>
GETRANGE <big> <bigoff> <bigoff>
SUBSTR <str> <index> <index>
GETSET <str> <val>
INCR <num>
INCRBY <num> <int>
INCRBYFLOAT <num> <float>
LCS <str> <str> [LEN] [IDX] [MINMATCHLEN <small>] [WITHMATCHLEN]
LCS <str> <str> [LEN | IDX] [WITHMATCHLEN]
MGET {<str>}
MGET {<any>}
MSET {<str> <val>}
MSETNX {<str> <val>}
MSETNX {<missing> <val>}
PSETEX <str> <ms> <val>
SETEX <str> <sec> <val>
SET <str> <val> [EX <sec> | PX <ms> | EXAT <at> | PXAT <atms> | KEEPTTL] [NX | XX] [GET]
SET <str> <val>
SET <num> <int> [KEEPTTL]
SET <num> <float>
SET <bits> <val>
SET <big> <bigval>
SETNX <str> <val>
SETRANGE <str> <offset> <val>
SETRANGE <missing> <small> <short>
SETRANGE <str> <small> <short>
SETRANGE <big> <bigoff> <val>
STRLEN <str>
STRLEN <big>
SETBIT <bits> <bitoff> <bit>
GETBIT <bits> <bitoff>
BITCOUNT <bits> [<index> <index>]
BITCOUNT <bits> <index> <index> [BYTE | BIT]
BITPOS <bits> <bit> [<index>]
BITPOS <bits> <bit> <index> <index> [BYTE | BIT]
BITOP (AND | OR | XOR) <bits> {<bits>}
BITOP (NOT) <bits> <bits>
BITFIELD <bits> {(GET <bft> <bfo> | SET <bft> <bfo> <int> | INCRBY <bft> <bfo> <int> | OVERFLOW (WRAP | SAT | FAIL))}
BITFIELD <bits> OVERFLOW (WRAP | SAT | FAIL) {(INCRBY <bft> <bfo> <int> | SET <bft> <bfo> <int>)}
BITFIELD <bits>
BITFIELD_RO <bits> {(GET <bft> <bfo>)}
BITFIELD_RO <bits>
`},
	{"generic", "", `
COPY <any> <any> [DB <otherdb>] [REPLACE]
DEL {<any>}
UNLINK {<any>}
EXISTS {<any>}
TOUCH {<any>}
@dump DUMP <any>
EXPIRE <any> <sec> [NX | XX | GT | LT]
EXPIREAT <any> <at> [NX | XX | GT | LT]
PEXPIRE <any> <ms> [NX | XX | GT | LT]
PEXPIREAT <any> <atms> [NX | XX | GT | LT]
@seconds EXPIRETIME <any>
@millis PEXPIRETIME <any>
@seconds TTL <any>
@millis PTTL <any>
PERSIST <any>
@sorted KEYS <pattern>
~ MOVE <any> <otherdb>
@encoding OBJECT ENCODING <any>
@kind OBJECT REFCOUNT <any>
@idle OBJECT IDLETIME <any>
OBJECT FREQ <any>
OBJECT <word> <any>
@randomkey RANDOMKEY
RENAME <any> <any>
RENAMENX <any> <any>
RESTORE <any> 0 <payload> [REPLACE] [IDLETIME <small> | FREQ <small>]
RESTORE <any> <ms> <payload> [REPLACE]
RESTORE <any> <atms> <payload> [REPLACE] (ABSTTL)
@scan SCAN 0 [MATCH <pattern>] [COUNT <cnt>] [TYPE <type>]
@scan SCAN <int>
@scan SCAN <bad> [COUNT <bad>]
TYPE <any>
~ SELECT <db>
SELECT 0
~ SWAPDB <otherdb> <db>
@dbsize DBSIZE
~ FLUSHDB [ASYNC | SYNC]
~ FLUSHALL [ASYNC | SYNC]
`},
	{"connection", "", `
PING [<val>]
ECHO <val>
@hello HELLO [2 | 3]
@hello HELLO (2 | 3) [SETNAME <name>]
@hello HELLO (3) [AUTH <word> <word>] [SETNAME <name>]
@hello HELLO <bad>
AUTH <word> [<word>]
RESET
CLIENT GETNAME
CLIENT SETNAME <name>
@kind CLIENT ID
@kind CLIENT INFO
@kind CLIENT LIST [TYPE (NORMAL | MASTER | PUBSUB | REPLICA) | ID <small>]
@kind CLIENT LIST (TYPE <word> | ID <bad> | <word>)
CLIENT KILL (<word> | ID 99999999 | TYPE <word> | USER <word> | SKIPME <word>)
CLIENT NO-EVICT (ON | OFF | <word>)
CLIENT REPLY (ON | <word>)
CLIENT UNPAUSE
! CLIENT PAUSE <word>
CLIENT UNBLOCK 99999999 [TIMEOUT | ERROR | <word>]
CLIENT GETREDIR
CLIENT TRACKINGINFO
CLIENT <word> [<word>]
COMMAND GETKEYS (SET a b | MSET a 1 b 2 | GET a | DEL a b c | COPY a b | BITOP AND d a b | GET | PING | <word> | MSETNX a 1 | LCS a b)
COMMAND GETKEYSANDFLAGS (SET a b | SET a b GET | MSET a 1 b 2 | GETDEL a | DEL a b | COPY a b | BITFIELD a | BITFIELD a GET u8 0)
@cmdinfo COMMAND INFO <command> [<command>] [<junk>]
! COMMAND <word> [<word>]
@pairs CONFIG GET (hash-max-listpack-entries | hash-max-listpack-value | set-max-intset-entries | zset-max-listpack-entries | zset-max-listpack-value | list-max-listpack-size | list-compress-depth | maxmemory | maxmemory-policy | appendonly | appendfsync | databases | timeout | tcp-keepalive | proto-max-bulk-len | save | <word>)
! CONFIG SET (hash-max-listpack-entries <limit> | zset-max-listpack-value <limit> | maxmemory-policy noeviction | appendfsync everysec)
! CONFIG SET (maxmemory-policy <word> | databases 5 | <word> 1 | timeout abc | hash-max-listpack-entries abc | appendonly maybe | maxmemory 12zb | timeout -1 | timeout 0 timeout 0)
! CONFIG SET <word>
CONFIG RESETSTAT
CONFIG REWRITE
CONFIG <word> [<word>]
DEBUG <word>
@kind DEBUG OBJECT <missing>
OBJECT <word>
@kind TIME
@kind LASTSAVE
@kind INFO [server | clients | memory | keyspace | everything | <word>]
<word> {<val>}
`},
	{"lists", "l", `
LPUSH <list> {<elem>}
RPUSH <list> {<elem>}
LPUSHX <list> {<elem>}
RPUSHX <list> {<elem>}
LPOP <list> [<count>]
RPOP <list> [<count>]
LLEN <list>
LRANGE <list> <index> <index>
LINDEX <list> <index>
LSET <list> <index> <elem>
LINSERT <list> (BEFORE | AFTER) <elem> <elem>
LREM <list> <signed> <elem>
LREM <list> (1 | 2 | -1 | -2) (a | b | 1)
LTRIM <list> <index> <index>
LPOS <list> <elem> [RANK <signed>] [COUNT <count>] [MAXLEN <small>]
RPOPLPUSH <list> <list>
LMOVE <list> <list> (LEFT | RIGHT) (LEFT | RIGHT)
LMPOP #{<list>} (LEFT | RIGHT) [COUNT <small>]
BLPOP {<list>} <wait>
BRPOP {<list>} <wait>
BRPOPLPUSH <list> <list> <wait>
BLMOVE <list> <list> (LEFT | RIGHT) (LEFT | RIGHT) <wait>
BLMPOP <wait> #{<list>} (LEFT | RIGHT) [COUNT <small>]
RPUSH <list> <elem> <elem> <elem> <elem> <elem> <elem> <elem> <elem>
RPUSH <list> a b 1 <elem> a 1 b <elem> a
`},
	{"sets", "e", `
SADD <set> {<elem>}
SADD <set> <elem> <elem> <elem> <elem> <elem> <elem> <elem>
SADD <set> <int> <int> <int>
SREM <set> {<elem>}
SCARD <set>
SISMEMBER <set> <elem>
SMISMEMBER <set> {<elem>}
@unordered SMEMBERS <set>
SMOVE <set> <set> <elem>
@spop SPOP <set> [<count>]
@srandmember SRANDMEMBER <set> [<signed>]
@sorted SINTER {<set>}
@sorted SUNION {<set>}
@sorted SDIFF {<set>}
SINTERSTORE <set> {<set>}
SUNIONSTORE <set> {<set>}
SDIFFSTORE <set> {<set>}
SINTERCARD #{<set>} [LIMIT <small>]
@keyscan SSCAN <set> 0 [MATCH <pattern>] [COUNT <cnt>]
@keyscan SSCAN <set> <bad>
`},
	{"hashes", "h", `
HSET <hash> {<field> <elem>}
HSET <hash> <field> <int> <field> <elem> <field> <float>
HMSET <hash> {<field> <elem>}
HSETNX <hash> <field> <elem>
HGET <hash> <field>
HMGET <hash> {<field>}
HDEL <hash> {<field>}
HEXISTS <hash> <field>
HLEN <hash>
HSTRLEN <hash> <field>
HINCRBY <hash> <field> <int>
HSET <hash> n <int>
HINCRBY <hash> n <int>
HINCRBYFLOAT <hash> <field> <float>
@unorderedpairs HGETALL <hash>
@unordered HKEYS <hash>
@unordered HVALS <hash>
@hrandfield HRANDFIELD <hash> [<signed>]
@hrandfield HRANDFIELD <hash> <signed> [WITHVALUES]
@keyscan HSCAN <hash> 0 [MATCH <pattern>] [COUNT <cnt>]
@keyscan HSCAN <hash> <bad>
`},
	{"zsets", "z", `
ZADD <zset> [NX | XX] [GT | LT] [CH] {<score> <elem>}
ZADD <zset> [NX | XX] [GT | LT] [CH] (INCR) <score> <elem>
ZADD <zset> <score> a <score> b <score> c <score> d <score> e <score> f
! ZADD <lexz> 0 a 0 b 0 c 0 d 0 e 0 f
! ZADD <lexz> [NX | XX] {0 <elem>}
ZREM <lexz> {<elem>}
ZINCRBY <zset> <score> <elem>
ZREM <zset> {<elem>}
ZCARD <zset>
ZSCORE <zset> <elem>
ZMSCORE <zset> {<elem>}
ZRANK <zset> <elem>
ZREVRANK <zset> <elem>
ZCOUNT <zset> <bound> <bound>
@lex ZLEXCOUNT <lexz> <lex> <lex>
ZRANGE <zset> <index> <index> [REV] [WITHSCORES]
ZRANGE <zset> <bound> <bound> (BYSCORE) [REV] [LIMIT <signed> <signed>] [WITHSCORES]
@lex ZRANGE <lexz> <lex> <lex> (BYLEX) [REV] [LIMIT <signed> <signed>]
ZRANGESTORE <zset> <zset> <index> <index> [REV]
ZRANGESTORE <zset> <zset> <bound> <bound> (BYSCORE) [REV] [LIMIT <signed> <signed>]
@lex ZRANGESTORE <zset> <lexz> <lex> <lex> (BYLEX) [REV] [LIMIT <signed> <signed>]
ZREVRANGE <zset> <index> <index> [WITHSCORES]
ZRANGEBYSCORE <zset> <bound> <bound> [WITHSCORES] [LIMIT <signed> <signed>]
ZREVRANGEBYSCORE <zset> <bound> <bound> [WITHSCORES] [LIMIT <signed> <signed>]
@lex ZRANGEBYLEX <lexz> <lex> <lex> [LIMIT <signed> <signed>]
@lex ZREVRANGEBYLEX <lexz> <lex> <lex> [LIMIT <signed> <signed>]
ZREMRANGEBYRANK <zset> <index> <index>
ZREMRANGEBYSCORE <zset> <bound> <bound>
@lex ZREMRANGEBYLEX <lexz> <lex> <lex>
ZPOPMIN <zset> [<count>]
ZPOPMAX <zset> [<count>]
BZPOPMIN {<zset>} <wait>
BZPOPMAX {<zset>} <wait>
ZMPOP #{<zset>} (MIN | MAX) [COUNT <small>]
BZMPOP <wait> #{<zset>} (MIN | MAX) [COUNT <small>]
ZUNION 2 <setorz> <setorz> [WEIGHTS <score> <score>] [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]
ZUNION #{<setorz>} [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]
ZINTER 2 <setorz> <setorz> [WEIGHTS <score> <score>] [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]
ZINTER #{<setorz>} [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]
ZDIFF #{<setorz>} [WITHSCORES]
ZUNIONSTORE <zset> 2 <setorz> <setorz> [WEIGHTS <score> <score>] [AGGREGATE (SUM | MIN | MAX)]
ZINTERSTORE <zset> 2 <setorz> <setorz> [WEIGHTS <score> <score>] [AGGREGATE (SUM | MIN | MAX)]
ZDIFFSTORE <zset> #{<setorz>}
ZINTERCARD #{<setorz>} [LIMIT <small>]
@zrandmember ZRANDMEMBER <zset> [<signed>]
@zrandmember ZRANDMEMBER <zset> <signed> [WITHSCORES]
@keyscan ZSCAN <zset> 0 [MATCH <pattern>] [COUNT <cnt>]
@keyscan ZSCAN <zset> <bad>
`},
	{"geo", "p", `
GEOADD <geo> {<lon> <lat> <elem>}
GEOADD <geo> <lon> <lat> a <lon> <lat> b <lon> <lat> c <lon> <lat> d <lon> <lat> e <lon> <lat> f <lon> <lat> g <lon> <lat> h
GEOADD <geo> <lon> <lat> 1 <lon> <lat> 2 <lon> <lat> 3 <lon> <lat> 4 <lon> <lat> 5 <lon> <lat> 6 <lon> <lat> 7 <lon> <lat> 8
GEOADD <geo> [NX | XX] [CH] {<lon> <lat> <elem>}
GEOPOS <geo> {<elem>}
GEOPOS <geo>
GEOHASH <geo> {<elem>}
GEODIST <geo> <elem> <elem> [<unit>]
GEODIST <geo> a b [<unit>]
ZSCORE <geo> <elem>
ZREM <geo> {<elem>}
@around GEOSEARCH <geo> (FROMMEMBER <elem> | FROMLONLAT <lon> <lat>) (BYRADIUS <length> <unit> | BYBOX <length> <length> <unit>) [ASC | DESC] [WITHCOORD] [WITHDIST] [WITHHASH]
@around GEOSEARCH <geo> (FROMMEMBER <elem> | FROMLONLAT <lon> <lat>) (BYRADIUS <length> <unit> | BYBOX <length> <length> <unit>) [ASC | DESC] (COUNT <count>) [ANY] [WITHCOORD] [WITHDIST] [WITHHASH]
@around GEOSEARCH <geo> FROMMEMBER <elem> BYRADIUS <length> km [WITHDIST]
@around GEOSEARCHSTORE <geo> <geo> (FROMMEMBER <elem> | FROMLONLAT <lon> <lat>) (BYRADIUS <length> <unit> | BYBOX <length> <length> <unit>) [ASC | DESC] [COUNT <count>]
GEORADIUS <geo> <lon> <lat> <length> <unit> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count>] [ANY] [ASC | DESC]
GEORADIUS <geo> <lon> <lat> <length> <unit> [COUNT <count>] [ASC | DESC] (STORE <geo>)
@around GEORADIUSBYMEMBER <geo> <elem> <length> <unit> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count>] [ANY] [ASC | DESC]
@around GEORADIUSBYMEMBER <geo> <elem> <length> <unit> [COUNT <count>] [ASC | DESC] (STORE <geo>)
GEORADIUS_RO <geo> <lon> <lat> <length> <unit> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count>] [ANY] [ASC | DESC]
@around GEORADIUSBYMEMBER_RO <geo> <elem> <length> <unit> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count>] [ANY] [ASC | DESC]
`},
	{"hlls", "y", `
@pfadd PFADD <hll> {<elem>}
@pfadd PFADD <hll>
@pfadd PFADD <hll> <val> <val> <elem> <float> <int> <int> <int> <int>
@pfadd PFADD <hll> <float> <float> <float> <float> <float> <float> <float> <float>
PFCOUNT <hll>
PFCOUNT {<hll>}
PFMERGE <hll> {<hll>}
PFMERGE <hll>
PFDEBUG (ENCODING | DECODE | GETREG | TODENSE | <word>) <hll>
PFDEBUG (ENCODING | DECODE) <hll>
GET <hll>
STRLEN <hll>
~ DEL <hll>
~ SET <hll> <val>
~ APPEND <hll> <val>
! CONFIG SET (hll-sparse-max-bytes <limit> | hll-sparse-max-bytes 3000)
`},
	// Not tried: what 7.2 and later do otherwise (see known.go), and trimming by an exact ID, after which 7.0
	// may keep a node without entries, whose place in the next trim shows.
	{"streams", "r", `
XADD <stream> <xnew> {<field> <elem>}
XADD <stream> <xnew> a 1 b <elem>
XADD <stream> [NOMKSTREAM] <xnew> f <val>
XADD <stream> (MAXLEN <small> | MAXLEN = <small> | MAXLEN ~ <small> | MINID ~ <xid>) <xnew> f <elem> g <elem>
XADD <stream> (MAXLEN ~ <small> | MINID ~ <xid>) LIMIT <small> <xnew> f <elem>
XLEN <stream>
XRANGE <stream> <xfrom> <xto> [COUNT <count>]
XREVRANGE <stream> <xto> <xfrom> [COUNT <count>]
XDEL <stream> {<xid>}
XTRIM <stream> (MAXLEN <small> | MAXLEN = <small> | MAXLEN ~ <small> | MINID ~ <xid>)
XTRIM <stream> (MAXLEN | MINID) ~ <small> LIMIT <small>
~ XSETID <stream> 70-0 [ENTRIESADDED <int>] [MAXDELETEDID <xid>]
! XREAD [COUNT <count>] STREAMS <stream> <xid>
! XREAD [COUNT <count>] [BLOCK 1] STREAMS <stream> <stream> <xid> $
! XREAD (BLOCK -1 | BLOCK x | COUNT x | NOACK | GROUP g c | FOO) STREAMS <stream> <xid>
! XREAD STREAMS <stream> >
! XREADGROUP GROUP <xgrp> <xcons> [COUNT <count>] [NOACK] STREAMS <stream> >
! XREADGROUP GROUP g <xcons> [COUNT <count>] [BLOCK 1] STREAMS <stream> <stream> > >
! XREADGROUP GROUP <xgrp> <xcons> [COUNT <count>] STREAMS <stream> <xid>
! XREADGROUP GROUP g <xcons> (BLOCK -1 | BLOCK x | COUNT x | FOO) STREAMS <stream> ($ | >)
! XGROUP CREATE <stream> <xgrp> (<xid> | $) [MKSTREAM] [ENTRIESREAD <small>]
XGROUP CREATE <stream> g 0 [MKSTREAM]
XGROUP CREATE <stream> <xgrp> (<xid> | $) [ENTRIESREAD <bad>]
XGROUP SETID <stream> <xgrp> (<xid> | $) [ENTRIESREAD <small>]
~ XGROUP DESTROY <stream> <xgrp>
@kind XGROUP CREATECONSUMER <stream> <xgrp> <xcons>
XGROUP DELCONSUMER <stream> <xgrp> <xcons>
XACK <stream> <xgrp> {<xid>}
@xpending XPENDING <stream> <xgrp>
@xpending XPENDING <stream> <xgrp> <xfrom> <xto> <count> [<xcons>]
@xpending XPENDING <stream> <xgrp> IDLE <xmin> <xfrom> <xto> <count> [<xcons>]
XCLAIM <stream> <xgrp> <xcons> <xmin> {<xid>} [IDLE <small>] [TIME <small>] [RETRYCOUNT <small>] [FORCE] [JUSTID] [LASTID <xid>]
XCLAIM <stream> g <xcons> 0 {<xid>} (FORCE | JUSTID | RETRYCOUNT <signed>)
XAUTOCLAIM <stream> <xgrp> <xcons> <xmin> <xfrom> [COUNT <count>] [JUSTID]
@xinfo XINFO STREAM <stream>
@xinfo XINFO STREAM <stream> FULL [COUNT <count>]
@xinfo XINFO GROUPS <stream>
@xinfo XINFO CONSUMERS <stream> <xgrp>
! CONFIG SET stream-node-max-entries (3 | 7 | 100)
! CONFIG SET stream-node-max-bytes (60 | 200 | 4096)
`},
	{"sort", "lezwo", `
SET <weight> <score>
SET <weight> <elem>
HSET <weighth> f <score>
RPUSH <list> <small> <small> <signed>
SADD <set> <small> <small> <signed>
ZADD <zset> <score> <small> <score> <small>
@sort SORT <sortkey> [BY <by>] [LIMIT <signed> <signed>] [GET <get>] [GET <get>] [ASC | DESC] [ALPHA]
@sort SORT_RO <sortkey> [BY <by>] [LIMIT <signed> <signed>] [GET <get>] [GET <get>] [ASC | DESC] [ALPHA]
@sort SORT <sortkey> [BY <by>] [LIMIT <signed> <signed>] [GET <get>] [ASC | DESC] (STORE <list>)
@sort SORT <sortkey> [LIMIT <signed> <signed>] [GET <get>] [ASC | DESC] (ALPHA) (STORE <list>)
`},
}

// forms is the whole table, parsed.
var forms []*form

func init() {
	for _, fam := range families {
		for _, line := range strings.Split(strings.TrimSpace(fam.forms), "\n") {
			f, err := parseForm(fam.name, line)
			if err != nil {
				panic(fmt.Sprintf("differ: table: %v", err))
			}
			forms = append(forms, &f)
		}
	}
}

// Families are the names of all families.
func Families() []string {
	var out []string
	for _, f := range families {
		out = append(out, f.name)
	}
	return out
}

// choose returns the forms of the named families without the commands to skip, and the key pools that they fill.
func choose(names []string, skip []string) (chosen []*form, fill []string, err error) {
	for _, name := range names {
		if !slices.Contains(Families(), name) {
			return nil, nil, fmt.Errorf("no family %q; there are %s", name, strings.Join(Families(), ", "))
		}
	}
	for _, fam := range families {
		if !slices.Contains(names, fam.name) {
			continue
		}
		for _, p := range fam.pools {
			if !slices.Contains(fill, string(p)) {
				fill = append(fill, string(p))
			}
		}
		for _, f := range forms {
			if f.family == fam.name && !slices.Contains(skip, f.name) && !slices.Contains(skip, strings.Fields(f.name)[0]) {
				chosen = append(chosen, f)
			}
		}
	}
	if len(fill) == 0 { // generic commands alone, on keys that only RESTORE makes
		fill = []string{"s", "n"}
	}
	return chosen, fill, nil
}
