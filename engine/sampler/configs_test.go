package sampler

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestRandomConfigs draws where diffusers draws with configurations made at random, or refuses one of their fields by
// its name: tests/golden/sampler/configs.py made them.
func TestRandomConfigs(t *testing.T) {
	data, err := os.ReadFile("../../tests/golden/sampler/configs.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Config    json.RawMessage
			Steps     int
			Tokens    int
			Timesteps []float32
			Final     []float32 // null: diffusers leads nowhere
			Spread    float64   // how far apart two walks of diffusers end that rounding could have begun
		}
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatal(err, len(file.Cases))
	}
	drawn, refused, nowhere := 0, 0, 0
	for _, c := range file.Cases {
		config := parse(t, string(c.Config))
		s, err := New("", config, Plan{Steps: c.Steps, Tokens: c.Tokens, Varies: varies(config)})
		switch {
		case c.Final == nil:
			nowhere++
		case errors.Is(err, ErrConfig):
			refused++
			var fields map[string]any
			json.Unmarshal(c.Config, &fields)
			if !slices.ContainsFunc(slices.Collect(maps.Keys(fields)), func(f string) bool { return strings.Contains(err.Error(), f) }) {
				t.Errorf("%s: refused without a field's name: %v", c.Config, err)
			}
		case err != nil:
			t.Errorf("%s: %d steps: %v", c.Config, c.Steps, err)
		default:
			drawn++
			_, final, _ := drive(s, begin(s, len(c.Final), 0), false)
			near(t, string(c.Config)+" timesteps", s.Timesteps(), c.Timesteps, 0)
			near(t, string(c.Config)+" final", final, c.Final, 3e-5+32*c.Spread)
		}
	}
	t.Logf("%d drawn as diffusers draws, %d refused by a field, %d that lead nowhere in diffusers", drawn, refused, nowhere)
}
