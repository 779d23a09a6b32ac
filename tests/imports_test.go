package tests

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mayImport says which rooms each room may import; data flows one way. A room
// is a folder at the top, or a leaf named here.
var mayImport = map[string][]string{
	"types/slab":       {},
	"types/geo":        {},
	"types/hll":        {},
	"types":            {"types/slab"},
	"resp/wire":        {},
	"config":           {"glob"},
	"glob":             {},
	"lockrank":         {}, // any room may import it
	"acl":              {"glob"},
	"logf":             {},
	"script/lua":       {},
	"process":          {},
	"observe":          {"process", "keyspace"},
	"pubsub":           {"glob", "resp/wire"},
	"persist/rdb":      {"types", "types/stream", "types/array"},
	"keyspace":         {"types", "types/slab"},
	"command":          {"keyspace", "types", "types/stream", "types/array", "types/slab", "types/geo", "types/hll", "resp/wire", "config", "logf", "persist/rdb", "glob", "script/lua", "acl", "observe", "process", "pubsub"},
	"command/families": {"command", family},
	// Families may import what the engine may, and the engine, but nothing of each other.
	family: {"command", "keyspace", "types", "types/stream", "types/array", "types/slab", "types/geo", "types/hll", "resp/wire", "config", "logf", "persist/rdb", "glob", "acl", "observe"},
	// What tests of commands use.
	"command/commandtest": {"command", "command/families", "keyspace", "types", "resp/wire", "config", "logf"},

	"secure/certtest": {},
	"secure":          {"config", "logf"},
	"transport":       {"command", "pubsub", "resp/wire", "config", "logf", "keyspace"},
	"memcached":       {"transport", "command", "command/*", "resp/wire", "config", "logf", "keyspace"},
	"tyrant":          {"transport", "command", "command/*", "resp/wire", "config", "logf"},
	"resp":            {"transport", "command", "resp/wire", "config", "logf"},
	"persist":         {"persist/rdb", "keyspace", "types", "types/stream", "types/array", "resp/wire", "config", "logf"},
	"replica":         {"persist", "persist/rdb", "keyspace", "types", "resp/wire", "config", "logf"},
	// The module's root: the wiring of all rooms, for the program and for others.
	".":       {"command", "command/families", "config", "keyspace", "logf", "resp", "memcached", "tyrant", "resp/wire", "transport", "secure", "persist", "replica", "metrics", "console"},
	"metrics": {"command", "config"},
	"console": {"command", "transport", "resp/wire", "acl"},
	"kvdtest": {"."},
	// Programs that show how kvd is used inside others.
	"examples/redcon": {"."},
	// What packages hold besides the program is made of the table of directives.
	"contrib/package/generate": {"config"},
	// What moves data between servers and files is a client of them.
	"transfer": {".", "persist", "replica", "resp/wire"},
	"cmd/kvd":  {".", "process", "transfer", "command", "command/families", "config", "keyspace", "logf", "persist"},

	"types/stream": {"types"},
	"types/array":  {"types"},
}

// family stands for a package of commands below command.
const family = "command/*"

// asRule is what a room is called in the rules.
func asRule(room string) string {
	if under, ok := strings.CutPrefix(room, "command/"); ok && under != "families" && under != "commandtest" {
		return family
	}
	return room
}

// TestImports holds the rules in shipped code, and in tests that of families: only the
// tests of a family import it.
func TestImports(t *testing.T) {
	checked, tests := 0, 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel("..", path)
		if d.IsDir() && (rel == ".git" || rel == "tests" || rel == "bin" || rel == "data") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		test := strings.HasSuffix(path, "_test.go")
		room := filepath.ToSlash(filepath.Dir(rel))
		allowed, known := mayImport[asRule(room)]
		if !known {
			t.Errorf("%s: the room %q is not in the list of who may import whom", rel, room)
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		if checked++; test {
			tests++
		}
		for _, imp := range f.Imports {
			name, _ := strconv.Unquote(imp.Path.Value)
			to, ours := strings.CutPrefix(name, "kvd/")
			if name == "kvd" {
				to, ours = ".", true
			}
			if test {
				if ours && asRule(to) == family && to != room {
					t.Errorf("%s: a test of %s must not import the family %s", rel, room, to)
				}
				continue
			}
			if !ours {
				if (name == "os" || strings.HasPrefix(name, "os/")) && !osRooms[room] && !osFiles[filepath.ToSlash(rel)] {
					t.Errorf("%s imports %s", rel, name)
				}
				if name == "unsafe" && room != "types/slab" && !unsafeFiles[filepath.ToSlash(rel)] {
					t.Errorf("%s imports unsafe", rel)
				}
				continue
			}
			ok := to == "lockrank"
			for _, a := range allowed {
				ok = ok || a == asRule(to)
			}
			if !ok {
				t.Errorf("%s: %s must not import %s", rel, room, to)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 300 || tests < 100 {
		t.Errorf("only %d files were checked, %d of them tests", checked, tests)
	}
}

// osRooms may import os, and of other rooms osFiles: everything else knows no file, no
// environment and no process.
var osRooms = map[string]bool{"cmd/kvd": true, "config": true, "contrib/package/generate": true, "logf": true, "persist": true, "replica": true, "secure": true, "secure/certtest": true, "transfer": true, "transport": true}

var osFiles = map[string]bool{
	"command/info.go":            true, // the process's number and its executable
	"command/keys/migrate.go":    true, // the error of a deadline that has passed
	"command/memcached/stats.go": true, // the process's number
	"command/tyrant/stat.go":     true, // the same
	"keyspace/affinity_linux.go": true, // the threads of the process, in /proc
	"process/process_linux.go":   true, // /proc
	"command/supervisor.go":      true, // the environment says who has started the process
	"command/users.go":           true, // the file of users
}

// unsafeFiles are the files outside types/slab that may import unsafe.
var unsafeFiles = map[string]bool{
	"script/lua/unsafe.go":       true, // values, and what the hot loop reaches without checks
	"transport/loop_linux.go":    true, // system calls that take a pointer
	"replica/direct_linux.go":    true, // likewise
	"transport/outbox_linux.go":  true, // writev
	"keyspace/cputime_linux.go":  true, // likewise
	"keyspace/affinity_linux.go": true, // likewise
	"types/hash_big.go":          true, // Sizeof only
	"types/set.go":               true, // Sizeof only
	"types/table_node.go":        true, // Sizeof only
	"types/zset_packed.go":       true, // a string view of bytes for strconv
}
