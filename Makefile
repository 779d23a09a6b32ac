# Targets: build run test units servers race lua scripts sentinel replication tracking conformance memcached bench profile fuzz kill restarts storm corrupt console locks cuts invariants check cross arch release clean.
# Everything a target fetches goes to $(CACHE), never into this tree.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
CACHE   ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/kvd

# How long `make fuzz` spends on each fuzz target, and where they are.
FUZZTIME ?= 10m
FUZZPKG  ?= $(shell grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u)

# Units of Redis's suite for `make conformance`; empty means those in tests/conformance/floor.
UNITS ?=
# Further flags of tests/conformance, such as --update-floor or --mode=external.
CONFORMANCE_FLAGS ?=

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

export KVD_CACHE := $(CACHE)

.PHONY: build run test units servers race lua scripts sentinel replication tracking conformance memcached bench profile fuzz kill restarts storm corrupt console locks cuts invariants check cross arch release clean

build:
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-X main.Version=$(VERSION)' -o bin/kvd ./cmd/kvd

run: build
	mkdir -p data
	./bin/kvd --port 6379 --dir ./data

# install.sh says what it could not get; the tests that need it then say that they were skipped.
test: units servers

units:
	tests/setup/install.sh
	go test -timeout 20m $$(go list ./... | grep -v kvd/tests)

# Whole servers are tested one package after the other: beside each other they wait for processors, and time says little.
servers:
	tests/setup/install.sh
	go test -timeout 20m -p 1 ./tests/...

# The whole-server tests run without -race in `test`: they are long, and most of what they run is another process.
# RACE_FLAGS=-short leaves out tests that take long and have no concurrency, RACE_SKIP names packages without any.
RACE_FLAGS ?=
RACE_SKIP  ?= kvd/tests

race:
	CGO_ENABLED=1 go test -race -pgo=off -timeout 20m $(RACE_FLAGS) $$(go list ./... | grep -vE '$(RACE_SKIP)')

# A million random programs beside lua5.1, and 200,000 calls of each of cjson, cmsgpack, struct and bit beside redis-server.
LUA_PROGRAMS ?= 1000000
LUA_CALLS    ?= 200000

lua:
	tests/setup/install.sh
	go test ./script/lua -count=1 -timeout 0 -v -run 'AsLua51|AsRedis|OneLine|TimeBetweenLooks' -args -look-time 400ms -numbers 5000000 -random-programs $(LUA_PROGRAMS) -library-calls $(LUA_CALLS)

# A hundred thousand random scripts beside redis-server, and hostile ones. KVD_BIN=/path takes another build of kvd.
SCRIPTS ?= 100000

scripts:
	tests/setup/install.sh
	go test ./tests -count=1 -timeout 0 -v -run 'TestRandomScripts|TestHostileScripts' -args -random-scripts $(SCRIPTS)
	CGO_ENABLED=1 go build -race -pgo=off -o bin/kvd-race ./cmd/kvd
	KVD_BIN=$(CURDIR)/bin/kvd-race go test ./tests -count=1 -v -run TestHostileScripts -args -hostile-race

# Sentinel fails over from leaders that are killed, ten times.
sentinel:
	tests/setup/install.sh
	go test ./tests -run TestSentinel -count=1 -v -args -sentinel-rounds 10

# The link between leader and follower is cut again and again for a minute.
replication:
	tests/setup/install.sh
	go test ./tests -run TestReplicationCuts -count=1 -v -args -replication-time 60s

# A million checks that no value in a client's cache is stale.
tracking:
	go test ./tests -run TestTrackingNeverStale -count=1 -timeout 20m -v -args -tracking-checks 1000000

# KVD_BIN=/path runs the suite on another server, for instance /usr/bin/redis-server.
conformance: $(if $(KVD_BIN),,build)
	tests/setup/install.sh
	go run ./tests/conformance $(CONFORMANCE_FLAGS) $(UNITS)

# memcached's own tests, four minutes; tests/memcachedsuite/floor says what has to pass, and why other things do not.
memcached: $(if $(KVD_BIN),,build)
	go run ./tests/memcachedsuite

# What the benchmark is to do, such as BENCH="-suite throughput -rounds 5"; see -h. BENCH="-json bench/history/DATE.json"
# keeps the figures, BENCH="-against bench/history" tells which stand worse beside Redis's than in the last that were kept.
BENCH ?=

bench: build
	go run ./tests/bench $(BENCH)

# What the compiler goes by (cmd/kvd/default.pgo), measured anew: worth it where the way of a command has changed much.
# The directory's name gets into the file.
PROFILES := /tmp/kvd-profiles

