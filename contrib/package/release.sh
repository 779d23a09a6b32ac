#!/usr/bin/env bash
# release.sh VERSION OUT [PLATFORM ...]: makes what is released, in the new directory OUT: a static binary for each
# platform (linux/amd64, linux/arm64, darwin/arm64), .deb and .rpm for those of Linux, a list of what went into each
# binary (SBOM, CycloneDX), and checksums. The same sources and the same Go give the same bytes.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$1 out=$2
shift 2
[ $# -gt 0 ] || set -- linux/amd64 linux/arm64 darwin/arm64
mkdir -p "$(dirname "$out")"
mkdir "$out"
out=$(cd "$out" && pwd)
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4
sbom=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
# The time that stands in packages: that of the last commit.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
GOBIN=$tools go install "$nfpm"
GOBIN=$tools go install "$sbom"

for platform in "$@"; do
	os=${platform%/*} arch=${platform#*/}
	name=kvd-$version-$os-$arch
	dir=$tools/$os-$arch
	mkdir "$dir"
	GOFLAGS='' CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.Version=$version" -o "$dir/kvd" ./cmd/kvd
	"$tools/cyclonedx-gomod" bin -json -noserial -version "$version" -output "$out/$name.cdx.json" "$dir/kvd" 2>"$dir/sbom.log" || { cat "$dir/sbom.log" >&2; exit 1; }
	# The list says when it was made: that is not of the program.
	sed -i -E '/"timestamp": "[^"]*",?$/d' "$out/$name.cdx.json"
	if [ "$os" = linux ]; then
		go run ./contrib/package/generate man | gzip -9n >"$dir/kvd.1.gz"
		go run ./contrib/package/generate bash >"$dir/kvd.bash"
		sed "s,@ARCH@,$arch,; s,@VERSION@,${version#v},; s,@OUT@,$dir,; s,@MTIME@,$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)," contrib/package/nfpm.yaml >"$dir/nfpm.yaml"
		for form in deb rpm; do
			"$tools/nfpm" package --config "$dir/nfpm.yaml" --packager "$form" --target "$out/$name.$form"
		done
	fi
	cp "$dir/kvd" "$out/$name"
done
(cd "$out" && sha256sum kvd-* >SHA256SUMS)
cat "$out/SHA256SUMS"
