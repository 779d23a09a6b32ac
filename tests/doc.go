// Package tests holds the tests of the whole server that need other programs: redis-cli, client
// libraries (redis-py, go-redis, ioredis and redis of Node) and a real redis-server. Each skips, and
// says why, where the program is missing (tests/setup/install.sh gets them), and under -short.
package tests
