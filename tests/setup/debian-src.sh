#!/usr/bin/env bash
# debian-src.sh PACKAGE VERSION FILE: fetches the source of a package of Debian bookworm, for its test suite, and prints
# the directory it stands in; FILE is one that is in there. apt checks the signatures; the system's own package lists and
# sources stay as they are.
set -euo pipefail

package=$1 version=$2 file=$3
cache=${KVD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kvd}/$package-src
tree=$cache/$package-$version

if [ -f "$tree/$file" ]; then
	echo "$tree"
	exit 0
fi
command -v apt-get >/dev/null || { echo "debian-src: no apt-get here, and no $tree" >&2; exit 1; }

mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache"
: >"$cache/apt/status"
key=/usr/share/keyrings/debian-archive-keyring.gpg
# The system's own mirrors of Debian, asked for sources.
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
	awk -v key="$key" '$2 ~ /^bookworm/ && $3 == "main" { print "deb-src [signed-by=" key "] " $1, $2, $3 }' >"$cache/apt/sources.list"
[ -s "$cache/apt/sources.list" ] || { echo "debian-src: this system has no mirror of Debian bookworm, and no $tree" >&2; exit 1; }
apt=(apt-get -qq
	-o Dir::Etc::SourceList="$cache/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
	-o Dir::State::Lists="$cache/apt/lists" -o Dir::State::status="$cache/apt/status"
	-o Dir::Cache="$cache/apt/cache")
[ "$(id -u)" = 0 ] && apt+=(-o APT::Sandbox::User=root)
cd "$cache"
"${apt[@]}" update >&2
"${apt[@]}" source --download-only "$package" >&2

# Upstream's archive alone: Debian's patches are about building, and the suite is to run as released.
fresh=$(mktemp -d "$cache/unpack.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
tar -xf "${package}_$version".orig.tar.?z -C "$fresh"
rm -rf "$tree"
mv "$fresh/$package"-* "$tree"
echo "$tree"
