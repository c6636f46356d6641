package cpu_test

import (
	"testing"

	"wisp/engine/cpu"
	"wisp/engine/enginetest"
)

func TestStages(t *testing.T) { enginetest.Stages(t, cpu.New()) }
