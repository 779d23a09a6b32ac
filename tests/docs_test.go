package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docPackages are the packages that the documents name things of; c is a Ctx, whose Tx is
// the keyspace's, or a client of the library.
var docPackages = map[string][]string{
	"c": {"command", "keyspace", "."}, "command": {"command"}, "commandtest": {"command/commandtest"}, "keyspace": {"keyspace"},
	"types": {"types"}, "rdb": {"persist/rdb"}, "lockrank": {"lockrank"},
}

var (
	docName = regexp.MustCompile("`([a-z]+)\\.([A-Z][A-Za-z]*)")
	docPath = regexp.MustCompile("`([a-z0-9_]+(?:/[a-z0-9_]+)+\\.(?:go|sh|md))`")
)

// TestEachNameInDocumentsExists finds names and files in the documents that are no more.
func TestEachNameInDocumentsExists(t *testing.T) {
	texts, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob("../docs/*/*.md")
	texts = append(append(texts, more...), "../ARCHITECTURE.md", "../CONTRIBUTING.md")
	known := map[string]map[string]bool{}
	names, paths := 0, 0
	for _, text := range texts {
		b, err := os.ReadFile(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range docName.FindAllStringSubmatch(string(b), -1) {
			dirs, ours := docPackages[m[1]]
			if !ours {
				continue
			}
			names++
			if !slices.ContainsFunc(dirs, func(dir string) bool {
				if known[dir] == nil {
					known[dir] = declared(t, filepath.Join("..", dir))
				}
				return known[dir][m[2]]
			}) {
				t.Errorf("%s: there is no %s.%s", text, m[1], m[2])
			}
		}
		for _, m := range docPath.FindAllStringSubmatch(string(b), -1) {
			paths++
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s: there is no %s", text, m[1])
			}
		}
	}
	if names < 30 || paths < 10 {
		t.Errorf("only %d names and %d paths were found", names, paths)
	}
}

// declared are the names that a package declares: of functions and methods, types, values
// and fields.
func declared(t *testing.T, dir string) map[string]bool {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				has[n.Name.Name] = true
				return false
			case *ast.TypeSpec:
				has[n.Name.Name] = true
			case *ast.Field:
				for _, id := range n.Names {
					has[id.Name] = true
				}
			case *ast.ValueSpec:
				for _, id := range n.Names {
					has[id.Name] = true
				}
			}
			return true
		})
	}
	return has
}
