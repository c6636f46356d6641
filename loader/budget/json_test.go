package budget

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

var wide = Limits{Bytes: 1 << 20, Entries: 1 << 20, Depth: 64}

func raw(text string, l Limits) error {
	j := NewJSON("test.json", []byte(text), l)
	if _, err := j.Raw(); err != nil {
		return err
	}
	return j.End()
}

// TestRaw: what JSON is, and what is not, as RFC 8259 has it.
func TestRaw(t *testing.T) {
	for _, good := range []string{`{}`, ` [ ] `, `{"a":[1,-2.5e+3,"\u00e9\ud83d\ude00\n\"",true,false,null],"b":{"a":{}}}`, `0`, `"\ud83d"`, `"😀"`, "-0.0"} {
		if err := raw(good, wide); err != nil || !json.Valid([]byte(good)) {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"", "cut short"}, {`{"a":1`, "cut short"}, {`{"a`, "cut short"}, {`[1,`, "cut short"}, {`"\u12`, "cut short"}, {`tru`, "cut short"}, {`-`, "cut short"}, {`"\`, "cut short"},
		{`{"a":1,"a":2}`, "twice"}, {`{"a":1,"\u0061":2}`, "twice"}, {`[{"b":{},"a":1,"b":[]}]`, "twice"},
		{`[1,]`, "number"}, {`{"a":1,}`, "string"}, {`{a:1}`, "string"}, {`[1 2]`, "comma"}, {`[01]`, "comma"}, {`[1.]`, "digit"}, {`[1e]`, "digit"}, {`[+1]`, "number"},
		{`[NaN]`, "number"}, {`[1]]`, "the end"}, {`"` + "\n" + `"`, "control"}, {`"\x"`, "escape"}, {`"\u12g4"`, "hexadecimal"}, {"\"\xff\"", "UTF-8"}, {"[1]\x00", "the end"}, {`<html>`, "number"},
	} {
		if err := raw(c.text, wide); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

// TestLimits: each budget is spent before what it pays for, and named.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		text, budget string
		l            Limits
	}{
		{`[[[]]]`, "levels", Limits{Bytes: 99, Entries: 99, Depth: 2}},
		{strings.Repeat("[", 1<<20), "levels", Limits{Bytes: 1 << 20, Entries: 1 << 20, Depth: 64}},
		{`[1,[2,3],{"a":4}]`, "entries", Limits{Bytes: 99, Entries: 5, Depth: 9}},
		{`[1,2]  `, "bytes", Limits{Bytes: 6, Entries: 99, Depth: 9}},
	} {
		var e *Error
		if err := raw(c.text, c.l); !errors.As(err, &e) || e.Budget != c.budget || e.What != "test.json" {
			t.Errorf("%.20s: %v", c.text, err)
		}
	}
	if err := raw(`[1,[2,3],{"a":4}]`, Limits{Bytes: 17, Entries: 6, Depth: 2}); err != nil {
		t.Error(err)
	}
	left := int64(5)
	if err := Spend(&left, 3, 5, "x", "steps"); err != nil || left != 2 {
		t.Errorf("%v, %d left", err, left)
	}
	if err := Spend(&left, 3, 5, "x", "steps"); err == nil || left != 2 || err.Error() != "x takes more than 5 steps" {
		t.Errorf("%v, %d left", err, left)
	}
}

// TestObject: keys as they are spelt, each once, no others.
func TestObject(t *testing.T) {
	read := func(text string) (string, int64, uint64, error) {
		var s string
		var n int64
		j := NewJSON("test.json", []byte(text), wide)
		seen, err := j.Object([]Field{
			{"name", func() (err error) { s, err = j.String(); return err }},
			{"size", func() (err error) { n, err = j.Int(); return err }},
		})
		if err == nil {
			err = j.End()
		}
		return s, n, seen, err
	}
	if s, n, seen, err := read(`{"size":-12,"n\u0061me":"x\ty\/"}`); err != nil || s != "x\ty/" || n != -12 || seen != 3 {
		t.Errorf("%q %d %d %v", s, n, seen, err)
	}
	if _, _, seen, err := read(`{"size":0}`); err != nil || seen != 2 {
		t.Errorf("%d %v", seen, err)
	}
	for text, want := range map[string]string{
		`{"Size":1}`: `unknown key "Size"`, `{"size":1,"size":1}`: "twice", `{"size":"1"}`: "size: byte 8", `{"size":1.5}`: "whole number", `{"size":1e3}`: "whole number",
		`{"size":1234567890123456789012}`: "whole number", `{"size":-0}`: "whole number", `{"name":null}`: "a string", `{"size":1`: "cut short", `[]`: "an object", `null`: "an object",
	} {
		if _, _, _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// FuzzRaw: what is accepted is JSON, and what is JSON is accepted but for
// what is stricter on purpose.
func FuzzRaw(f *testing.F) {
	f.Add([]byte(`{"a":[1,-2.5e+3,"\u00e9\ud83d\ude00\n",true,null],"b":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		err := raw(string(text), Limits{Bytes: 1 << 20, Entries: 1 << 20, Depth: 100})
		if err == nil && !json.Valid(text) {
			t.Fatalf("%q is not JSON", text)
		}
		strict := err != nil && (strings.Contains(err.Error(), "UTF-8") || strings.Contains(err.Error(), "twice") || errors.As(err, new(*Error)))
		if err != nil && json.Valid(text) && !strict {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
