package budget

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

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
