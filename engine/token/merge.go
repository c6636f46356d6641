package token

import "fmt"

const endOfWord = "</w>"

// bpe is the vocabulary as merging needs it.
type bpe struct {
	unk   int32
	char  [256]int32       // id of a byte within a word, unk where there is none
	final [256]int32       // id of a byte that ends a word
	merge map[uint64]merge // by pair of ids
}

type merge struct{ rank, id int32 }

func pairKey(a, b int32) uint64 { return uint64(a)<<32 | uint64(b) }

// load fills in all but unk.
func (b *bpe) load(ids map[string]int32, pairs []pair) error {
	for i, r := range byteAlphabet() {
		b.char[i], b.final[i] = b.unk, b.unk
		if id, ok := ids[string(r)]; ok {
			b.char[i] = id
		}
		if id, ok := ids[string(r)+endOfWord]; ok {
			b.final[i] = id
		}
	}
	return b.loadMerges(ids, pairs)
}

// loadMerges fills in what is merged, the first pair first.
func (b *bpe) loadMerges(ids map[string]int32, pairs []pair) error {
	b.merge = make(map[uint64]merge, len(pairs))
	for rank, p := range pairs {
		left, okLeft := ids[p.left]
		right, okRight := ids[p.right]
		both, okBoth := ids[p.left+p.right]
		if !okLeft || !okRight || !okBoth {
			return fmt.Errorf("token: merge %d: %q, %q or the two together are not in the vocabulary: %w", rank+1,
				p.left, p.right, ErrBadTokenizer)
		}
		b.merge[pairKey(left, right)] = merge{int32(rank), both}
	}
	return nil
}

// byteAlphabet is the printable character that stands for each byte (GPT-2's table): itself where it is printable
// Latin-1, else the next of U+0100 on.
func byteAlphabet() (table [256]rune) {
	next := rune(256)
	for i := range table {
		r := rune(i)
		if r < '!' || r > '~' && r < '¡' || r == 0xad {
			r = next
			next++
		}
		table[i] = r
	}
	return table
}

// merger is the scratch space of one Encode.
type merger struct {
	symbols []symbol
	queue   []candidate
	ids     []int32
}

// symbol is a piece of the word in a linked list; id -1 marks one merged into its left neighbour.
type symbol struct{ id, prev, next int32 }

// candidate is a pair that could be merged: the symbol at and the one after it, as they were when queued.
type candidate struct{ rank, at, id int32 }

func (c candidate) before(o candidate) bool {
	return c.rank < o.rank || c.rank == o.rank && c.at < o.at
}

// word gives a word's ids: the best-ranked pair is merged, leftmost first, until none can be. A heap keeps a
// word of n bytes at O(n log n). The slice is good until the next call.
func (m *merger) word(b *bpe, word string) []int32 {
	m.symbols, m.queue, m.ids = m.symbols[:0], m.queue[:0], m.ids[:0]
	last := int32(len(word) - 1)
	for i := range int32(len(word)) {
		s := symbol{b.char[word[i]], i - 1, i + 1}
		if i == last {
			s = symbol{b.final[word[i]], i - 1, -1}
		}
		m.symbols = append(m.symbols, s)
	}
	return m.run(b)
}

// run merges the symbols of a word.
func (m *merger) run(b *bpe) []int32 {
	if len(m.symbols) == 0 {
		return nil
	}
	for i := range int32(len(m.symbols) - 1) {
		m.consider(b, i)
	}
	for len(m.queue) > 0 {
		m.apply(b, m.pop())
	}
	for i := int32(0); i >= 0; i = m.symbols[i].next {
		m.ids = append(m.ids, m.symbols[i].id)
	}
	return m.ids
}

// consider queues the pair that starts at symbol i, if there is a merge for it.
func (m *merger) consider(b *bpe, i int32) {
	s := m.symbols[i]
	if s.next < 0 {
		return
	}
	if found, ok := b.merge[pairKey(s.id, m.symbols[s.next].id)]; ok {
		m.push(candidate{found.rank, i, found.id})
	}
}

// apply merges a pair unless one of its sides has changed since it was queued.
func (m *merger) apply(b *bpe, c candidate) {
	s := &m.symbols[c.at]
	if s.id < 0 || s.next < 0 {
		return
	}
	right := &m.symbols[s.next]
	if now, ok := b.merge[pairKey(s.id, right.id)]; !ok || now.id != c.id {
		return
	}
	s.id, s.next, right.id = c.id, right.next, -1
	if s.next >= 0 {
		m.symbols[s.next].prev = c.at
	}
	if s.prev >= 0 {
		m.consider(b, s.prev)
	}
	m.consider(b, c.at)
}

// push and pop keep queue a binary heap.
func (m *merger) push(c candidate) {
	q := append(m.queue, c)
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !q[i].before(q[up]) {
			break
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
	m.queue = q
}

func (m *merger) pop() candidate {
	q := m.queue
	top, n := q[0], len(q)-1
	q[0] = q[n]
	q = q[:n]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			if q[child].before(q[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
	m.queue = q
	return top
}
