package diffusion

import (
	"errors"
	"testing"

	"wisp/engine/model"
)

// TestClipSkip counts layers as each program does: of Stable Diffusion 1, which
// reads the last; of XL, which reads the last but one; of 2, whose file ends there.
func TestClipSkip(t *testing.T) {
	sd1 := &clipText{facts: model.TextFacts{Width: 768, Layers: 12}}
	sd2 := &clipText{facts: model.TextFacts{Width: 1024, Layers: 23}}
	xl := &clipText{facts: model.TextFacts{Width: 768, Layers: 12}, own: 1}
	for _, c := range []struct {
		text *clipText
		p    Prompt
		want int
	}{
		{sd1, Prompt{}, 0}, {sd1, Prompt{ClipSkip: 1}, 0}, {sd1, Prompt{ClipSkip: 2}, 1},
		{sd1, Prompt{ClipSkip: 2, Negative: true}, 0},
		{sd1, Prompt{ClipSkip: 2, Negative: true, Syntax: syntaxA1111}, 1},
		{sd2, Prompt{}, 0}, {sd2, Prompt{ClipSkip: 2}, 1},
		{sd2, Prompt{ClipSkip: 3, Syntax: syntaxA1111}, 0},
		{sd2, Prompt{ClipSkip: 2, Syntax: syntaxComfyUI}, 0}, {sd2, Prompt{ClipSkip: 3, Syntax: syntaxComfyUI}, 1},
		{xl, Prompt{}, 1}, {xl, Prompt{ClipSkip: 1}, -1}, {xl, Prompt{ClipSkip: 2}, 1}, {xl, Prompt{ClipSkip: 3}, 2},
		{xl, Prompt{ClipSkip: 1, Negative: true}, 1}, {xl, Prompt{ClipSkip: 1, Negative: true, Syntax: syntaxComfyUI}, -1},
		{xl, Prompt{ClipSkip: 1, Syntax: syntaxA1111}, 1}, {xl, Prompt{ClipSkip: 4, Syntax: syntaxA1111}, 1},
	} {
		if got, err := c.text.skip(c.p); got != c.want || err != nil {
			t.Errorf("%d layers, %+v: %d, %v; want %d", c.text.facts.Layers, c.p, got, err, c.want)
		}
	}
	if _, err := sd2.skip(Prompt{ClipSkip: 1, Syntax: syntaxComfyUI}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("a layer that was never saved: %v", err)
	}
}
