package site

import (
	"bytes"
	"fmt"
	"regexp"
)

// said matches a text with its name, as strings.js and the languages write them.
var said = regexp.MustCompile(`(?m)^\t"?([\w-]+)"?: (".*"),$`)

// worded matches a text's name in a page, as learn in strings.js finds them: first
// those of elements, then those of each attribute that holds words.
var worded = []*regexp.Regexp{regexp.MustCompile(`data-t="([\w-]+)"`), regexp.MustCompile(`data-t-title="(\w+)"`), regexp.MustCompile(`data-t-placeholder="(\w+)"`), regexp.MustCompile(`data-t-aria-label="(\w+)"`)}

// ordered is a language as it is served, without most of the names, a quarter of
// it: the texts of scripts in the order of strings.js, those of the page in its
// order, and by name those of the other pages.
func ordered(english, page, other, language []byte) ([]byte, error) {
	texts, rest := map[string][]byte{}, &bytes.Buffer{}
	for _, m := range said.FindAllSubmatch(language, -1) {
		texts[string(m[1])] = m[2]
	}
	out := bytes.NewBufferString("export default [[")
	next := func(name string) error {
		if texts[name] == nil {
			return fmt.Errorf("site: a language has no text for %s", name)
		}
		fmt.Fprintf(out, "%s,", texts[name])
		texts[name] = nil
		return nil
	}
	for _, m := range said.FindAllSubmatch(english, -1) {
		if err := next(string(m[1])); err != nil {
			return nil, err
		}
	}
	for _, pattern := range worded {
		for _, m := range pattern.FindAllSubmatch(other, -1) {
			if name := string(m[1]); texts[name] != nil {
				fmt.Fprintf(rest, "%q:%s,", name, texts[name])
				texts[name] = nil
			}
		}
	}
	for _, pattern := range worded {
		for _, m := range pattern.FindAllSubmatch(page, -1) {
			if name := string(m[1]); texts[name] != nil {
				next(name)
			}
		}
	}
	fmt.Fprintf(out, "],{%s}]", rest)
	return out.Bytes(), nil
}
