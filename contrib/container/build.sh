#!/usr/bin/env bash
# build.sh BINARY TAG [ARCHIVE]: makes a container image from scratch with nothing in it but kvd, without a daemon
# (buildah, of Debian); with ARCHIVE it is written there as an OCI archive. BINARY is a static one, as `make release`
# makes it. The same binary and SOURCE_DATE_EPOCH give the same layer.
set -euo pipefail
binary=$1 tag=$2 archive=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
data=$work/data root=$work/root
mkdir -p "$data" "$root/etc" "$root/tmp"
cp "$binary" "$root/kvd"
chmod 0755 "$root/kvd" "$root/etc"
chmod 1777 "$root/tmp"
echo 'kvd:x:65532:65532::/data:/nologin' >"$root/etc/passwd"
echo 'kvd:x:65532:' >"$root/etc/group"
find "$work" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
image=$(buildah from scratch)
trap 'rm -rf "$work"; buildah rm "$image" >/dev/null' EXIT
buildah copy --quiet "$image" "$root" / >/dev/null
buildah copy --quiet --chown 65532:65532 "$image" "$data" /data >/dev/null
# There is no other machine in a container's network that the outside has not let in: hence no protected mode.
buildah config --user 65532:65532 --workingdir /data --volume /data --port 6379 --port 9121 \
	--entrypoint '["/kvd","--bind","* -::*","--protected-mode","no","--dir","/data"]' --cmd '' \
	--label org.opencontainers.image.title=kvd --label org.opencontainers.image.licenses=MIT "$image"
buildah commit --quiet --timestamp "${SOURCE_DATE_EPOCH:-0}" "$image" "$tag" >/dev/null
[ -z "$archive" ] || buildah push --quiet "$tag" "oci-archive:$archive:$tag"
