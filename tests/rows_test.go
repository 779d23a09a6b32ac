package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kvd/tests/harness"
)

// TestKeySpecs compares the key specs and the ACL categories of every command that Redis
// has too with Redis's.
func TestKeySpecs(t *testing.T) {
	redis := harness.StartRedis(t).MustDial(t)
	kvd := harness.StartKVD(t).MustDial(t)
	compared := 0
	for _, name := range kvd.MustDo(t, "COMMAND", "LIST").Strings() {
		want := redis.MustDo(t, "COMMAND", "INFO", name)
		if len(want.Elems) != 1 || want.Elems[0].Null {
			continue // younger than Redis 7.0
		}
		got := kvd.MustDo(t, "COMMAND", "INFO", name)
		compared++
		for i, field := range map[int]string{6: "categories", 8: "key specs"} {
			g, w := specWords(got.Elems[0].Elems[i]), specWords(want.Elems[0].Elems[i])
			if g != w && specDiffers[name] == "" {
				t.Errorf("%s: %s:\n got %s\nwant %s", name, field, g, w)
			}
		}
	}
	if compared < 200 {
		t.Errorf("only %d commands were compared", compared)
	}
}

// specWords writes a part of COMMAND INFO with what is a set in order.
func specWords(r harness.Reply) string {
	if len(r.Elems) == 0 {
		return r.Str + strconv.FormatInt(r.Int, 10)
	}
	var words []string
	for i := 0; i < len(r.Elems); i++ {
		if r.Elems[i].Str == "notes" { // a remark, which kvd does not give
			i++
			continue
		}
		words = append(words, specWords(r.Elems[i]))
	}
	if r.Kind == '~' || r.Elems[0].Kind == '+' {
		slices.Sort(words)
	}
	return "[" + strings.Join(words, " ") + "]"
}

// specDiffers says why the key specs or categories of a command are not those of 7.0.
var specDiffers = map[string]string{
	"georadius":         noKeyword,
	"georadiusbymember": noKeyword,
	"xread":             noKeyword,
	"xreadgroup":        noKeyword,
	"migrate":           noKeyword,
	"sort":              "the keys that BY and GET name are not declared: all stripes are locked",
	"sort_ro":           "likewise",
	"xautoclaim":        "it returns entries, so it has access, as since 7.2",
}

// A key behind a keyword is told as one at an unknown place; the flag movablekeys sends
// clients to COMMAND GETKEYS for it.
const noKeyword = "keys behind a keyword are at unknown places"

// TestNoNameTables: what a command does is decided by its row, not by its name: nothing
// compares the name of a row with a word.
func TestNoNameTables(t *testing.T) {
	isName := func(e ast.Expr) bool {
		sel, ok := e.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		if sel.Sel.Name == "full" {
			return true
		}
		if sel.Sel.Name != "Name" {
			return false
		}
		switch x := sel.X.(type) {
		case *ast.Ident:
			return x.Name == "row" || x.Name == "r"
		case *ast.SelectorExpr:
			return x.Sel.Name == "Row" || x.Sel.Name == "parent"
		}
		return false
	}
	files := 0
	err := filepath.WalkDir("../command", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			found := false
			switch n := n.(type) {
			case *ast.BinaryExpr:
				for _, pair := range [][2]ast.Expr{{n.X, n.Y}, {n.Y, n.X}} {
					_, word := pair[1].(*ast.BasicLit)
					found = found || isName(pair[0]) && word && (n.Op == token.EQL || n.Op == token.NEQ)
				}
			case *ast.SwitchStmt:
				found = n.Tag != nil && isName(n.Tag)
			case *ast.IndexExpr:
				of, _ := n.X.(*ast.SelectorExpr)
				found = isName(n.Index) && (of == nil || of.Sel.Name != "byName" && of.Sel.Name != "hidden")
			case *ast.CallExpr:
				fun, _ := n.Fun.(*ast.SelectorExpr)
				found = fun != nil && len(n.Args) == 2 && isName(n.Args[0]) && (fun.Sel.Name == "HasPrefix" || fun.Sel.Name == "HasSuffix" || fun.Sel.Name == "Contains")
			}
			if found {
				t.Errorf("%s: a command is told by its name", set.Position(n.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d files were read", files)
	}
}
