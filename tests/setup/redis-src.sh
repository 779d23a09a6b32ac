#!/usr/bin/env bash
# Fetches the source of Debian's Redis package, for its test suite, and prints the directory it
# stands in. apt checks the signatures; the system's own package lists and sources stay as they are.
set -euo pipefail

version=7.0.15
cache=${KVD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kvd}/redis-src
tree=$cache/redis-$version

if [ -f "$tree/tests/test_helper.tcl" ]; then
	echo "$tree"
	exit 0
fi
command -v apt-get >/dev/null || { echo "redis-src: no apt-get here, and no $tree" >&2; exit 1; }

mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache"
: >"$cache/apt/status"
key=/usr/share/keyrings/debian-archive-keyring.gpg
# The system's own mirrors of Debian, asked for sources.
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
	awk -v key="$key" '$2 ~ /^bookworm/ && $3 == "main" { print "deb-src [signed-by=" key "] " $1, $2, $3 }' >"$cache/apt/sources.list"
[ -s "$cache/apt/sources.list" ] || { echo "redis-src: this system has no mirror of Debian bookworm, and no $tree" >&2; exit 1; }
apt=(apt-get -qq
	-o Dir::Etc::SourceList="$cache/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
	-o Dir::State::Lists="$cache/apt/lists" -o Dir::State::status="$cache/apt/status"
	-o Dir::Cache="$cache/apt/cache")
[ "$(id -u)" = 0 ] && apt+=(-o APT::Sandbox::User=root)
cd "$cache"
"${apt[@]}" update >&2
"${apt[@]}" source --download-only redis >&2

# Upstream's archive alone: Debian's patches are about building, and the suite is to run as released.
fresh=$(mktemp -d "$cache/unpack.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
tar -xzf "redis_$version.orig.tar.gz" -C "$fresh"
rm -rf "$tree"
mv "$fresh"/redis-* "$tree"
echo "$tree"
