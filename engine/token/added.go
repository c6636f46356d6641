package token

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// added is a token that is looked for in the text itself and cut out whole.
type added struct {
	text       string
	id         int32
	lstrip     bool // takes the white space before it with it
	rstrip     bool // takes the white space after it with it
	singleWord bool // is none within a word
}

// maxAdded bounds the bytes of all added tokens: the automaton takes some 17 times as many.
const maxAdded = 4 << 20

// finder finds added tokens in a text. Its automaton is that of Aho and Corasick (1975) over the tokens read
// backwards: run over the text from its end, it knows at every place the longest token that starts there, in time
// linear in the text, however many tokens there are.
type finder struct {
	tokens []added
	nodes  []node
}

// node is a beginning of a reversed token; 0 is the empty one.
type node struct {
	child, sibling int32 // the first longer node, and the next as long; 0 for none
	fail           int32 // the longest other node that this one ends with
	token          int32 // the longest token that this one ends with, -1 for none
	last           byte
}

func newFinder(tokens []added) (*finder, error) {
	f := &finder{tokens: tokens, nodes: []node{{token: -1}}}
	size := 0
	for i, t := range tokens {
		if size += len(t.text); size > maxAdded {
			return nil, fmt.Errorf("token: the added tokens take more than %d bytes: %w", maxAdded, ErrBadTokenizer)
		}
		f.insert(t.text, int32(i))
	}
	f.link()
	return f, nil
}

func (f *finder) insert(text string, token int32) {
	at := int32(0)
	for i := len(text) - 1; i >= 0; i-- {
		next := f.child(at, text[i])
		if next == 0 {
			next = int32(len(f.nodes))
			f.nodes = append(f.nodes, node{sibling: f.nodes[at].child, token: -1, last: text[i]})
			f.nodes[at].child = next
		}
		at = next
	}
	f.nodes[at].token = token
}

// child is the node that is one byte longer, 0 for none.
func (f *finder) child(at int32, b byte) int32 {
	at = f.nodes[at].child
	for at != 0 && f.nodes[at].last != b {
		at = f.nodes[at].sibling
	}
	return at
}

// link fills in fail, shortest nodes first, and the tokens that come by it.
func (f *finder) link() {
	queue := make([]int32, 1, len(f.nodes))
	for i := 0; i < len(queue); i++ {
		parent := queue[i]
		for c := f.nodes[parent].child; c != 0; c = f.nodes[c].sibling {
			if parent != 0 {
				f.nodes[c].fail = f.next(f.nodes[parent].fail, f.nodes[c].last)
			}
			if f.nodes[c].token < 0 {
				f.nodes[c].token = f.nodes[f.nodes[c].fail].token
			}
			queue = append(queue, c)
		}
	}
}

// next is the node after one more byte.
func (f *finder) next(at int32, b byte) int32 {
	for {
		if next := f.child(at, b); next != 0 || at == 0 {
			return next
		}
		at = f.nodes[at].fail
	}
}

// starts gives for each byte of s the longest token that starts there, -1 for none.
func (f *finder) starts(s string) []int32 {
	found := make([]int32, len(s))
	at := int32(0)
	for i := len(s) - 1; i >= 0; i-- {
		at = f.next(at, s[i])
		found[i] = f.nodes[at].token
	}
	return found
}

// cut gives yield the tokens found in s (text empty) and the text between them, in order, until it returns false. Of
// the tokens that start at one place the longest wins.
func (f *finder) cut(s string, yield func(id int32, text string) bool) {
	found := []int32(nil)
	if len(f.tokens) > 0 {
		found = f.starts(s)
	}
	start := 0
	for i := 0; i < len(found); {
		if found[i] < 0 {
			i++
			continue
		}
		t := f.tokens[found[i]]
		from, to := i, i+len(t.text)
		i = to
		if t.singleWord && (endsInWord(s[:from]) || startsWithWord(s[to:])) {
			continue
		}
		if t.lstrip && from > start {
			from = start + len(strings.TrimRightFunc(s[start:from], unicode.IsSpace))
		}
		if t.rstrip {
			to = len(s) - len(strings.TrimLeftFunc(s[to:], unicode.IsSpace))
		}
		if from > start && !yield(0, s[start:from]) || !yield(t.id, "") {
			return
		}
		start = to
	}
	if start < len(s) {
		yield(0, s[start:])
	}
}

func endsInWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && wordRune(r)
}

func startsWithWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && wordRune(r)
}

// wordRune is \w of Unicode's regular expressions (UTS #18, annex C).
func wordRune(r rune) bool {
	return unicode.In(r, unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control)
}

// asWritten makes the finder of those that are looked for in the text as it is.
func asWritten(mentions []mention) (*finder, error) {
	var list []added
	for _, m := range mentions {
		if m.text != "" {
			list = append(list, m.added)
		}
	}
	return newFinder(list)
}

// byPlace makes the finders of those that are looked for before and after the text is normalised.
func byPlace(mentions []mention, normalize func(string) string) (raw, normal *finder, err error) {
	var lists [2][]added
	for _, m := range mentions {
		t, list := m.added, &lists[0]
		if m.normalized {
			t.text, list = normalize(t.text), &lists[1]
		}
		if t.text != "" {
			*list = append(*list, t)
		}
	}
	for _, list := range lists { // of two that normalisation makes one, the later
		slices.SortFunc(list, func(a, b added) int { return int(a.id) - int(b.id) })
	}
	if raw, err = newFinder(lists[0]); err == nil {
		normal, err = newFinder(lists[1])
	}
	return raw, normal, err
}
