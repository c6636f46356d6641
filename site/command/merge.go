//go:build !js

package command

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"wisp/engine/diffusion"
	"wisp/loader/pack"
)

// merged are the LoRAs that a pack merges into the weights.
type merged struct {
	flags []loraFlag
	known []*diffusion.Merging
}

func (m *merged) add(text string) error {
	l, err := parseLora(text)
	m.flags = append(m.flags, l)
	return err
}

// digest tells these LoRAs at these weights from others.
func (m *merged) digest() (string, error) {
	sum := sha256.New()
	for _, l := range m.flags {
		f, err := os.Open(l.path())
		if err != nil {
			return "", fmt.Errorf("-lora: %w", err)
		}
		fmt.Fprintf(sum, "%v\n", l.weight)
		_, err = io.Copy(sum, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("-lora: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// read finds what the LoRAs change of a model, and tells what means nothing there.
func (m *merged) read(plan *pack.Plan, log io.Writer) error {
	shapes, err := pack.Shapes(plan.Manifest)
	if err != nil || len(m.flags) == 0 {
		return err
	}
	for _, l := range m.flags {
		f, err := l.open()
		if err != nil {
			return fmt.Errorf("-lora: %w", err)
		}
		one, err := diffusion.NewMerging(plan, f, l.weight)
		if err != nil {
			return fmt.Errorf("-lora: %w", err)
		}
		switch missing := one.Missing(shapes); {
		case missing != "":
			return fmt.Errorf("-lora %s: it changes %s, which the checkpoint lacks", l.file, missing)
		case len(m.flags) > 1 && one.Scales():
			return fmt.Errorf("-lora %s: it multiplies weights, and can be merged only by itself", l.file)
		}
		if n := len(one.Unknown); n > 0 {
			fmt.Fprintf(log, "%s: %d keys mean nothing in this model: %s\n", one.Name, n, shortList(one.Unknown, 5))
		}
		for component, n := range one.Networks {
			fmt.Fprintf(log, "%s at %v: merged into %d weights of %s\n", one.Name, l.weight, n, component)
		}
		m.known = append(m.known, one)
	}
	return nil
}

// change is what all of the LoRAs make of a weight's values, nil where none
// changes it.
func (m *merged) change(component, name string) func([]float32) error {
	var changes []func([]float32) error
	for _, one := range m.known {
		if c := one.Change(component, name); c != nil {
			changes = append(changes, c)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return func(values []float32) error {
		for _, c := range changes {
			if err := c(values); err != nil {
				return err
			}
		}
		return nil
	}
}
