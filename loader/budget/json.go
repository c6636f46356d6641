package budget

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
