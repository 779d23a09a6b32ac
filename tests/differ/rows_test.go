package differ

import (
	"strings"
	"testing"

	all "kvd/command/families"
)

// TestEveryCommandHasAForm: each command that Redis 7.0 has too is called by random
// scripts, or there is a reason why not.
func TestEveryCommandHasAForm(t *testing.T) {
	has := map[string]bool{}
	for _, f := range forms {
		has[strings.ToLower(strings.ReplaceAll(f.name, " ", "|"))] = true
		has[strings.ToLower(strings.Fields(f.name)[0])] = true
	}
	for _, r := range all.Table().Top() {
		name := r.FullName()
		if r.Since > "7.1" {
			if has[name] {
				t.Errorf("%s is younger than 7.0", name)
			}
			continue
		}
		switch reason := noForm[name]; {
		case !has[name] && reason == "":
			t.Errorf("%s has no form", name)
		case has[name] && reason != "":
			t.Errorf("%s has a form although %s", name, reason)
		}
	}
}

// noForm are the commands without a form, and why.
var noForm = func() map[string]string {
	out := map[string]string{}
	for reason, names := range map[string]string{
		"several calls as one are the matter of storms and unit tests": "multi exec discard watch unwatch",
		"it is kvd's own": "bzpopdue zpopdue cl.throttle keyjob hrangebylex hrevrangebylex hcountbylex hremrangebylex keyrange",
		"pub/sub and MONITOR change what a connection is for":             "subscribe unsubscribe psubscribe punsubscribe ssubscribe sunsubscribe publish spublish pubsub monitor",
		"scripts are texts, which Redis's own suite and unit tests cover": "eval eval_ro evalsha evalsha_ro script fcall fcall_ro function",
		"it needs a second server":                                        "migrate psync replconf replicaof slaveof sync failover role wait",
		"it acts on the process or its files":                             "bgrewriteaof bgsave save shutdown quit",
		"it tells of the server itself, which is another one":             "latency memory slowlog module lolwut pfselftest",
		"there is no cluster to talk about":                               "cluster asking readonly readwrite",
		"it is about users, of which the suite of Redis has tests":        "acl",
	} {
		for _, name := range strings.Fields(names) {
			out[name] = reason
		}
	}
	return out
}()
