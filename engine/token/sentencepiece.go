package token

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The fields of SentencePiece's ModelProto that matter, by their numbers in sentencepiece_model.proto.
const (
	modelPieces     = 1
	modelNormalizer = 3

	pieceText  = 1
	pieceScore = 2
	pieceType  = 3

	normalizerTable = 2

	typeControl     = 3
	typeUserDefined = 4
)

// readSentencePiece takes pieces and the normaliser's table from a spiece.model.
func readSentencePiece(data []byte) (pieces []piece, table []byte, err error) {
	err = fields(data, func(number int, value uint64, body []byte) error {
		switch number {
		case modelPieces:
			p := piece{}
			err := fields(body, func(number int, value uint64, body []byte) error {
				switch number {
				case pieceText:
					p.text = string(body)
				case pieceScore:
					p.score = float64(math.Float32frombits(uint32(value)))
				case pieceType:
					p.added = value == typeControl || value == typeUserDefined
				}
				return nil
			})
			pieces = append(pieces, p)
			return err
		case modelNormalizer:
			return fields(body, func(number int, _ uint64, body []byte) error {
				if number == normalizerTable && len(body) > 0 {
					table = body
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("token: spiece.model: %w", err)
	}
	return pieces, table, nil
}

// fields gives each field of a Protocol Buffers message to yield: a number in value, or bytes in body.
func fields(data []byte, yield func(number int, value uint64, body []byte) error) error {
	bad := fmt.Errorf("not a SentencePiece model: %w", ErrBadTokenizer)
	for len(data) > 0 {
		key, n := binary.Uvarint(data)
		if n <= 0 {
			return bad
		}
		data = data[n:]
		var value uint64
		var body []byte
		switch key & 7 {
		case 0:
			if value, n = binary.Uvarint(data); n <= 0 {
				return bad
			}
		case 1:
			if n = 8; len(data) < n {
				return bad
			}
			value = binary.LittleEndian.Uint64(data)
		case 2:
			size, m := binary.Uvarint(data)
			if m <= 0 || size > uint64(len(data)-m) {
				return bad
			}
			n = m + int(size)
			body = data[m:n]
		case 5:
			if n = 4; len(data) < n {
				return bad
			}
			value = uint64(binary.LittleEndian.Uint32(data))
		default:
			return bad
		}
		data = data[n:]
		if err := yield(int(key>>3), value, body); err != nil {
			return err
		}
	}
	return nil
}

// charsmap is SentencePiece's precompiled normaliser: a double-array trie (darts-clone) of what is replaced, and the
// replacements, each ended by a zero byte.
type charsmap struct {
	trie []uint32
	text string
}

func newCharsmap(data []byte) (*charsmap, error) {
	bad := fmt.Errorf("token: the normaliser's table is damaged: %w", ErrBadTokenizer)
	if len(data) < 4 {
		return nil, bad
	}
	size := binary.LittleEndian.Uint32(data)
	if data = data[4:]; size == 0 || size%4 != 0 || int64(size) > int64(len(data)) {
		return nil, bad
	}
	c := &charsmap{trie: make([]uint32, size/4), text: string(data[size:])}
	for i := range c.trie {
		c.trie[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	return c, nil
}

// normalize replaces what the table has. As the tokenizers library does it, a short group of a letter and its marks
// is looked up as one, a longer one letter by letter.
func (c *charsmap) normalize(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for s != "" {
		n := group(s)
		if n < 6 {
			if with, ok := c.lookUp(s[:n]); ok {
				b.WriteString(with)
				s = s[n:]
				continue
			}
		}
		for part := s[:n]; part != ""; {
			_, size := utf8.DecodeRuneInString(part)
			if with, ok := c.lookUp(part[:size]); ok {
				b.WriteString(with)
			} else {
				b.WriteString(part[:size])
			}
			part = part[size:]
		}
		s = s[n:]
	}
	return b.String()
}

// lookUp returns what stands for the shortest beginning of s that the table has.
func (c *charsmap) lookUp(s string) (string, bool) {
	at := offset(c.trie[0])
	for i := 0; i < len(s); i++ {
		if s[i] == 0 {
			return "", false
		}
		at ^= uint32(s[i])
		if at >= uint32(len(c.trie)) || c.trie[at]&(1<<31|0xff) != uint32(s[i]) {
			return "", false
		}
		leaf := c.trie[at]>>8&1 == 1
		if at ^= offset(c.trie[at]); !leaf {
			continue
		}
		if at >= uint32(len(c.trie)) {
			return "", false
		}
		from := c.trie[at] & (1<<31 - 1)
		if from >= uint32(len(c.text)) {
			return "", false
		}
		with, _, _ := strings.Cut(c.text[from:], "\x00")
		return with, true
	}
	return "", false
}

// offset is where a node's children are, against its own place.
func offset(node uint32) uint32 { return node >> 10 << (node & (1 << 9) >> 6) }

// group is the length of the first extended grapheme cluster of s (UAX #29), as far as clusters of under six bytes
// go: a line break of two, or a letter with marks; longer ones only count as such.
func group(s string) int {
	if strings.HasPrefix(s, "\r\n") {
		return 2
	}
	r, n := utf8.DecodeRuneInString(s)
	if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Cf, r) && !prepended(r) && r != '\u200c' && r != '\u200d' {
		return n
	}
	for prepended(r) && n < len(s) {
		next, size := utf8.DecodeRuneInString(s[n:])
		if unicode.IsControl(next) {
			return n
		}
		r, n = next, n+size
	}
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if !extends(r) {
			break
		}
		n += size
	}
	return n
}

// extends reports whether r continues a cluster: marks, joiners, the vowel signs that are letters.
func extends(r rune) bool {
	return r >= 0x300 && (unicode.In(r, unicode.M, unicode.Other_Grapheme_Extend) || r == '\u200d' || r == '\u0e33' || r == '\u0eb3')
}

// prepended reports whether r belongs to the letter after it.
func prepended(r rune) bool { return r >= 0x600 && unicode.Is(unicode.Prepended_Concatenation_Mark, r) }
