package diffusion

// reading is a [Kind] whose prompts are bounded by T5, nil where the model came
// without it, and not by its CLIPs.
type reading interface{ reads() *t5Text }

func (k *flux) reads() *t5Text { return k.t5 }

func (k *stableDiffusion3) reads() *t5Text { return k.t5 }

// CountTokens is how many tokens the text encoder that bounds a prompt makes of a
// text, and how many it takes: where brackets are read, CLIP takes as many
// chunks as it needs, and limit is what those hold. It is 0 for a model without
// words or such a bound.
func (p *Pipeline) CountTokens(text, syntax string) (n, limit int) {
	if k, ok := p.kind.(reading); ok && k.reads() != nil {
		t5 := k.reads()
		_, seen, _ := t5.tokenizer.Encode(text, 8*t5.tokens)
		for _, v := range seen {
			n += int(v)
		}
		return n - 1, t5.tokens - 1 // but for the end
	}
	k, ok := p.kind.(worded)
	if !ok {
		return 0, 0
	}
	text, _, _ = readTags(text, nil)
	for _, c := range k.clips() {
		if c != nil {
			return c.count(text, syntax)
		}
	}
	return 0, 0
}

func (c *clipText) count(text, syntax string) (n, limit int) {
	chunk := c.tokens() - 2 // but for the begin and the end
	var parts []weighted
	switch syntax {
	case syntaxA1111:
		parts = readA1111(text)
	case syntaxComfyUI:
		parts = readComfyUI(text)
	default:
		return len(c.ids(text)), chunk
	}
	for _, p := range parts {
		if p.ends {
			n += (chunk - n%chunk) % chunk // a BREAK fills the chunk
		}
		n += len(c.ids(p.text))
	}
	return n, chunk * max(1, (n+chunk-1)/chunk)
}
