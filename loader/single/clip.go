package single

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
)

// clipMerges are the merges of CLIP's vocabulary, one a line, best first: the
// 48,894 that it uses of bpe_simple_vocab_16e6.txt.gz in open_clip_torch 3.3.0
// (MIT; see ATTRIBUTION.md).
//
//go:embed clip/merges.txt.gz
var clipMerges []byte

// clipVocabulary makes vocab.json and merges.txt of CLIP: the ids of all bytes,
// within a word and at its end, of the merges in their order, and of the two
// special tokens.
var clipVocabulary = sync.OnceValues(func() (vocab, merges []byte) {
	z, err := gzip.NewReader(bytes.NewReader(clipMerges))
	if err != nil {
		panic(err) // it is part of the program
	}
	text, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	var tokens, shifted []string
	for b, next := 0, rune(256); b < 256; b++ { // GPT-2's printable character for each byte, the printable bytes first
		if r := rune(b); r >= '!' && r <= '~' || r >= '¡' && r != 0xad {
			tokens = append(tokens, string(r))
			continue
		}
		shifted = append(shifted, string(next))
		next++
	}
	tokens = append(tokens, shifted...)
	for _, t := range tokens[:256] {
		tokens = append(tokens, t+"</w>")
	}
	for line := range strings.Lines(string(text)) {
		tokens = append(tokens, strings.Replace(strings.TrimRight(line, "\n"), " ", "", 1))
	}
	tokens = append(tokens, "<|startoftext|>", "<|endoftext|>")
	var b bytes.Buffer
	for i, t := range tokens {
		name, _ := json.Marshal(t) // of a string
		fmt.Fprintf(&b, "%c%s:%d", "{,"[min(i, 1)], name, i)
	}
	b.WriteByte('}')
	return b.Bytes(), append([]byte("#version: 0.2\n"), text...)
})

// clipTokenizer is the folder of a tokenizer whose padding is that token.
func clipTokenizer(files map[string][]byte, folder, pad string) {
	files[folder+"/vocab.json"], files[folder+"/merges.txt"] = clipVocabulary()
	files[folder+"/tokenizer_config.json"] = fmt.Appendf(nil, `{"add_prefix_space":false,"bos_token":"<|startoftext|>","clean_up_tokenization_spaces":true,`+
		`"do_lower_case":true,"eos_token":"<|endoftext|>","errors":"replace","model_max_length":77,"pad_token":%q,"tokenizer_class":"CLIPTokenizer","unk_token":"<|endoftext|>"}`, pad)
}
