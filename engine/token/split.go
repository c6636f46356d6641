package token

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// normalize does what CLIP's tokenizer does to text before cutting it into words: NFC, runs of white space to one
// space, lower case. Which characters are letters, and their lower case, is Go's Unicode against Oniguruma's and
// Rust's: over all code points they differ only in letters assigned after Unicode 15.
func normalize(s string) string {
	s = nfc(s)
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		if isSpace := unicode.IsSpace(r); isSpace {
			if !space {
				b.WriteByte(' ')
			}
			space = true
			continue
		}
		space = false
		if r == 'İ' { // the one letter whose lower case is two
			b.WriteString("i\u0307")
			continue
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// specials are spelled out in CLIP's word pattern, and broken again by the byte-level pattern that follows it. Only
// lower-casing brings them this far.
var specials = []string{"<|startoftext|>", "<|endoftext|>"}

var contractions = []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}

// words cuts normalised text by CLIP's pattern (contractions, runs of letters, single digits, runs of anything
// else but space) and gives each word to yield until it returns false.
func words(s string, yield func(string) bool) {
	for s != "" {
		n := wordLen(s)
		if special := prefixOf(s, specials); special > 0 {
			inner := special - len("|>")
			if !yield(s[:2]) || !yield(s[2:inner]) || !yield(s[inner:special]) {
				return
			}
			n = special
		} else if n > 0 && !yield(s[:n]) {
			return
		}
		s = s[max(n, 1):] // n is 0 at a space
	}
}

// wordLen is the length of the word s starts with, 0 if that is a space.
func wordLen(s string) int {
	if n := prefixOf(s, contractions); n > 0 {
		return n
	}
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case unicode.IsSpace(r):
		return 0
	case unicode.IsLetter(r):
		return runLen(s, unicode.IsLetter)
	case unicode.IsNumber(r):
		return n
	}
	return runLen(s, func(r rune) bool { return !unicode.IsSpace(r) && !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

func runLen(s string, in func(rune) bool) int {
	if end := strings.IndexFunc(s, func(r rune) bool { return !in(r) }); end >= 0 {
		return end
	}
	return len(s)
}

func prefixOf(s string, list []string) int {
	for _, p := range list {
		if strings.HasPrefix(s, p) {
			return len(p)
		}
	}
	return 0
}
