package differ

import (
	"slices"
	"strconv"
	"strings"

	"kvd/resp/wire"
)

// Where kvd is documented to differ from Redis 7.0.15, and why. What is not listed here has to be equal.

// encodings are kvd's answers of OBJECT ENCODING (first) in place of 7.0's (second): Redis 7.2 made small
// sets and small lists listpacks, and kvd follows it.
var encodings = map[[2]string]bool{
	{"listpack", "hashtable"}: true,
	{"listpack", "quicklist"}: true,
}

// infoFields are the fields of COMMAND INFO that are compared, by their place.
var infoFields = []string{"name", "arity", "flags", "first key", "last key", "step"}

// infoDiffers names, for a command, the fields of COMMAND INFO in which kvd differs on purpose:
// commands that took more options after 7.0. The value says what and why.
var infoDiffers = map[string]map[string]string{
	"exec":     {"arity": "conditions came with Valkey 9.2"},
	"monitor":  {"arity": "filters are kvd's own"},
	"zrank":    {"arity": "WITHSCORE came with 7.2"},
	"zrevrank": {"arity": "WITHSCORE came with 7.2"},

	"blmove": callable, "blpop": callable, "brpop": callable, "brpoplpush": callable, "bzpopmax": callable, "bzpopmin": callable,

	"command|getkeys":         {"arity": "a command's name is enough since 7.2"},
	"command|getkeysandflags": {"arity": "a command's name is enough since 7.2"},
}

// callable: scripts may call it, and it does not wait there.
var callable = map[string]string{"flags": "noscript went with 7.2"}

// helloFree are the fields of HELLO's reply that are the server's own affair.
var helloFree = map[string]bool{"version": true, "id": true}

// kvd answers as Redis 8.0 does, and 7.0 is what it is compared with. What follows is what
// later versions have changed.

// laterErrors are errors of 7.0 (first) and what they are now.
var laterErrors = map[[2]string]string{
	{"ERR timeout is negative", "ERR timeout is out of range"}:                   "7.2: a timeout of a blocking command that is too long",
	{"ERR wrong number of arguments for 'zrank' command", "ERR syntax error"}:    "7.2: the place of WITHSCORE",
	{"ERR wrong number of arguments for 'zrevrank' command", "ERR syntax error"}: "7.2: the place of WITHSCORE",
}

func init() {
	const policies = "ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction"
	laterErrors[[2]string{policies, policies + ", volatile-lrm, allkeys-lrm"}] = "8.6: two policies"
	for _, name := range []string{"getkeys", "getkeysandflags"} {
		for _, now := range []string{"ERR The command has no key arguments", "ERR Invalid number of arguments specified for command", "ERR Invalid command specified"} {
			laterErrors[[2]string{"ERR wrong number of arguments for 'command|" + name + "' command", now}] = "7.2: a command's name is enough"
		}
	}
}

// laterRefusals are errors of what 7.0 takes.
var laterRefusals = []struct {
	prefix string
	of     []string // commands; nil: any
	why    string
}{
	{"ERR unknown type name '", []string{"SCAN"}, "8.0: TYPE names a type"},
	{"ERR value is out of range, value must between -9223372036854775807 ", []string{"LPOS"}, "7.2: the RANK that has no opposite"},
	{"ERR value is not an integer or out of range", []string{"BITCOUNT", "BITPOS"}, "7.2: the range is read where there is no key, too"},
	{"ERR syntax error", []string{"BITCOUNT", "BITPOS"}, "7.2: the range is read where there is no key, too"},
}

// later tells whether got is what a later version of Redis replies where 7.0 replies want.
func later(cmd string, got, want reply) bool {
	if string(got.Raw) == string(want.Raw) {
		return true
	}
	if strings.EqualFold(cmd, "CLIENT") && (want.Err() == "ERR syntax error" || want.Err() == "ERR Invalid client ID") && filtersClients(got) {
		return true
	}
	if len(got.Elems) > 0 {
		if got.Kind != want.Kind || len(got.Elems) != len(want.Elems) {
			return false
		}
		for i := range got.Elems {
			if !later("", got.Elems[i], want.Elems[i]) {
				return false
			}
		}
		return true
	}
	if got.Err() == "" {
		return got.Kind == want.Kind && !got.Null && !want.Null && got.Str == shortest(want.Str)
	}
	if want.Err() != "" && laterErrors[[2]string{want.Err(), got.Err()}] != "" {
		return true
	}
	for _, r := range laterRefusals {
		if strings.HasPrefix(got.Err(), r.prefix) && slices.Contains(r.of, strings.ToUpper(cmd)) {
			return true
		}
	}
	return false
}

// filtersClients tells whether a reply is one of CLIENT LIST or KILL to filters that 7.0 does not have, or not
// together: since Valkey 8.1 there are more, they may be combined, and ID takes several.
func filtersClients(got reply) bool {
	for _, bad := range []string{"ERR Unknown client type '", "ERR Invalid client ID", "ERR client-id should be greater than 0", "ERR No such user '"} {
		if strings.HasPrefix(got.Err(), bad) {
			return true
		}
	}
	return got.Err() == "" && (got.Kind == ':' || got.Kind == '$' || got.Kind == '=')
}

// shortestBulk is shortest of the text of a raw bulk string.
func shortestBulk(raw string) string {
	_, text, _ := strings.Cut(raw, "\r\n")
	return shortest(strings.TrimSuffix(text, "\r\n"))
}

// shortest is a number that 7.0 prints with 17 digits as it has been printed since 7.2, with
// no more than are needed; any other text stays.
func shortest(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || string(wire.AppendFloat17(nil, f)) != text {
		return text
	}
	return string(wire.AppendFloat(nil, f))
}

// streamFree are the fields of XINFO that are not compared: clocks, the inside of Redis's trees, and what 7.0 counts
// wrong or in another way: since 7.2 a consumer is made also where it is given nothing, and has two times more; since
// 8.6 there are idempotent producers; since
// 8.2 what a group has read is counted anew where the stream was trimmed, and no more than what was added.
var streamFree = map[string]bool{
	"radix-tree-keys": true, "radix-tree-nodes": true, "seen-time": true, "active-time": true, "idle": true, "inactive": true,
	"entries-read": true, "lag": true,
	"idmp-duration": true, "idmp-maxsize": true, "pids-tracked": true, "iids-tracked": true, "iids-added": true, "iids-duplicates": true,
}

// streamOf72 begins the payload of a stream with a consumer that was seen at another time than it was active. That came
// with 7.2, in a form of its own, which 7.0 cannot load.
const streamOf72 = 21
