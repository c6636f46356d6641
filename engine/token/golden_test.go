package token

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const goldenDir = "../../tests/golden/token/"

// openAIMerges is CLIP's own merges, a file this repository does not hold.
func openAIMerges() string {
	if path := os.Getenv("WISP_CLIP_BPE"); path != "" {
		return path
	}
	return filepath.FromSlash("../../../shared/weights/clip_bpe_simple_vocab_16e6.txt.gz")
}

type goldenRun struct {
	Vocab, Name string
	Files       map[string]json.RawMessage
	Length      int
	BOS         int32
	EOS         int32
	Pad         int32
	Outputs     []struct {
		Text      int // index into strings
		IDs       []int32
		Truncated bool
	}
}

func TestMatchesTransformers(t *testing.T) {
	var golden struct {
		Strings []string
		Runs    []goldenRun
	}
	if err := json.Unmarshal(read(t, "strings.json"), &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Strings) < 200 || len(golden.Runs) == 0 {
		t.Fatalf("%d strings, %d runs", len(golden.Strings), len(golden.Runs))
	}
	for _, run := range golden.Runs {
		t.Run(run.Vocab+"/"+run.Name, func(t *testing.T) {
			vocab, merges := read(t, "vocab.json"), read(t, "merges.txt")
			if run.Vocab == "openai" {
				var ok bool
				if vocab, merges, ok = openAI(t); !ok {
					return
				}
			}
			run.check(t, golden.Strings, vocab, merges)
		})
	}
}

func (run goldenRun) check(t *testing.T, texts []string, vocab, merges []byte) {
	opt := Options{run.Files["tokenizer_config.json"], run.Files["special_tokens_map.json"], run.Files["added_tokens.json"],
		run.Files["tokenizer.json"]}
	c, err := NewCLIP(vocab, merges, opt)
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxLength() != run.Length {
		t.Fatalf("length %d, want %d", c.MaxLength(), run.Length)
	}
	for _, o := range run.Outputs {
		want := append(append([]int32{run.BOS}, o.IDs...), run.EOS)
		for len(want) < run.Length {
			want = append(want, run.Pad)
		}
		got, truncated := c.Encode(texts[o.Text])
		if !slices.Equal(got, want) || truncated != o.Truncated {
			t.Errorf("%+.200q:\n got %v %v\nwant %v %v", texts[o.Text], got, truncated, want, o.Truncated)
		}
	}
}

// openAI makes vocab.json and merges.txt from CLIP's published merges.
func openAI(t *testing.T) (vocab, merges []byte, ok bool) {
	t.Helper()
	f, err := os.Open(openAIMerges())
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("NOT TESTED against OpenAI's vocabulary: %v; set WISP_CLIP_BPE to clip_bpe_simple_vocab_16e6.txt.gz", err)
		return nil, nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")[1:48895]
	var tokens, shifted []string
	for b, r := range byteAlphabet() {
		if int(r) == b {
			tokens = append(tokens, string(r))
		} else {
			shifted = append(shifted, string(r))
		}
	}
	tokens = append(tokens, shifted...)
	for _, c := range tokens[:256] {
		tokens = append(tokens, c+endOfWord)
	}
	for _, line := range lines {
		tokens = append(tokens, strings.Replace(line, " ", "", 1))
	}
	tokens = append(tokens, "<|startoftext|>", "<|endoftext|>")
	ids := map[string]int{}
	for i, token := range tokens {
		ids[token] = i
	}
	vocab, err = json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	return vocab, []byte("#version: 0.2\n" + strings.Join(lines, "\n")), true
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(goldenDir + name)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(data)
}
