#!/bin/sh
# The user that the service runs as.
set -e
getent group kvd >/dev/null || groupadd --system kvd
getent passwd kvd >/dev/null || useradd --system --gid kvd --home-dir /var/lib/kvd --no-create-home --shell /usr/sbin/nologin kvd
