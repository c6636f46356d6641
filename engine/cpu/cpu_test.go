package cpu_test

import (
	"testing"

	"wisp/engine/cpu"
	"wisp/engine/enginetest"
)

// The oracle's fused and composite ops against its own primitives; its
// numbers are held against torch in tests/ops_test.go.
func TestTable(t *testing.T) { enginetest.Run(t, cpu.New()) }
