package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// scriptWork is a script with what is sent with it. weight is its cost in GETs.
type scriptWork struct {
	name, text string
	weight     float64
	byText     bool // sent with EVAL
	args       []string
}

// oneKiB is a JSON document of about 1,024 bytes, as a job's data are: nested objects, numbers and texts.
var oneKiB = func() string {
	var b strings.Builder
	b.WriteString(`{"id":12345,"name":"send-mail","attempts":3,"delay":0.5,"opts":{"priority":10,"lifo":false,"parent":null},"items":[`)
	for i := 0; b.Len() < 1000; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"item-%d","count":%d,"price":%d.25}`, i, i, i*3)
	}
	b.WriteString(`]}`)
	return b.String()
}()

const getScript = "return redis.call('GET', KEYS[1])"

var scriptWorks = []scriptWork{
	{"GET", getScript, 3, false, []string{"1", "key:" + placeholder}},
	{"GET by EVAL", getScript, 3, true, []string{"1", "key:" + placeholder}},
	{"rate limiter", `local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
if n > tonumber(ARGV[2]) then return 0 end
return 1`, 4, false, []string{"1", "limit:" + placeholder, "60", "100"}},
	{"lock release", `if redis.call("get", KEYS[1]) == ARGV[1] then
    return redis.call("del", KEYS[1])
else
    return 0
end`, 3, false, []string{"1", "key:" + placeholder, "token"}},
	{"100 calls", "for i = 1, 100 do redis.call('INCR', KEYS[1]) end", 100, false, []string{"1", "counter:" + placeholder}},
	{"100 calls undeclared", "for i = 1, 100 do redis.call('HSET', ARGV[1] .. (i % 4), 'f', i) end", 150, false, []string{"0", "hash:" + placeholder}},
	{"cjson.decode 1 KiB", "return #cjson.decode(ARGV[1]).items", 30, false, []string{"0", oneKiB}},
	{"arithmetic", "local s = 0 for i = 1, 1000 do s = s + i % 7 end return s", 25, false, []string{"0"}},
	{"string building", "local t = {} for i = 1, 100 do t[i] = 'item' .. i end return #table.concat(t, ',')", 40, false, []string{"0"}},
}

// scriptsSuite measures scripts a second and server CPU of one.
func scriptsSuite(ctx context.Context, r *run) error {
	if r.pipelines == nil {
		r.pipelines = []int{16}
	}
	for _, t := range r.tests {
		if t != jobWork && !slices.ContainsFunc(scriptWorks, func(w scriptWork) bool { return w.name == t }) {
			return fmt.Errorf("scripts: unknown test %q", t)
		}
	}
	servers, stop, err := r.startPreloaded(ctx, nil)
	defer stop()
	if err != nil {
		return err
	}
	wanted := func(name string) bool { return len(r.tests) == 0 || slices.Contains(r.tests, name) }
	for round := range r.rounds {
		progress("scripts: round %d of %d", round+1, r.rounds)
		for _, p := range r.pipelines {
			for _, sw := range scriptWorks {
				if !wanted(sw.name) {
					continue
				}
				for _, side := range sides(round) {
					s := servers[side]
					sha, err := s.do("SCRIPT", "LOAD", sw.text)
					if err != nil {
						return err
					}
					first := []string{"EVALSHA", sha}
					if sw.byText {
						first = []string{"EVAL", sw.text}
					}
					w := work{name: sw.name, args: append(first, sw.args...), pipeline: p, keys: r.keys, requests: r.count(p, sw.weight)}
					f, err := r.drive(ctx, s, w)
					if err != nil {
						return err
					}
					r.addFigures(fmt.Sprintf("scripts/P=%d/%s", p, sw.name), side, f)
				}
			}
			if !wanted(jobWork) {
				continue
			}
			for _, side := range sides(round) {
				f, err := r.measureJobs(ctx, servers[side], p)
				if err != nil {
					return err
				}
				r.addFigures(fmt.Sprintf("scripts/P=%d/%s", p, jobWork), side, f)
			}
		}
	}
	r.note("%d keys, %d connections", r.keys, r.clients)
	if wanted(jobWork) && r.jobScript != finishJob {
		r.note("%s: by a script that -job-script names, of %d bytes", jobWork, len(r.jobScript))
	}
	return nil
}
