package lockrank

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestEveryLockHasARank: no mutex of the server is one of package sync, each rank
// stands for one declared lock, and each stands once in Order.
func TestEveryLockHasARank(t *testing.T) {
	declared := map[string]int{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel("..", path)
		if d.IsDir() && (rel == ".git" || rel == "tests" || rel == "lockrank" || rel == "bin" || rel == "data") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch from, _ := s.X.(*ast.Ident); {
			case from == nil:
			case from.Name == "sync" && (s.Sel.Name == "Mutex" || s.Sel.Name == "RWMutex"):
				t.Errorf("%s: a lock without a rank; see lockrank.Order", fset.Position(n.Pos()))
			case from.Name == "lockrank" && s.Sel.Name != "Mutex" && s.Sel.Name != "RWMutex":
				declared[s.Sel.Name]++
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, r := range Order {
		name := reflect.TypeOf(r).Name()
		if listed[name] {
			t.Errorf("%s stands twice in Order", name)
		}
		listed[name] = true
		if declared[name] != 1 {
			t.Errorf("%s is the rank of %d locks", name, declared[name])
		}
	}
	for name := range declared {
		if !listed[name] {
			t.Errorf("%s does not stand in Order", name)
		}
	}
}
