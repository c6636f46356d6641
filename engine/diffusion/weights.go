package diffusion

import (
	"iter"
	"strconv"
	"strings"
)

// A syntax says how the brackets of a prompt are read.
const (
	syntaxNone    = "none"
	syntaxA1111   = "a1111"
	syntaxComfyUI = "comfyui"
)

// syntaxes are what Request.PromptSyntax may be; "" is none.
var syntaxes = []string{"", syntaxNone, syntaxA1111, syntaxComfyUI}

// weighted is a part of a prompt and how much its tokens count.
type weighted struct {
	text   string
	weight float64
	ends   bool // the chunk ends here: BREAK
}

// signs cuts text into the steps of AUTOMATIC1111's parse_prompt_attention: an
// escaped sign, a bracket, a weight that closes one, ":1.5)", beside its number,
// plain text. Written out, since regexp would be a thirtieth of the program.
func signs(text string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for len(text) > 0 {
			n, number := 1, ""
			switch {
			case text[0] == '\\':
				if len(text) > 1 && strings.IndexByte(`()[]\`, text[1]) >= 0 {
					n = 2
				}
			case text[0] == ':':
				if number = closing(text); number != "" {
					n = len(number) + 2
				}
			case strings.IndexByte("()[]", text[0]) < 0:
				if n = strings.IndexAny(text, `\()[]:`); n < 0 {
					n = len(text)
				}
			}
			if !yield(text[:n], number) {
				return
			}
			text = text[n:]
		}
	}
}

// closing is the number that text begins with between ":" and ")", or "".
func closing(text string) string {
	inside, _, closed := strings.Cut(text[1:], ")")
	digits := strings.TrimPrefix(strings.TrimPrefix(inside, "+"), "-")
	if !closed || len(inside)-len(digits) > 1 || strings.Trim(digits, ".0123456789") != "" || digits == "" {
		return ""
	}
	return inside
}

// capitals finds a word of capital letters that stands alone in text, from an index
// on; -1 without one.
func capitals(text, what string, from int) int {
	letter := func(i int) bool {
		return i >= 0 && i < len(text) && (text[i] == '_' || '0' <= text[i] && text[i] <= '9' || 'a' <= text[i]|0x20 && text[i]|0x20 <= 'z')
	}
	for from <= len(text) {
		at := strings.Index(text[from:], what)
		if at < 0 {
			break
		}
		if at += from; !letter(at-1) && !letter(at+len(what)) {
			return at
		}
		from = at + 1
	}
	return -1
}

// breaks cuts text at each BREAK and the space around it.
func breaks(text string) (parts []string) {
	const space, sign = " \t\n\f\r", "BREAK"
	from := 0
	for at := capitals(text, sign, 0); at >= 0; at = capitals(text, sign, from) {
		parts = append(parts, strings.TrimRight(text[from:at], space))
		from = len(text) - len(strings.TrimLeft(text[at+len(sign):], space))
	}
	return append(parts, text[from:])
}

// readA1111 reads AUTOMATIC1111's syntax: (more), [less], (a lot:1.5), nested;
// a backslash before a bracket that is meant; BREAK.
func readA1111(text string) []weighted {
	var parts []weighted
	var round, square []int // where open brackets began
	multiply := func(from int, by float64) {
		for i := from; i < len(parts); i++ {
			if !parts[i].ends {
				parts[i].weight *= by
			}
		}
	}
	pop := func(stack *[]int) int {
		last := (*stack)[len(*stack)-1]
		*stack = (*stack)[:len(*stack)-1]
		return last
	}
	for sign, number := range signs(text) {
		weight, err := strconv.ParseFloat(number, 64)
		switch {
		case sign[0] == '\\':
			parts = append(parts, weighted{text: sign[1:], weight: 1})
		case sign == "(":
			round = append(round, len(parts))
		case sign == "[":
			square = append(square, len(parts))
		case number != "" && err == nil && len(round) > 0:
			multiply(pop(&round), weight)
		case sign == ")" && len(round) > 0:
			multiply(pop(&round), 1.1)
		case sign == "]" && len(square) > 0:
			multiply(pop(&square), 1/1.1)
		default:
			for i, part := range breaks(sign) {
				if i > 0 {
					parts = append(parts, weighted{ends: true})
				}
				parts = append(parts, weighted{text: part, weight: 1})
			}
		}
	}
	for _, from := range round {
		multiply(from, 1.1)
	}
	for _, from := range square {
		multiply(from, 1/1.1)
	}
	return joined(parts)
}

// joined makes one of neighbours of the same weight.
func joined(parts []weighted) (out []weighted) {
	for _, p := range parts {
		if last := len(out) - 1; last >= 0 && out[last].weight == p.weight && !p.ends && !out[last].ends {
			out[last].text += p.text
			continue
		}
		out = append(out, p)
	}
	return out
}

// readComfyUI reads ComfyUI's syntax: (more), (a lot:1.5), where an inner
// weight replaces the outer one; a backslash before a bracket that is meant.
func readComfyUI(text string) []weighted {
	text = strings.NewReplacer(`\)`, "\x00\x01", `\(`, "\x00\x02").Replace(text)
	parts := comfyParts(text, 1, 0)
	for i := range parts {
		parts[i].text = strings.NewReplacer("\x00\x01", ")", "\x00\x02", "(").Replace(parts[i].text)
	}
	return parts
}

// maxNesting bounds the brackets within brackets that count.
const maxNesting = 100

func comfyParts(text string, weight float64, depth int) (out []weighted) {
	for _, part := range comfyBrackets(text) {
		if len(part) < 2 || part[0] != '(' || part[len(part)-1] != ')' || depth == maxNesting {
			out = append(out, weighted{text: part, weight: weight})
			continue
		}
		inner, inside := part[1:len(part)-1], weight*1.1
		if at := strings.LastIndex(inner, ":"); at > 0 {
			if given, err := strconv.ParseFloat(strings.TrimSpace(inner[at+1:]), 64); err == nil {
				inner, inside = inner[:at], given
			}
		}
		out = append(out, comfyParts(inner, inside, depth+1)...)
	}
	return out
}

// comfyBrackets cuts text into outermost brackets and what is between them.
func comfyBrackets(text string) (out []string) {
	from, depth := 0, 0
	for i, r := range text {
		switch {
		case r == '(':
			if depth == 0 && i > from {
				out = append(out, text[from:i])
				from = i
			}
			depth++
		case r == ')':
			if depth--; depth == 0 {
				out = append(out, text[from:i+1])
				from = i + 1
			}
		}
	}
	if from < len(text) {
		out = append(out, text[from:])
	}
	return out
}

// undone finds what AUTOMATIC1111 does with a prompt and wisp does not.
var undone = []struct {
	in   func(prompt string) bool
	says string
}{
	{inSquare(steps), "prompt: words that change between steps, [a:b:0.5], are read as emphasis"},
	{inSquare(func(inside string) bool { return strings.Contains(inside, "|") }), "prompt: words that take turns, [a|b], are read as emphasis"},
	{func(prompt string) bool { return capitals(prompt, "AND", 0) >= 0 }, "prompt: AND joins no prompts here, it is read as a word"},
}

// steps tells whether the words of a bracket end in a number behind a colon.
func steps(inside string) bool {
	at := strings.LastIndex(inside, ":")
	number := strings.TrimSpace(inside[at+1:])
	return at >= 0 && number != "" && strings.Trim(number, ".0123456789") == ""
}

// inSquare finds an innermost pair of square brackets that holds what is told.
func inSquare(holds func(inside string) bool) func(string) bool {
	return func(prompt string) bool {
		for _, part := range strings.Split(prompt, "[")[1:] {
			if inside, _, closed := strings.Cut(part, "]"); closed && holds(inside) {
				return true
			}
		}
		return false
	}
}

// section is what a text encoder reads at once, with the weight of each token.
type section struct {
	ids     []int32
	weights []float32
}

// chunker lays tokens into chunks as CLIP's encoders read them: a begin token,
// room for the text, an end token, padding.
type chunker struct {
	begin, end, pad int32
	length          int
	chunks          []section
	now             section // without begin and end
}

func (c *chunker) room() int { return c.length - 2 }

func (c *chunker) add(id int32, weight float64) {
	c.now.ids, c.now.weights = append(c.now.ids, id), append(c.now.weights, float32(weight))
}

// close ends the chunk under way.
func (c *chunker) close() {
	full := section{append([]int32{c.begin}, c.now.ids...), append([]float32{1}, c.now.weights...)}
	for id := c.end; len(full.ids) < c.length; id = c.pad {
		full.ids, full.weights = append(full.ids, id), append(full.weights, 1)
	}
	c.chunks, c.now = append(c.chunks, full), section{}
}

// backtrack is how many tokens after a comma AUTOMATIC1111 moves to the next
// chunk rather than cut there: its comma_padding_backtrack.
const backtrack = 20

// chunksA1111 lays parts as AUTOMATIC1111 does: chunks are filled, cut at a
// comma that is near, or at BREAK.
func (c *chunker) chunksA1111(parts []weighted, ids func(string) []int32, comma int32) []section {
	lastComma := -1
	next := func() {
		c.close()
		lastComma = -1
	}
	for _, p := range parts {
		if p.ends {
			next()
			continue
		}
		for _, id := range ids(p.text) {
			n := len(c.now.ids)
			if id == comma {
				lastComma = n
			} else if n == c.room() && lastComma >= 0 && n-lastComma <= backtrack {
				moved := section{c.now.ids[lastComma+1:], c.now.weights[lastComma+1:]}
				c.now = section{c.now.ids[:lastComma+1], c.now.weights[:lastComma+1]}
				next()
				c.now = moved
			}
			if len(c.now.ids) == c.room() {
				next()
			}
			c.add(id, p.weight)
		}
	}
	if len(c.now.ids) > 0 || len(c.chunks) == 0 {
		c.close()
	}
	return c.chunks
}

// longWord is how many tokens of a word ComfyUI may part between two chunks.
const longWord = 8

// chunksComfyUI lays parts as ComfyUI does: word by word, none of which is
// parted unless it is long.
func (c *chunker) chunksComfyUI(parts []weighted, ids func(string) []int32) []section {
	for _, p := range parts {
		for word := range strings.FieldsFuncSeq(p.text, func(r rune) bool { return r == ' ' || r == '\n' }) {
			tokens := ids(word)
			long := len(tokens) >= longWord
			for len(tokens) > 0 {
				take := len(tokens)
				if left := c.room() - len(c.now.ids); take > left {
					take = 0
					if long || len(c.now.ids) == 0 {
						take = left
					}
				}
				for _, id := range tokens[:take] {
					c.add(id, p.weight)
				}
				if tokens = tokens[take:]; len(tokens) > 0 {
					c.close()
				}
			}
		}
	}
	c.close()
	return c.chunks
}

// weighA1111 weighs the states of a chunk (tokens, d), in place, and gives them
// their mean back.
func weighA1111(states, weights []float32) {
	before, d := mean(states), len(states)/len(weights)
	for i := range states {
		states[i] *= weights[i/d]
	}
	by := float32(before / mean(states))
	for i := range states {
		states[i] *= by
	}
}

func mean(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x)
	}
	return sum / float64(len(v))
}

// weighComfyUI moves the states of a chunk (tokens, d), in place, away from or
// towards those of an empty text.
func weighComfyUI(states, weights, empty []float32) {
	d := len(states) / len(weights)
	for i, v := range states {
		if w := weights[i/d]; w != 1 {
			states[i] = (v-empty[i])*w + empty[i]
		}
	}
}
