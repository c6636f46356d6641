// Package pack writes the model directories that package loader reads, from
// what diffusers saves: a pipeline directory or one component of it. It
// holds one tensor at a time. Start at [Run]; [Verify] checks the result.
package pack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"wisp/loader"
)

// Options says what to pack and how.
type Options struct {
	In    string // a directory written by diffusers' or transformers' save_pretrained
	From  Input  // what to pack in place of In, where not nil
	Out   string // the model directory; made if need be, may hold an earlier pack
	Quant string // "f32" (as in the checkpoint), "f16", "q8", "q4", "ternary" or "auto"; empty is "f16". See [Policy]
	// Size is the budget of "auto", in bytes of weights and files before
	// compression: each layer gets the type that fills it with the least error.
	Size int64

	Name, Licence string    // for the manifest; by default from wisp.json, the model card, the directory's name
	ChunkSize     int       // raw bytes; 0 is 4 MiB, at most loader.MaxChunk
	PerTensor     bool      // report the error of every tensor, not only the worst of each component
	Progress      io.Writer // gets the report; nil for none
	// OnProgress, which may be nil, is told how much of the checkpoint is
	// converted, of [Plan].Input bytes; the report leaves that out then.
	OnProgress func(done int64)
	// Needs, which may be nil, lists the components that a pipeline's engine
	// reads, in the order of need: others are left out. Without, all with
	// weights are packed, by name.
	Needs func(*loader.Manifest) ([]string, error)
	// Change, which may be nil, gives what alters a tensor's values in place
	// before it is packed, or nil for one that stays; Changes tells what that is,
	// so that an interrupted pack goes on with the same only.
	Change  func(component, name string) func(values []float32) error
	Changes string
	// OnPlan, which may be nil, sees what [Run] is about to do before anything
	// is written; its error ends the pack.
	OnPlan func(*Plan) error

	chosen map[string]string // by component and name, for "auto"

	done *journal          // what an earlier pack did; nil for nothing
	seen map[string]string // stamps of the files that the plan was made of
}

// defaultChunk keeps a retry cheap, the progress fine and the memory of a few
// fetches at once small; hosts and stores handle the thousand files of a 4 GB
// model well.
const defaultChunk = 4 << 20

// Run packs o.In into o.Out. The manifest is written last, so a directory
// with a manifest is whole; chunks of an earlier pack are removed after that.
// A pack that was interrupted goes on where it stopped.
func Run(ctx context.Context, o Options) error {
	in := o.From
	if in == nil {
		d, err := OpenDir(o.In)
		if err != nil {
			return err
		}
		defer d.Close()
		in = d
	}
	if o.Name == "" {
		o.Name = baseName(o.In)
	}
	plan, err := NewPlan(in, o)
	if err != nil {
		return err
	}
	if o.OnPlan != nil {
		if err := o.OnPlan(plan); err != nil {
			return fmt.Errorf("pack: %w", err)
		}
	}
	out, err := createDir(o.Out)
	if err != nil {
		return err
	}
	unlock, err := lock(o.Out)
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	defer unlock()
	o.seen = plan.seen
	m, err := resume(ctx, in, out, &fileJournal{dir: out}, o)
	if err != nil {
		return err
	}
	return out.prune(m)
}

// resume packs, going on where an earlier pack of the same stopped.
func resume(ctx context.Context, in Input, out Output, j Journal, o Options) (*loader.Manifest, error) {
	for {
		key, ok := journalKey(o)
		if !ok { // of no source that could be known again
			return Pack(ctx, in, out, o)
		}
		var err error
		if o.done, err = openJournal(ctx, j, key); err != nil {
			return nil, err
		}
		m, err := Pack(ctx, in, out, o)
		j.End()
		if !errors.Is(err, errStale) {
			return m, err
		}
		if o.Progress != nil {
			fmt.Fprintln(o.Progress, "the input changed since the pack was begun: beginning again")
		}
		if err := j.Forget(); err != nil {
			return nil, fmt.Errorf("pack: %w", err)
		}
	}
}

