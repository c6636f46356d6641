package pack

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"

	"wisp/loader/safetensors"
)

// Input is where a checkpoint is read from. Names are slash-separated.
type Input interface {
	// Open fails with fs.ErrNotExist where there is no such file.
	Open(name string) (safetensors.Blob, error)
	// List names the files in a folder, "" for the top; none where there is no folder.
	List(folder string) ([]string, error)
}

// sequential is an [Input] whose files are read once, from their beginnings to
// their ends.
type sequential interface{ Sequential() }

// marker is a file that can tell where reading it has come to, and go on from
// there: a pack that was interrupted does not read it again.
type marker interface {
	Mark() string
	Return(mark string) error
}

// finisher is a file that is checked once it has been read to its end.
type finisher interface{ Finish() error }

// weighted is an [Input] that finds the weights of a component itself.
type weighted interface {
	Weights(component string) (*safetensors.Set, error)
	// Checkpoints names the files that they come from.
	Checkpoints() []string
}

// Stamper is a file that can say whether it is still the same: a pack that was
// interrupted goes on where it stopped if the stamps are. Fixed says that an
// equal stamp means equal bytes; else those used are compared by their hash.
type Stamper interface {
	Stamp() (stamp string, fixed bool, err error)
}

// findWeights returns the checkpoint in a folder, the most precise where there
// are several, and refuses a folder that only has pickled ones.
func (p *packer) findWeights(folder string) (string, error) {
	if in, ok := p.in.(weighted); ok {
		for _, name := range in.Checkpoints() { // for its stamp
			f, err := p.openFile(name)
			if err != nil {
				return "", err
			}
			f.Close()
		}
		return "-", nil
	}
	names, err := p.in.List(folder)
	if err != nil {
		return "", err
	}
	var order []string
	if _, once := p.in.(sequential); once && p.opts.Quant != "f32" { // half of it need not come
		order = []string{"fp16", "", "bf16"}
	}
	best, also := safetensors.Best(names, order...)
	switch {
	case also != "":
		return "", fmt.Errorf("%s and %s are variants of which neither is the usual one: leave only one of them", best, also)
	case best != "":
		return path.Join(folder, best), nil
	}
	for _, n := range names {
		if safetensors.Pickled(n) {
			return "", fmt.Errorf("%s: %w", n, safetensors.ErrPickle)
		}
	}
	return "", fmt.Errorf("there is no diffusion_pytorch_model.safetensors or model.safetensors: %w", fs.ErrNotExist)
}

// config reads a network's config, and refuses one whose weights are codes of a
// quantisation that is not known here.
func (p *packer) config(name string) (json.RawMessage, error) {
	b, err := p.json(name)
	if err != nil {
		return nil, err
	}
	var head struct {
		Quantisation *struct {
			Method string `json:"quant_method"`
		} `json:"quantization_config"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if head.Quantisation != nil {
		return nil, fmt.Errorf("%s: quantization_config: the weights are quantised (%s): give the model before that was done", name,
			cmp.Or(head.Quantisation.Method, "quant_method not named"))
	}
	return b, nil
}

// maxJSON bounds configs; maxFile the files that travel with a model.
const (
	maxJSON = 4 << 20
	maxFile = 16 << 20
)

// json reads a JSON file and checks that it is an object. Python also writes
// NaN and Infinity, which JSON has not: they become null.
func (p *packer) json(name string) (json.RawMessage, error) {
	b, err := p.read(name, maxJSON)
	if err != nil {
		return nil, err
	}
	b = nonNumbers.ReplaceAllFunc(b, func(token []byte) []byte {
		if token[0] == '"' {
			return token
		}
		return []byte("null")
	})
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// nonNumbers matches Python's words for what is no number, and strings whole,
// so that a word in one is left alone.
var nonNumbers = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b`)

func (p *packer) read(name string, limit int64) ([]byte, error) {
	return readAll(p.openFile, name, limit)
}

// readAll reads a file of at most so many bytes.
func readAll(open func(string) (safetensors.Blob, error), name string, limit int64) ([]byte, error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > limit {
		return nil, fmt.Errorf("%s: %d bytes are more than %d", name, f.Size(), limit)
	}
	b := make([]byte, f.Size())
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, f.Size()), b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}
