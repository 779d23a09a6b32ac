#!/usr/bin/env bash
# Gets what the tests use and this machine lacks:
#   redis-server, redis-sentinel, redis-tools, memcached, lua5.1, tcl, tcl-tls, procps    Debian packages, through apt-get, as root or with sudo
#   redis-py                                  its newest release, into a venv under the cache directory
#   go-redis                                  as tests/clients/go/go.sum has it, into Go's module cache
#   ioredis and redis of Node                 as tests/clients/node has them locked, into the cache
#                                             directory; only where node (20 or newer) and npm are
# With --arch also qemu-aarch64-static, by which `make arch` runs tests for arm64.
# With --console also chromium, in which `make console` looks at the console.
# What could not be had is named at the end, and the exit code is 0 all the same: the tests
# that need it say so themselves. With --strict a missing piece is exit code 1.
set -uo pipefail

strict=0
arch=0
console=0
for option; do
	case $option in
	--strict) strict=1 ;;
	--arch) arch=1 ;;
	--console) console=1 ;;
	esac
done
cache=${KVD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kvd}
venv=$cache/venv
clients=$(cd "$(dirname "$0")/../clients" && pwd)
lacking=()

say() { echo "install: $*"; }

# as_root COMMAND...: runs it as root, or fails where that is impossible without a password.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		return 1
	fi
}

# service_of PACKAGE VERB: systemctl's or service's word on the packaged server.
service_of() {
	local name=$1
	if [ -d /run/systemd/system ]; then
		case $2 in
		running) systemctl is-active --quiet "$name" ;;
		stop) as_root systemctl disable --now --quiet "$name" ;;
		esac
	elif [ -x "/etc/init.d/$name" ]; then
		case $2 in
		running) as_root "/etc/init.d/$name" status >/dev/null 2>&1 ;;
		stop) as_root "/etc/init.d/$name" stop ;;
		esac
	else
		return 1
	fi
}

apt_install() {
	command -v apt-get >/dev/null || return 1
	local get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
	as_root "${get[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 && return 0
	# Most often the package lists are missing or old.
	as_root "${get[@]}" update >/dev/null 2>&1
	as_root "${get[@]}" install -y --no-install-recommends "$@" >/dev/null
}

# need COMMAND PACKAGE: installs the package unless the command is there.
need() {
	local cmd=$1 pkg=$2
	command -v "$cmd" >/dev/null && return 0
	say "installing $pkg"
	if ! apt_install "$pkg" || ! command -v "$cmd" >/dev/null; then
		lacking+=("$pkg (for $cmd)")
		return 1
	fi
}

need lua5.1 lua5.1
need redis-cli redis-tools
need tclsh tcl
has_tcl_tls() { echo 'package require tls' | tclsh >/dev/null 2>&1; } # a library, not a command
if command -v tclsh >/dev/null && ! has_tcl_tls; then
	say "installing tcl-tls"
	{ apt_install tcl-tls && has_tcl_tls; } || lacking+=("tcl-tls (for make conformance with --tls)")
fi
need pgrep procps
[ $arch = 1 ] && need qemu-aarch64-static qemu-user-static
[ $console = 1 ] && { need chromium chromium; need fc-match fontconfig; apt_install fonts-dejavu-core || lacking+=("fonts-dejavu-core"); }
for name in redis-server redis-sentinel memcached; do
	command -v $name >/dev/null && continue
	# Debian starts the service on installation. It would hold its port and is of no use to
	# the tests, which start their own; one that ran before is somebody else's and stays.
	ran=0
	service_of $name running && ran=1
	if need $name $name && [ $ran = 0 ] && service_of $name running; then
		service_of $name stop && say "stopped the $name service that the package had started"
	fi
done

if ! "$venv/bin/python3" -c 'import redis' 2>/dev/null; then
	say "installing redis-py into $venv"
	mkdir -p "$cache"
	make_venv() { python3 -m venv --clear "$venv" >/dev/null 2>&1; }
	if need python3 python3 && { make_venv || { apt_install python3-venv && make_venv; }; } &&
		"$venv/bin/pip" install --quiet --disable-pip-version-check --upgrade redis &&
		"$venv/bin/python3" -c 'import redis'; then
		:
	else
		lacking+=("redis-py")
	fi
fi

for module in go embedded; do
	if ! (cd "$clients/$module" && GOPROXY=off go list -deps -test . >/dev/null 2>&1); then
		say "fetching what tests/clients/$module needs"
		(cd "$clients/$module" && timeout 300 go mod download && GOPROXY=off go list -deps -test . >/dev/null) || lacking+=("go-redis for tests/clients/$module")
	fi
done

# The packages are there if they were installed by this very lock file.
node_packages() { cmp -s "$clients/node/package-lock.json" "$cache/node/installed-lock.json"; }
if ! command -v npm >/dev/null || ! node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' 2>/dev/null; then
	say "no node of version 20 or newer with npm: ioredis and redis of Node are not tried"
elif ! node_packages; then
	say "installing ioredis and redis of Node into $cache/node"
	rm -rf "$cache/node" && mkdir -p "$cache/node" && cp "$clients"/node/package*.json "$cache/node" &&
		(cd "$cache/node" && timeout 300 npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null) &&
		cp "$clients/node/package-lock.json" "$cache/node/installed-lock.json"
	node_packages || lacking+=("ioredis and redis of Node")
fi

version() { command -v "$1" >/dev/null && "$@" 2>/dev/null | head -n 1; }
say "redis-server: $(version redis-server --version || echo none)"
say "redis-py: $("$venv/bin/python3" -c 'import redis; print(redis.__version__)' 2>/dev/null || echo none)"
say "go-redis: $(cd "$clients/go" && GOPROXY=off go list -m -f '{{.Version}}' github.com/redis/go-redis/v9 2>/dev/null || echo none)"
say "ioredis and redis of Node: $(cd "$cache/node" 2>/dev/null && node_packages && node -p '["ioredis","redis"].map((p) => require("./node_modules/" + p + "/package.json").version).join(", ")' 2>/dev/null || echo none)"
say "lua5.1: $(lua5.1 -v 2>&1 | head -n 1 || echo none)"
say "tcl: $(echo 'puts [info patchlevel]' | tclsh 2>/dev/null || echo none)"
if [ ${#lacking[@]} -gt 0 ]; then
	say "COULD NOT GET: $(IFS=,; echo "${lacking[*]}" | sed 's/,/, /g')"
	exit $strict
fi