// errStale: an interrupted pack cannot be gone on with.
var errStale = errors.New("the input is not the one that the pack was begun with")

// ErrChanged: the input changed while it was packed.
var ErrChanged = errors.New("it changed while it was packed: run the command again")

// Output is where a model is written to: chunks, then the manifest.
type Output interface {
	Write(ctx context.Context, name string, b []byte) error
}

// Pack is [Run] between any input and output; o.In and o.Out do not matter.
func Pack(ctx context.Context, in Input, out Output, o Options) (*loader.Manifest, error) {
	p, err := newPacker(in, out, o)
	if err != nil {
		return nil, err
	}
	if o.done != nil && len(o.done.chunks) > 0 {
		p.report("going on after %d chunks of an interrupted pack", len(o.done.chunks))
	}
	if err := p.run(ctx); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return p.man, nil
}

func newPacker(in Input, out Output, o Options) (*packer, error) {
	o.Quant = cmp.Or(o.Quant, "f16")
	if err := CheckQuant(o.Quant); err != nil {
		return nil, err
	}
	if (o.Quant == "auto") != (o.Size > 0) {
		return nil, errors.New("pack: a size goes with the quantisation auto, and auto needs one")
	}
	if o.ChunkSize == 0 {
		o.ChunkSize = defaultChunk
	}
	if o.ChunkSize < 64 || o.ChunkSize > loader.MaxChunk {
		return nil, fmt.Errorf("pack: a chunk size of %d is outside 64 to %d", o.ChunkSize, loader.MaxChunk)
	}
	measure := o.Progress != nil || o.done != nil
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.seen == nil {
		o.seen = map[string]string{}
	}
	p := &packer{in: in, opts: o, measure: measure, man: &loader.Manifest{Format: "wisp", Version: 1, Name: o.Name,
		Licence: o.Licence, Components: map[string]loader.Component{}}}
	p.w = &writer{out: out, size: o.ChunkSize, man: p.man, done: o.done}
	return p, nil
}

type packer struct {
	in    Input
	opts  Options
	man   *loader.Manifest
	w     *writer
	files []string      // folders of components without a config
	seen  int64         // bytes of tensors converted so far
	sum   hash.Hash     // of the tensor being converted; nil where there is no journal
	mark  func() string // where the file of the tensor being converted was read to
	// measure is whether anybody asks for the errors, which take longer to
	// compute than the weights do.
	measure bool
}

// part is a component with weights.
type part struct {
	name, class string
	weighted    bool   // it has a config.json, so it has weights
	weights     string // path of its .safetensors or index file
}

// notes are what the input tells of itself.
func (p *packer) notes() []string {
	if in, ok := p.in.(interface{ Notes() []string }); ok {
		return in.Notes()
	}
	return nil
}

func (p *packer) run(ctx context.Context) error {
	for _, note := range p.notes() {
		p.report("%s", note)
	}
	parts, err := p.survey()
	if err != nil {
		return err
	}
	if err := p.addFiles(ctx); err != nil {
		return err
	}
	if p.opts.Quant == "auto" {
		if err := p.choose(ctx, parts); err != nil {
			return err
		}
	}
	for _, c := range parts {
		if err := p.addComponent(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if err := p.unchanged(); err != nil {
		return err
	}
	p.man.Version = p.man.Oldest()
	text, err := p.man.Encode()
	if err != nil {
		return err
	}
	// What is written must be readable: the reader's own check is the judge.
	if _, err := loader.ParseManifest(text); err != nil {
		return err
	}
	p.report("total: %s raw, %s to download in %d chunks", mb(p.w.raw), mb(p.w.stored), len(p.man.Chunks))
	return p.w.out.Write(ctx, loader.ManifestName, text)
}

func (p *packer) report(format string, args ...any) {
	fmt.Fprintf(p.opts.Progress, format+"\n", args...)
}

func (p *packer) progress(n int64) {
	p.seen += n
	if p.opts.OnProgress != nil {
		p.opts.OnProgress(p.seen)
	}
}

func mb(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }
