package diffusion

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// shown writes parts as {text weight}, with four digits.
func shown(parts []weighted) string {
	var b strings.Builder
	for _, p := range parts {
		if p.ends {
			b.WriteString("|")
			continue
		}
		fmt.Fprintf(&b, "{%s %.4g}", p.text, p.weight)
	}
	return b.String()
}

// The examples of AUTOMATIC1111's own documentation of parse_prompt_attention,
// and odd ones.
func TestReadA1111(t *testing.T) {
	for text, want := range map[string]string{
		"normal text":           "{normal text 1}",
		"an (important) word":   "{an  1}{important 1.1}{ word 1}",
		"(unbalanced":           "{unbalanced 1.1}",
		`\(literal\]`:           "{(literal] 1}",
		"(unnecessary)(parens)": "{unnecessaryparens 1.1}",
		"a [less] b)":           "{a  1}{less 0.9091}{ b) 1}",
		"cat BREAK dog":         "{cat 1}|{dog 1}",
		"(cat BREAK dog:1.5)":   "{cat 1.5}|{dog 1.5}",
		"time: 5:30 (x:y)":      "{time: 5:30  1}{x:y 1.1}",
		"":                      "",
		`back\slash`:            "{backslash 1}",
		"a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": "{a  1}{house 1.573}{  1.1}{on 1}{ a  1.1}{hill 0.55}{, sun,  1.1}{sky 1.464}{. 1.1}",
	} {
		if got := shown(readA1111(text)); got != want {
			t.Errorf("%q is\n%s, want\n%s", text, got, want)
		}
	}
}

func TestReadComfyUI(t *testing.T) {
	for text, want := range map[string]string{
		"a (red) cat":       "{a  1}{red 1.1}{ cat 1}",
		"((red))":           "{red 1.21}",
		"(a (red:1.5) cat)": "{a  1.1}{red 1.5}{ cat 1.1}",
		"(red:0.5)":         "{red 0.5}",
		`\(red\)`:           "{(red) 1}",
		"[red] BREAK":       "{[red] BREAK 1}",
		"(red: 1.3)":        "{red 1.3}",
		"(time 5:30 pm)":    "{time 5:30 pm 1.1}",
		"(open":             "{(open 1}",
		"":                  "",
	} {
		if got := shown(readComfyUI(text)); got != want {
			t.Errorf("%q is\n%s, want\n%s", text, got, want)
		}
	}
}

// letters makes an id of each letter; a comma is 1.
func letters(text string) (ids []int32) {
	for _, r := range strings.ReplaceAll(text, " ", "") {
		if r == ',' {
			r = 1
		}
		ids = append(ids, r)
	}
	return ids
}

// lengths are those of the texts in chunks, whose end token is 9.
func lengths(chunks []section) (n []int) {
	for _, c := range chunks {
		n = append(n, slices.Index(c.ids, 9)-1)
	}
	return n
}

func TestChunks(t *testing.T) {
	fresh := func() *chunker { return &chunker{begin: 8, end: 9, pad: 0, length: 77} }
	long := strings.Repeat
	for text, want := range map[string][]int{
		"":                                  {0},
		long("a", 75):                       {75},
		long("a", 76):                       {75, 1},
		long("a", 60) + "," + long("b", 30): {61, 30}, // the comma is near
		long("a", 30) + "," + long("b", 60): {75, 16}, // and here it is not
		"a BREAK b":                         {1, 1},
		"BREAK":                             {0},
		"a BREAK":                           {1},
	} {
		chunks := fresh().chunksA1111(readA1111(text), letters, 1)
		if got := lengths(chunks); !slices.Equal(got, want) {
			t.Errorf("A1111: %.20q: chunks of %v, want %v", text, got, want)
		}
		for _, c := range chunks {
			if len(c.ids) != 77 || len(c.weights) != 77 || c.ids[0] != 8 {
				t.Errorf("%.20q: a chunk of %d ids, %d weights", text, len(c.ids), len(c.weights))
			}
		}
	}
	for text, want := range map[string][]int{
		"":                      {0},
		long("abcd ", 19):       {72, 4}, // no word is parted
		long("a", 80):           {75, 5}, // but a long one
		"abcd " + long("b", 74): {75, 3},
	} {
		if got := lengths(fresh().chunksComfyUI(readComfyUI(text), letters)); !slices.Equal(got, want) {
			t.Errorf("ComfyUI: %.20q: chunks of %v, want %v", text, got, want)
		}
	}
	if got := len((&chunker{begin: 8, end: 9, length: 4}).chunksComfyUI(readComfyUI("abcdefg hij"), letters)); got != 6 {
		t.Errorf("%d chunks of two", got)
	}
}

func TestWeigh(t *testing.T) {
	states := []float32{1, 2, 3, 4}
	weighA1111(states, []float32{1, 2})
	if m := mean(states); math.Abs(m-2.5) > 1e-6 || math.Abs(float64(states[2]/states[0])-6) > 1e-6 {
		t.Errorf("states %v of mean %v", states, m)
	}
	states = []float32{1, 2, 3, 4}
	weighComfyUI(states, []float32{1, 2}, []float32{1, 1, 1, 1})
	if !slices.Equal(states, []float32{1, 2, 5, 7}) {
		t.Errorf("states %v", states)
	}
}

func FuzzReadPrompt(f *testing.F) {
	f.Add("a ((b:1.2) [c] \\( BREAK :")
	f.Fuzz(func(t *testing.T, text string) {
		for _, parts := range [][]weighted{readA1111(text), readComfyUI(text)} {
			n := 0
			for _, p := range parts {
				n += len(p.text)
			}
			if n > len(text) {
				t.Errorf("%q became longer", text)
			}
		}
	})
}
