package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DBLimit bounds the memory of one database, in bytes.
type DBLimit struct {
	DB    int
	Bytes int64
}

// DBLimits is the handle of db-maxmemory: pairs of a database and its limit.
// Lines and values add up, as those of client-output-buffer-limit do; a limit of 0
// takes the one of that database away, and no pair at all takes all away.
type DBLimits struct{ box[[]DBLimit] }

// Load returns the present limits, by database; they must not be changed.
func (l *DBLimits) Load() []DBLimit { return l.load() }

func (l *DBLimits) set(_ *Directive, args []string) error {
	if len(args) == 0 || len(args) == 1 && args[0] == "" {
		l.store(nil)
		return nil
	}
	if len(args)%2 != 0 {
		return errors.New("a database and its limit in bytes must be given, or several such pairs")
	}
	list := slices.Clone(l.load())
	for ; len(args) > 0; args = args[2:] {
		db, err := strconv.Atoi(args[0])
		bytes, ok := parseMemory(args[1])
		if err != nil || db < 0 {
			return errors.New("the number of a database is not valid")
		}
		if !ok || int64(bytes) < 0 {
			return errors.New("the limit must be a memory value")
		}
		i, there := slices.BinarySearchFunc(list, db, func(d DBLimit, db int) int { return d.DB - db })
		switch {
		case there && bytes == 0:
			list = slices.Delete(list, i, i+1)
		case there:
			list[i].Bytes = int64(bytes)
		case bytes > 0:
			list = slices.Insert(list, i, DBLimit{db, int64(bytes)})
		}
	}
	l.store(list)
	return nil
}

func (l *DBLimits) text(*Directive) string {
	var parts []string
	for _, d := range l.load() {
		parts = append(parts, fmt.Sprintf("%d %d", d.DB, d.Bytes))
	}
	return strings.Join(parts, " ")
}
