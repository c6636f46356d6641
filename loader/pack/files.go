package pack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"wisp/loader"
)

// addFiles packs what is neither a config nor a weight: tokenizers, model card
// and licence text, and takes the model's defaults from wisp.json.
func (p *packer) addFiles(ctx context.Context) error {
	names, err := p.fileNames()
	if err != nil {
		return err
	}
	for _, n := range names {
		b, err := p.read(n, maxFile)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			continue
		}
		place, err := p.w.put(ctx, b)
		if err != nil {
			return err
		}
		p.man.Files = append(p.man.Files, loader.FileInfo{Name: n, Place: place})
	}
	return p.w.flush(ctx)
}

// fileNames lists those files, and fills in what of the manifest's head is
// said in them.
func (p *packer) fileNames() ([]string, error) {
	if err := p.addDefaults(); err != nil {
		return nil, err
	}
	top, err := p.in.List("")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range top {
		switch strings.ToLower(n) {
		case "licence", "license", "licence.md", "license.md", "licence.txt", "license.txt":
			names = append(names, n)
		}
	}
	for _, card := range []string{"model-card.md", "README.md"} {
		if slices.Contains(top, card) {
			p.man.Card = card
			names = append(names, card)
			break
		}
	}
	for _, folder := range p.files {
		files, err := p.tokenizerFiles(folder)
		if err != nil {
			return nil, err
		}
		names = append(names, files...)
	}
	slices.Sort(names)
	return names, p.addLicence()
}

// addLicence takes the licence from the card, where nothing else names one.
func (p *packer) addLicence() error {
	if p.man.Licence == "" && p.man.Card != "" {
		card, err := p.read(p.man.Card, maxFile)
		if err != nil {
			return err
		}
		p.man.Licence = licenceOf(string(card))
	}
	p.man.Licence = cmp.Or(p.man.Licence, "unknown")
	return nil
}

// addDefaults copies wisp.json, whose name and licence are taken where the
// options have none.
func (p *packer) addDefaults() error {
	b, err := p.json("wisp.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var d struct{ Licence string }
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	p.man.Defaults = b
	if p.man.Licence == "" {
		p.man.Licence = d.Licence
	}
	return nil
}

// tokenizerFiles lists what a tokenizer needs. tokenizer.json repeats
// vocab.json and merges.txt, so it is left out where those are there, unless
// its added tokens count; and tokenizer.model, at four times the size.
func (p *packer) tokenizerFiles(folder string) ([]string, error) {
	files, err := p.in.List(folder)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range files {
		switch n {
		case "tokenizer.json":
			if slices.Contains(files, "tokenizer.model") {
				continue
			}
			if slices.Contains(files, "vocab.json") && slices.Contains(files, "merges.txt") {
				if counts, err := p.addedTokensCount(folder); err != nil {
					return nil, err
				} else if !counts {
					continue
				}
			}
		case "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json":
		default:
			continue
		}
		out = append(out, path.Join(folder, n))
	}
	return out, nil
}

// addedTokensCount reports whether transformers takes the added tokens from a
// folder's tokenizer.json: where it has some, and tokenizer_config.json lists
// none itself.
func (p *packer) addedTokensCount(folder string) (bool, error) {
	var config struct {
		Decoder json.RawMessage `json:"added_tokens_decoder"`
	}
	b, err := p.read(path.Join(folder, "tokenizer_config.json"), maxFile)
	if err == nil {
		err = json.Unmarshal(b, &config)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil || config.Decoder != nil {
		return false, err
	}
	var tokenizer struct {
		Added []struct{} `json:"added_tokens"`
	}
	if b, err = p.read(path.Join(folder, "tokenizer.json"), maxFile); err == nil {
		if err = json.Unmarshal(b, &tokenizer); err != nil {
			err = fmt.Errorf("%s/tokenizer.json: %w", folder, err)
		}
	}
	return len(tokenizer.Added) > 0, err
}

// licenceOf finds the licence in the front matter of a Hugging Face model card.
func licenceOf(card string) string {
	head, ok := strings.CutPrefix(strings.ReplaceAll(card, "\r", ""), "---\n")
	if !ok {
		return ""
	}
	head, _, _ = strings.Cut(head, "\n---")
	for line := range strings.Lines(head) {
		for _, key := range []string{"license:", "licence:"} {
			if v, ok := strings.CutPrefix(line, key); ok {
				return strings.Trim(strings.TrimSpace(v), `"'`)
			}
		}
	}
	return ""
}
