package token

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Normalisation form C (UAX #15) by hand: golang.org/x/text/unicode/norm would do it too, at 148 kB of wasm (53 kB
// compressed) against 45 kB (11 kB) here, and most prompts never reach the table.
//
//go:embed nfc.txt
var nfcTable string

// unicodeData is nfc.txt, read on first use.
type unicodeData struct {
	class     map[rune]uint8   // canonical combining class, where not 0
	decompose map[rune][2]rune // second 0: a singleton
	compose   map[[2]rune]rune
}

var loadUnicode = sync.OnceValue(func() *unicodeData {
	d := &unicodeData{map[rune]uint8{}, map[rune][2]rune{}, map[[2]rune]rune{}}
	for line := range strings.Lines(nfcTable) {
		kind, rest, _ := strings.Cut(line, " ")
		var n [3]rune // a singleton leaves the third 0
		for i, field := range strings.Fields(rest) {
			v, _ := strconv.ParseUint(field, 16, 32)
			n[i%3] = rune(v)
		}
		switch kind {
		case ">":
			for r := n[0]; r <= n[1]; r++ {
				d.class[r] = uint8(n[2])
			}
		case "=":
			d.compose[[2]rune{n[1], n[2]}] = n[0]
			fallthrough
		case "-":
			d.decompose[n[0]] = [2]rune{n[1], n[2]}
		}
	}
	return d
})

// nfc puts s into normalisation form C. Invalid UTF-8 becomes U+FFFD.
func nfc(s string) string {
	if composed(s) {
		return s
	}
	d := loadUnicode()
	runes := make([]rune, 0, len(s))
	for _, r := range s {
		runes = d.split(runes, r)
	}
	d.reorder(runes)
	return string(d.join(runes))
}

// composed is true of text in which nothing can change: all of it below U+0300.
func composed(s string) bool {
	for _, r := range s {
		if r >= 0x300 {
			return false
		}
	}
	return utf8.ValidString(s)
}

// Hangul syllables are arithmetic (Unicode 3.12).
const (
	hangulS, hangulL, hangulV, hangulT = 0xac00, 0x1100, 0x1161, 0x11a7
	countL, countV, countT             = 19, 21, 28
)

// split appends the full canonical decomposition of r.
func (d *unicodeData) split(to []rune, r rune) []rune {
	if i := r - hangulS; i >= 0 && i < countL*countV*countT {
		to = append(to, hangulL+i/(countV*countT), hangulV+i/countT%countV)
		if t := i % countT; t > 0 {
			to = append(to, hangulT+t)
		}
		return to
	}
	pair, ok := d.decompose[r]
	if !ok {
		return append(to, r)
	}
	to = d.split(to, pair[0])
	if pair[1] != 0 {
		to = d.split(to, pair[1])
	}
	return to
}

// reorder sorts each run of combining marks by class, keeping the order of equals.
func (d *unicodeData) reorder(runes []rune) {
	for i := 0; i < len(runes); i++ {
		start := i
		for i < len(runes) && d.class[runes[i]] != 0 {
			i++
		}
		slices.SortStableFunc(runes[start:i], func(a, b rune) int { return int(d.class[a]) - int(d.class[b]) })
	}
}

// join composes each mark with the starter before it unless something between them blocks it, in place.
func (d *unicodeData) join(runes []rune) []rune {
	out := runes[:0]
	starter, last := -1, uint8(0) // index in out of the starter; class of what was kept since, 0 for nothing
	for _, r := range runes {
		class := d.class[r]
		if starter >= 0 && (last < class || starter == len(out)-1) {
			if c, ok := d.pair(out[starter], r); ok {
				out[starter] = c
				continue
			}
		}
		if class == 0 {
			starter = len(out)
		}
		last = class
		out = append(out, r)
	}
	return out
}

// pair composes two code points.
func (d *unicodeData) pair(a, b rune) (rune, bool) {
	if l, v := a-hangulL, b-hangulV; l >= 0 && l < countL && v >= 0 && v < countV {
		return hangulS + (l*countV+v)*countT, true
	}
	s, t := a-hangulS, b-hangulT
	if s >= 0 && s < countL*countV*countT && s%countT == 0 && t > 0 && t < countT {
		return a + t, true
	}
	c, ok := d.compose[[2]rune{a, b}]
	return c, ok
}
