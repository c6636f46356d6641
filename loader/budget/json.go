package budget

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON reads one JSON text (RFC 8259) token by token, from its start to its
// end, under [Limits]. It is stricter than encoding/json: the text must be
// UTF-8, a key may be there once and is matched as it is spelt, and numbers
// are taken as integers only. Nothing is allocated but what is handed out.
//
// The first error is final: every later call returns it.
type JSON struct {
	what    string
	text    []byte
	at      int
	depth   int
	entries int64
	limits  Limits
	keys    [][]byte // of the objects that Raw is in
	err     error
}

// ErrCutShort is the failure of a text that ends before it is whole.
var ErrCutShort = errors.New("it is cut short")

// NewJSON reads text, which is called what in errors.
func NewJSON(what string, text []byte, l Limits) *JSON {
	j := &JSON{what: what, text: text, entries: l.Entries, limits: l}
	if int64(len(text)) > l.Bytes {
		j.err = &Error{what, "bytes", l.Bytes}
	}
	return j
}

// Offset is the number of bytes read.
func (j *JSON) Offset() int { return j.at }

func (j *JSON) fail(format string, args ...any) error {
	if j.err == nil {
		j.err = fmt.Errorf("byte %d: "+format, append([]any{j.at}, args...)...)
	}
	return j.err
}

// peek returns the next byte that is no white space; 0 at the end.
func (j *JSON) peek() byte {
	for j.at < len(j.text) {
		switch c := j.text[j.at]; c {
		case ' ', '\t', '\r', '\n':
			j.at++
		default:
			return c
		}
	}
	return 0
}

// unexpected is the failure of a text that has something else than wanted.
func (j *JSON) unexpected(wanted string) error {
	if j.err != nil {
		return j.err
	}
	if j.at >= len(j.text) {
		j.err = ErrCutShort
		return j.err
	}
	r, _ := utf8.DecodeRune(j.text[j.at:])
	return j.fail("%q where %s should be", r, wanted)
}

// take reads the byte c.
func (j *JSON) take(c byte, wanted string) error {
	if j.err != nil || j.peek() != c || j.at >= len(j.text) {
		return j.unexpected(wanted)
	}
	j.at++
	return nil
}

// enter begins an object or an array.
func (j *JSON) enter(c byte, wanted string) error {
	if err := j.take(c, wanted); err != nil {
		return err
	}
	if j.depth++; j.depth > j.limits.Depth {
		j.err = &Error{j.what, "levels", int64(j.limits.Depth)}
	}
	return j.err
}

// each calls f for every entry up to the closing byte.
func (j *JSON) each(end byte, f func(i int) error) error {
	for i := 0; ; i++ {
		if j.err != nil {
			return j.err
		}
		if j.peek() == end && i == 0 {
			break
		}
		if j.err = Spend(&j.entries, 1, j.limits.Entries, j.what, "entries"); j.err != nil {
			return j.err
		}
		if err := f(i); err != nil {
			if j.err == nil {
				j.err = err
			}
			return err
		}
		if c := j.peek(); c == end {
			break
		} else if c != ',' {
			return j.unexpected("a comma or " + string(end))
		}
		j.at++
	}
	j.at++
	j.depth--
	return nil
}

// Array reads an array: f reads element i.
func (j *JSON) Array(f func(i int) error) error {
	if err := j.enter('[', "an array"); err != nil {
		return err
	}
	return j.each(']', f)
}

// Members reads an object: f reads the value of each key, of which the caller
// must refuse the second one.
func (j *JSON) Members(f func(key string) error) error {
	if err := j.enter('{', "an object"); err != nil {
		return err
	}
	return j.each('}', func(int) error {
		key, err := j.String()
		if err == nil {
			err = j.take(':', "a colon")
		}
		if err != nil {
			return err
		}
		return f(key)
	})
}

// Field is a key that an object may have, and what reads its value.
type Field struct {
	Key  string
	Read func() error
}

// Object reads an object that has no other keys than those of at most 64
// fields, and each at most once. Seen has bit i set where field i is there.
func (j *JSON) Object(fields []Field) (seen uint64, err error) {
	if err := j.enter('{', "an object"); err != nil {
		return 0, err
	}
	err = j.each('}', func(int) error {
		key, err := j.bytes()
		if err == nil {
			err = j.take(':', "a colon")
		}
		if err != nil {
			return err
		}
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Key == string(key) })
		switch {
		case i < 0:
			return j.fail("unknown key %q", key)
		case seen&(1<<i) != 0:
			return j.fail("the key %q is there twice", key)
		}
		seen |= 1 << i
		if err := fields[i].Read(); err != nil {
			return fmt.Errorf("%s: %w", fields[i].Key, err)
		}
		return nil
	})
	return seen, err
}

// String reads a string.
func (j *JSON) String() (string, error) {
	b, err := j.bytes()
	return string(b), err
}

// Again reads a string that may be the same as the last one, which then is the
// result: what a table repeats is in memory once.
func (j *JSON) Again(last string) (string, error) {
	b, err := j.bytes()
	if string(b) == last {
		return last, err
	}
	return string(b), err
}

// bytes reads a string; the result is part of the text where it can be.
func (j *JSON) bytes() ([]byte, error) {
	if err := j.take('"', "a string"); err != nil {
		return nil, err
	}
	from := j.at
	for ; j.at < len(j.text); j.at++ {
		switch c := j.text[j.at]; {
		case c == '"':
			b := j.text[from:j.at]
			j.at++
			return j.valid(b)
		case c == '\\':
			return j.escaped(from)
		case c < ' ':
			return nil, j.fail("a control character in a string")
		}
	}
	return nil, j.unexpected("a quotation mark")
}

