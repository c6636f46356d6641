package cpu_test

import (
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/enginetest"
)

// TestPlainIsPlain: the oracle runs the graph without composite and fused ops,
// or it would be held against itself.
func TestPlainIsPlain(t *testing.T) {
	for _, c := range enginetest.Cases() {
		g, err := engine.Build(c.Build)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range engine.Optimize(g, cpu.Plain().Supports).Nodes {
			if !engine.Primitive(n) {
				t.Errorf("%s keeps %v", c.Name, n)
			}
		}
	}
}

// The oracle's fused and composite ops against its own primitives; its
// numbers are held against torch in tests/ops_test.go.
func TestTable(t *testing.T) { enginetest.Run(t, cpu.New()) }

// TestNaN: what is no number stays none.
func TestNaN(t *testing.T) { enginetest.NaN(t, cpu.New()) }
