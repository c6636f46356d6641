package tests

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"wisp/engine/diffusion"
	"wisp/loader"
	"wisp/loader/pack"
)

// TestCatalogue: every model that the page offers is of a kind that the engine
// draws, packed in a way that there is, and marked where its licence forbids
// commercial use.
func TestCatalogue(t *testing.T) {
	text, err := os.ReadFile("../site/catalogue.json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Models []struct {
			Model, Name, Pipeline, Licence, Quantise, Good string
			Commercial                                     *bool
			Gated                                          bool
			Parameters                                     int64
			Width, Height, Steps                           int
		}
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		t.Fatal(err)
	}
	if len(list.Models) < 12 {
		t.Errorf("%d models", len(list.Models))
	}
	seen := map[string]bool{}
	for _, m := range list.Models {
		if seen[m.Model] || !strings.HasPrefix(m.Model, "hf:") || strings.Count(m.Model, "/") != 1 || m.Name == "" || m.Good == "" {
			t.Errorf("%+v", m)
		}
		seen[m.Model] = true
		if err := pack.CheckQuant(m.Quantise); err != nil || m.Quantise == "auto" {
			t.Errorf("%s: quantise is %q", m.Name, m.Quantise)
		}
		if m.Parameters < 1e8 || m.Width%64 != 0 || m.Height%64 != 0 || m.Width == 0 || m.Height == 0 || m.Steps < 1 {
			t.Errorf("%s: %+v", m.Name, m)
		}
		free := slices.Contains([]string{"mit", "apache-2.0", "creativeml-openrail-m", "openrail++"}, m.Licence)
		if m.Commercial == nil || *m.Commercial != free {
			t.Errorf("%s: the licence %s is not marked as it should be", m.Name, m.Licence)
		}
		_, err := diffusion.Components(&loader.Manifest{Index: json.RawMessage(`{"_class_name":"` + m.Pipeline + `"}`)})
		if err != nil && strings.Contains(err.Error(), "which wisp does not draw") {
			t.Errorf("%s: the engine does not draw %s (%v)", m.Name, m.Pipeline, err)
		}
	}
}
