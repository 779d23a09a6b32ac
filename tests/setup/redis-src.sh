#!/usr/bin/env bash
# Fetches the source of Debian's Redis package, for its test suite, and prints the directory it stands in.
exec "$(dirname "$0")/debian-src.sh" redis 7.0.15 tests/test_helper.tcl
