#!/bin/sh
# Stops the service where the package goes, and not where another version comes. Data and users stay.
set -e
case "$1" in
remove | 0) [ -d /run/systemd/system ] && systemctl disable --now kvd.service ;;
esac
exit 0
