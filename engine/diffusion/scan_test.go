package diffusion

import (
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// The expressions that AUTOMATIC1111 and its kin read prompts with say what the
// scanners must find.
func TestScanners(t *testing.T) {
	attention := regexp.MustCompile(`\\[()\[\]\\]|\\|\(|\[|:([+-]?[.\d]+)\)|\)|\]|[^\\()\[\]:]+|:`)
	chunks := regexp.MustCompile(`\s*\bBREAK\b\s*`)
	tag := regexp.MustCompile(`<(?:lora|lyco):([^:>]+)((?::[^:>]*)*)>`)
	found := []*regexp.Regexp{
		regexp.MustCompile(`\[[^\[\]]*:\s*[\d.]+\s*\]`),
		regexp.MustCompile(`\[[^\[\]]*\|[^\[\]]*\]`),
		regexp.MustCompile(`\bAND\b`),
	}
	alphabet := strings.Split(`\ ( ) [ ] : + - . 1 5 a é _ | < > BREAK AND lora lyco <lora: <lyco:a :0.5) :.5] `, " ")
	alphabet = append(alphabet, " ", "\n")
	seen := map[int]int{}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var b strings.Builder
		for range random.IntN(12) {
			b.WriteString(alphabet[random.IntN(len(alphabet))])
		}
		text := b.String()
		var got, want [][2]string
		for sign, number := range signs(text) {
			got = append(got, [2]string{sign, number})
		}
		for _, m := range attention.FindAllStringSubmatch(text, -1) {
			want = append(want, [2]string{m[0], m[1]})
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: signs %q, want %q", text, got, want)
		}
		if got, want := breaks(text), chunks.Split(text, -1); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: breaks %q, want %q", text, got, want)
		}
		for i, u := range undone {
			is := u.in(text)
			if is != found[i].MatchString(text) {
				t.Fatalf("%q: %q is %v", text, u.says, is)
			}
			if is {
				seen[i]++
			}
		}
		before, name, fields, after, is := nextTag(text)
		m := tag.FindStringSubmatchIndex(text)
		if is != (m != nil) || is && (before != text[:m[0]] || name != text[m[2]:m[3]] || after != text[m[1]:] || strings.Join(append([]string{""}, fields...), ":") != text[m[4]:m[5]]) {
			t.Fatalf("%q: tag %q %q %q %q %v", text, before, name, fields, after, is)
		}
		if is {
			seen[3]++
		}
	}
	for i := range 4 {
		if seen[i] < 20 {
			t.Errorf("case %d was seen %d times", i, seen[i])
		}
	}
}