func (j *JSON) valid(b []byte) ([]byte, error) {
	if !utf8.Valid(b) {
		return nil, j.fail("a string is not UTF-8")
	}
	return b, nil
}

// escaped reads the rest of a string that began at from, from an escape on.
func (j *JSON) escaped(from int) ([]byte, error) {
	b := bytes.Clone(j.text[from:j.at])
	for j.at < len(j.text) {
		c := j.text[j.at]
		j.at++
		switch {
		case c == '"':
			return j.valid(b)
		case c < ' ':
			return nil, j.fail("a control character in a string")
		case c != '\\':
			b = append(b, c)
		case j.at < len(j.text):
			i := bytes.IndexByte([]byte(`"\/bfnrtu`), j.text[j.at])
			j.at++
			if i < 0 {
				return nil, j.fail("an unknown escape in a string")
			}
			if i < 8 {
				b = append(b, "\"\\/\b\f\n\r\t"[i])
				continue
			}
			r, err := j.rune()
			if err != nil {
				return nil, err
			}
			b = utf8.AppendRune(b, r)
		}
	}
	return nil, j.unexpected("a quotation mark")
}

// rune reads what follows \u; half a pair of surrogates gives U+FFFD.
func (j *JSON) rune() (rune, error) {
	r, err := j.hex()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if !bytes.HasPrefix(j.text[j.at:], []byte(`\u`)) {
		return utf8.RuneError, nil
	}
	back := j.at
	j.at += 2
	low, err := j.hex()
	if pair := utf16.DecodeRune(r, low); err != nil || pair != utf8.RuneError {
		return pair, err
	}
	j.at = back
	return utf8.RuneError, nil
}

func (j *JSON) hex() (rune, error) {
	if len(j.text)-j.at < 4 {
		j.at = len(j.text)
		return 0, j.unexpected("four hexadecimal digits")
	}
	n, err := strconv.ParseUint(string(j.text[j.at:j.at+4]), 16, 16)
	if err != nil {
		return 0, j.fail("%q is not a code of four hexadecimal digits", j.text[j.at:j.at+4])
	}
	j.at += 4
	return rune(n), nil
}

// Int reads an integer of at most 18 digits.
func (j *JSON) Int() (int64, error) {
	if j.err != nil {
		return 0, j.err
	}
	c := j.peek()
	from := j.at
	if err := j.number(); err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(j.text[from:j.at]), 10, 64)
	if err != nil || j.at-from > 19 || c == '-' && n == 0 {
		j.at = from
		return 0, j.fail("%.40s is not a whole number of at most 18 digits", j.text[from:])
	}
	return n, nil
}

// number reads a number's text.
func (j *JSON) number() error {
	digits := func() bool {
		from := j.at
		for j.at < len(j.text) && j.text[j.at]-'0' < 10 {
			j.at++
		}
		return j.at > from
	}
	is := func(set string) bool {
		ok := j.at < len(j.text) && bytes.IndexByte([]byte(set), j.text[j.at]) >= 0
		if ok {
			j.at++
		}
		return ok
	}
	is("-")
	if !is("0") && !digits() {
		return j.unexpected("a number")
	}
	if is(".") && !digits() {
		return j.unexpected("a digit")
	}
	if is("eE") {
		if is("+-"); !digits() {
			return j.unexpected("a digit")
		}
	}
	return nil
}

// Null reads a null, if there is one.
func (j *JSON) Null() bool {
	if j.err == nil && j.peek() == 'n' && bytes.HasPrefix(j.text[j.at:], []byte("null")) {
		j.at += 4
		return true
	}
	return false
}

// Raw reads a value of any kind and returns its text, a part of what is read.
func (j *JSON) Raw() (json.RawMessage, error) {
	j.peek()
	from := j.at
	if err := j.skip(); err != nil {
		return nil, err
	}
	return json.RawMessage(j.text[from:j.at:j.at]), nil
}

func (j *JSON) skip() error {
	if j.err != nil {
		return j.err
	}
	switch c := j.peek(); c {
	case '{':
		return j.skipObject()
	case '[':
		return j.Array(func(int) error { return j.skip() })
	case '"':
		_, err := j.bytes()
		return err
	case 't', 'f', 'n':
		for _, word := range []string{"true", "false", "null"} {
			if bytes.HasPrefix(j.text[j.at:], []byte(word)) {
				j.at += len(word)
				return nil
			}
			if bytes.HasPrefix([]byte(word), j.text[j.at:]) {
				j.at = len(j.text)
			}
		}
		return j.unexpected("a value")
	}
	if j.at >= len(j.text) {
		return j.unexpected("a value")
	}
	return j.number()
}

// skipObject reads an object, in which no key may be twice. Its keys lie at the
// end of those of all objects that it is in.
func (j *JSON) skipObject() error {
	first := len(j.keys)
	if err := j.enter('{', "an object"); err != nil {
		return err
	}
	err := j.each('}', func(int) error {
		key, err := j.bytes()
		if err == nil {
			err = j.take(':', "a colon")
		}
		if err != nil {
			return err
		}
		j.keys = append(j.keys, key)
		return j.skip()
	})
	if err == nil {
		err = j.once(j.keys[first:])
	}
	j.keys = j.keys[:first]
	return err
}

// once refuses keys of which two are equal, and sorts them.
func (j *JSON) once(keys [][]byte) error {
	slices.SortFunc(keys, bytes.Compare)
	for i := 1; i < len(keys); i++ {
		if bytes.Equal(keys[i-1], keys[i]) {
			return j.fail("the key %q is there twice", keys[i])
		}
	}
	return nil
}

// End makes sure that nothing follows.
func (j *JSON) End() error {
	if j.err != nil {
		return j.err
	}
	if j.peek(); j.at < len(j.text) {
		return j.unexpected("the end")
	}
	return nil
}