profile:
	tests/setup/install.sh
	rm -rf $(PROFILES) && mkdir $(PROFILES)
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -pgo=off -tags profile -o $(PROFILES)/kvd ./cmd/kvd
	KVD_PROFILES=$(PROFILES) go run ./tests/bench -kvd $(PROFILES)/kvd -suite throughput,collections,persist -modes pinned -rounds 1 -keys 1000000
	go tool pprof -proto -output=cmd/kvd/default.pgo $(PROFILES)/*.pprof
	rm -rf $(PROFILES)

# -fuzzminimizetime: by default Go may spend the whole time on making one input smaller.
fuzz:
	@for p in $(FUZZPKG); do \
		targets=$$(go test -list '^Fuzz' $$p | grep '^Fuzz') || { echo "no fuzz target in $$p" >&2; exit 1; }; \
		for t in $$targets; do \
			go test -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$p || exit 1; \
		done; \
	done

# How often `make kill` kills the server under appendfsync always, and a third as often under everysec.
KILLS ?= 1000

kill:
	go test ./tests/kill -count=1 -v -timeout 0 -run TestKill -kills $(KILLS)

# How often `make restarts` starts a leader, and as often its follower, again under load.
RESTARTS ?= 100

restarts:
	go test ./tests/kill -count=1 -v -timeout 0 -run TestRestarts -restarts $(RESTARTS)

# How long `make storm` lasts for each of 1, 2 and 4 event loops.
STORM ?= 10m

# Random commands of all families beside snapshots, rewrites, CONFIG SET and changes of roles: no stall, no panic, equal digests.
storm:
	go test ./tests/storm -count=1 -v -timeout 0 -storm $(STORM) -stormstall 2s

# How long `make corrupt` goes on restoring damaged payloads, and running every command on those that are taken.
CORRUPT ?= 10m

corrupt:
	go test ./tests/corrupt -count=1 -v -timeout 0 -corrupt $(CORRUPT) -corruptseed $$(date +%s)

# The console in a headless Chromium, which is installed; screenshots of all views are kept in bin/console.
console:
	tests/setup/install.sh --console
	rm -rf bin/console && mkdir -p bin/console
	KVD_CONSOLE=1 KVD_SHOTS=$(CURDIR)/bin/console go test ./tests/console -count=1 -v

# The order of all locks (lockrank/order.go) is checked while tests run: those of the packages, a storm with four event
# loops, some of Redis's suite, and the differential runner. Some forty minutes on two cores.
LOCK_UNITS ?= unit/multi unit/scripting unit/pubsub unit/type/list unit/other integration/replication

locks:
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -pgo=off -tags lockcheck -o bin/kvd-checked ./cmd/kvd
	printf '#!/bin/sh\nexec "%s" "$$@" --event-loops 4\n' '$(CURDIR)/bin/kvd-checked' >bin/kvd-locks && chmod +x bin/kvd-locks
	go test -pgo=off -tags lockcheck -timeout 30m $$(go list ./... | grep -v 'kvd/tests')
	KVD_BIN=$(CURDIR)/bin/kvd-locks go test ./tests/storm -count=1 -v -timeout 0 -run 'TestStorm/4' -args -storm 5m
	KVD_BIN=$(CURDIR)/bin/kvd-locks go test ./tests/differ -count=1 -short
	KVD_BIN=$(CURDIR)/bin/kvd-locks go run ./tests/conformance $(LOCK_UNITS)

# Every value is checked after the command that has touched it: unit tests, some of Redis's suite, the differential
# runner. Half an hour on two cores.
INVARIANT_UNITS ?= unit/type/string unit/type/list unit/type/set unit/type/hash unit/type/zset unit/type/stream unit/sort unit/dump unit/expire

invariants:
	tests/setup/install.sh
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -pgo=off -tags invariants -o bin/kvd-invariants ./cmd/kvd
	go test -pgo=off -tags invariants -timeout 30m ./command/... ./script/lua
	KVD_BIN=$(CURDIR)/bin/kvd-invariants go test ./tests/differ -count=1 -short
	KVD_BIN=$(CURDIR)/bin/kvd-invariants go run ./tests/conformance $(INVARIANT_UNITS)

# Binaries for each platform, .deb and .rpm, lists of what is in them, and checksums, in release/VERSION.
# PLATFORMS="linux/amd64" makes fewer.
PLATFORMS ?=

release:
	contrib/package/release.sh $(VERSION) release/$(VERSION) $(PLATFORMS)

# A log is cut at every byte of its last 64 KiB, and loaded; some minutes.
cuts:
	go test ./persist -run TestLogCuts -count=1 -timeout 30m -v -args -every-cut

# staticcheck is fetched by version on first use; without it and without a network this fails, and says so.
check:
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "gofmt -l:"; echo "$$bad"; exit 1; fi
	go mod tidy -diff
	go vet ./...
	@go run $(STATICCHECK) -version || { echo "check: staticcheck is not in the module cache and could not be fetched" >&2; exit 1; }
	go run $(STATICCHECK) ./...

cross:
	GOOS=darwin GOARCH=arm64 go build -pgo=off ./...
	GOOS=windows GOARCH=amd64 go build -pgo=off ./...
	GOARCH=386 CGO_ENABLED=0 go vet $(ARCH_PKG)

# What depends on the processor, on a 32-bit one (an amd64 kernel runs it) and on an emulated arm64.
ARCH_PKG ?= ./script/lua ./types/... ./glob ./resp/wire ./persist/rdb

arch:
	tests/setup/install.sh --arch
	GOARCH=386 CGO_ENABLED=0 go test -short -timeout 30m $(ARCH_PKG)
	@command -v qemu-aarch64-static >/dev/null || { echo "arch: there is no qemu-aarch64-static, so nothing was run for arm64" >&2; exit 1; }
	GOARCH=arm64 CGO_ENABLED=0 go test -short -timeout 60m -exec qemu-aarch64-static $(ARCH_PKG)

clean:
	rm -rf bin
