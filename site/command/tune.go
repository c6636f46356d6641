//go:build !js

package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"wisp/loader"
)

// tune looks for the timesteps with which a packed model draws best in so many
// steps, and keeps them in its manifest among what wisp.json says.
func tune(ctx context.Context, f *flag.FlagSet, args []string) error {
	model := f.String("model", "site/models/default", "model directory")
	name := f.String("backend", "simd", "simd or cpu")
	steps := f.Int("steps", 0, "for how many steps; 0 for the model's own")
	count := f.Int("pictures", 4, "of how many pictures to learn, and as many to measure by")
	seed := f.Uint64("seed", 0, "of the first")
	prompt := f.String("prompt", "", "what to draw; without, the model's examples")
	dry := f.Bool("n", false, "print only, and leave the model as it is")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	p, closeAll, err := openPipeline(ctx, *model, *name, 0)
	if err != nil {
		return err
	}
	defer closeAll()
	man, settings, err := readSettings(ctx, *model)
	if err != nil {
		return err
	}
	r := p.Defaults()
	if r.Seed = *seed; *steps != 0 {
		r.Steps = *steps
	}
	prompts, err := examples(settings, *prompt, *count)
	if err != nil {
		return err
	}
	bar := onTerminal(os.Stderr)
	found, err := p.Tune(ctx, r, prompts, func(done, _ int) {
		if bar {
			fmt.Fprintf(os.Stderr, "\r%d evaluations", done)
		}
	})
	if bar {
		fmt.Fprint(os.Stderr, "\r\033[K")
	}
	if err != nil {
		return err
	}
	fmt.Printf("%d steps, pictures that were not learned from: %.4f from the exact solution before, %.4f after\n", r.Steps, found.Before, found.After)
	fmt.Println("timesteps:", strings.Trim(fmt.Sprint(found.Timesteps), "[]"))
	switch {
	case !(found.After < found.Before):
		fmt.Println("nothing is gained: the model stays as it is")
		return nil
	case *dry:
		return nil
	}
	if man.Defaults, err = withTimesteps(settings, r.Steps, found.Timesteps); err != nil {
		return err
	}
	return writeManifest(*model, man)
}

// writeManifest puts a model's manifest in place of the one that it has, whole.
func writeManifest(dir string, man *loader.Manifest) error {
	text, err := man.Encode()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, loader.ManifestName)
	if err := os.WriteFile(file+".part", text, 0o666); err != nil {
		return err
	}
	return os.Rename(file+".part", file)
}

// readSettings reads a model's manifest and what its wisp.json says.
func readSettings(ctx context.Context, dir string) (*loader.Manifest, map[string]json.RawMessage, error) {
	m, err := loader.Open(ctx, loader.Dir(dir), nil, loader.Options{})
	if err != nil {
		return nil, nil, err
	}
	settings := map[string]json.RawMessage{}
	if text, ok := m.Manifest().Config("wisp"); ok {
		if err := json.Unmarshal(text, &settings); err != nil {
			return nil, nil, fmt.Errorf("%s: wisp.json: %w", dir, err)
		}
	}
	man := *m.Manifest()
	return &man, settings, nil
}

// examples are so many prompts: the one given, or the model's own in turn.
func examples(settings map[string]json.RawMessage, prompt string, count int) (list []string, err error) {
	if count < 1 || count > 64 {
		return nil, fmt.Errorf("-pictures is %d: choose 1 to 64", count)
	}
	var own []string
	if text, ok := settings["examples"]; ok && prompt == "" {
		if err := json.Unmarshal(text, &own); err != nil {
			return nil, fmt.Errorf("wisp.json: examples: %w", err)
		}
	}
	if prompt != "" {
		own = []string{prompt}
	}
	if len(own) == 0 {
		return nil, errors.New("the model has no examples: give -prompt")
	}
	for i := range count {
		list = append(list, own[i%len(own)])
	}
	return list, nil
}

// withTimesteps puts those of a number of steps among the others.
func withTimesteps(settings map[string]json.RawMessage, steps int, t []float64) (json.RawMessage, error) {
	all := map[string][]float64{}
	if text, ok := settings["timesteps"]; ok {
		if err := json.Unmarshal(text, &all); err != nil {
			return nil, fmt.Errorf("wisp.json: timesteps: %w", err)
		}
	}
	all[strconv.Itoa(steps)] = t
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	settings["timesteps"] = text
	return json.Marshal(settings)
}
