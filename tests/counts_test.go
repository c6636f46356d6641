//go:build !js

package tests

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the tree may grow to: lines of a file, lines of a function, and of a
// hundred lines those that stand twice in runs of ten.
const (
	longestFile     = 400
	longestFunction = 60
	atOnce          = 10
)

// inOneLoop lists the functions that read straight down and may be longer:
// networks, and those that write a kernel's loops.
var inOneLoop = []string{
	"engine/model/facts.go ReadAutoencoder", "engine/model/gemma.go parseGemma", "engine/model/z_image.go ZImage",
	"engine/simd/attention.go attention", "engine/simd/int8.go emitTile8", "engine/simd/matmul.go emitTile",
	"engine/simd/panels.go emitUnpack", "engine/simd/panels.go packWeights", "engine/simd/winograd.go inputTile", "engine/simd/winograd.go outputTile",
	"loader/decode/literals.go emitLiterals", "loader/decode/sequence.go emitSequences",
}

// sources are the texts of the tree's files with one of the extensions, without
// tests, by their paths from its root.
func sources(t *testing.T, extensions ...string) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"build", "dist", "node_modules", "testdata", "test", "tests", "enginetest"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || !slices.Contains(extensions, path.Ext(name)) || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		texts[name] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) < 20 {
		t.Fatalf("only %d files", len(texts))
	}
	return texts
}

// parsed are the Go files of [sources].
func parsed(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	set, files := token.NewFileSet(), map[string]*ast.File{}
	for name, text := range sources(t, ".go") {
		file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
	}
	return set, files
}

// whole lists the files that may be longer: replay.js is one script, for workers,
// the tests' runner and Node load it by its name.
var whole = []string{"webgpu/replay.js"}

// TestFilesAreShort: whoever opens a file can read it to its end.
func TestFilesAreShort(t *testing.T) {
	for name, text := range sources(t, ".go", ".js", ".css", ".py", ".wgsl") {
		if lines := bytes.Count(text, []byte("\n")); lines > longestFile && !slices.Contains(whole, name) {
			t.Errorf("%s has %d lines, want %d at most", name, lines, longestFile)
		}
	}
}

// TestFunctionsAreShort: and no function but a network or a loop is longer than
// a screen.
func TestFunctionsAreShort(t *testing.T) {
	long := map[string]int{}
	set, files := parsed(t)
	for name, file := range files {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				key := name + " " + f.Name.Name
				long[key] = max(long[key], set.Position(f.End()).Line-set.Position(f.Pos()).Line+1)
			}
		}
	}
	for name, text := range sources(t, ".js") {
		for function, lines := range functions(string(text)) {
			long[name+" "+function] = lines
		}
	}
	for name, lines := range long {
		if loop := slices.Contains(inOneLoop, name); lines > longestFunction && !loop {
			t.Errorf("%s has %d lines, want %d at most", name, lines, longestFunction)
		} else if lines <= longestFunction && loop {
			t.Errorf("%s has %d lines and needs no exception", name, lines)
		}
	}
}

// head is a line that begins a function of several lines in JavaScript, behind
// its indentation.
var head = regexp.MustCompile(`^(\t*)(?:export )?(?:default )?(?:async )?(?:function\*? (\w+)\(.*|(?:static |get |set )?(#?\w+)\([^()]*\) )\{$|^(\t*)(?:export )?const (\w+) = (?:async )?\(?[^()]*\)? => \{$`)

// functions measures those of a script: each ends where a line begins with a
// brace below its head.
func functions(text string) map[string]int {
	found, lines := map[string]int{}, strings.Split(text, "\n")
	for i, line := range lines {
		m := head.FindStringSubmatch(line)
		if m == nil || slices.Contains([]string{"if", "for", "while", "switch", "catch"}, m[3]) {
			continue
		}
		end := slices.IndexFunc(lines[i:], func(l string) bool { return strings.HasPrefix(l, m[1]+m[4]+"}") })
		found[m[2]+m[3]+m[5]] = end + 1
	}
	return found
}

// TestFunctionsAreMeasured: those of JavaScript as they are written here.
func TestFunctionsAreMeasured(t *testing.T) {
	got := functions("export async function a(x) {\n\tif (x) {\n\t}\n}\nclass B {\n\tstatic c(x) {\n\t}\n\t#d() {\n\n\t}\n}\nconst e = (x) => {\n\tx();\n\n};\n")
	if len(got) != 4 || got["a"] != 4 || got["c"] != 2 || got["#d"] != 3 || got["e"] != 4 {
		t.Errorf("measured %v", got)
	}
}

// TestExportedNamesAreDocumented: each type, function, method, constant and
// variable that other packages see; functions of a line that stand right below
// each other have one comment.
func TestExportedNamesAreDocumented(t *testing.T) {
	set, files := parsed(t)
	n := 0
	check := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		n++
		if name.IsExported() && !slices.ContainsFunc(docs, func(d *ast.CommentGroup) bool { return d != nil }) {
			t.Errorf("%v: %s is not documented", set.Position(name.Pos()), name)
		}
	}
	for _, file := range files {
		var above *ast.CommentGroup // of the function that ends at the line last
		last := 0
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Doc != nil || set.Position(d.Pos()).Line != last+1 {
					above = d.Doc
				}
				last = set.Position(d.End()).Line
				if d.Recv == nil || exported(d.Recv.List[0].Type) {
					check(d.Name, above)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						check(s.Name, d.Doc, s.Doc, s.Comment)
					case *ast.ValueSpec:
						for _, name := range s.Names {
							check(name, d.Doc, s.Doc, s.Comment)
						}
					}
				}
			}
		}
	}
	if n < 1000 {
		t.Errorf("only %d names", n)
	}
}

// exported reports whether the type of a receiver is.
func exported(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.StarExpr:
		return exported(x.X)
	case *ast.IndexExpr:
		return exported(x.X)
	case *ast.Ident:
		return x.IsExported()
	}
	return false
}

// TestLittleStandsTwice: of the lines of Go and JavaScript less than one in a
// hundred stands in a run of ten that is found elsewhere, too.
func TestLittleStandsTwice(t *testing.T) {
	type place struct {
		file string
		line int
	}
	texts, places, lines, twice := map[string][]string{}, map[string][]place{}, 0, map[place]bool{}
	for name, text := range sources(t, ".go", ".js") {
		for l := range strings.Lines(string(text)) {
			if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "//") {
				texts[name] = append(texts[name], l)
			}
		}
		lines += len(texts[name])
		for i := range max(0, len(texts[name])-atOnce+1) {
			key := strings.Join(texts[name][i:i+atOnce], "\n")
			places[key] = append(places[key], place{name, i})
		}
	}
	for key, at := range places {
		if len(at) < 2 {
			continue
		}
		t.Logf("%v:\n%s", at, key)
		for _, p := range at {
			for i := range atOnce {
				twice[place{p.file, p.line + i}] = true
			}
		}
	}
	t.Logf("%d of %d lines stand twice", len(twice), lines)
	if len(twice)*100 >= lines {
		t.Errorf("%d of %d lines stand twice, want less than one in a hundred", len(twice), lines)
	}
}
