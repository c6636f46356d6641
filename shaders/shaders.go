// Package shaders holds the WebGPU kernels, one WGSL file an op. Each file is
// complete and valid but for the element type `elem` of activations, which
// [Source] declares in a line before it. What shapes a kernel (tiles, the
// activation, the storage of its weights) is an `override`; what merely counts
// (rows, channels, strides) is in the uniform Dims, so that one pipeline serves
// every size.
//
// It knows nothing of graphs or devices. Start at linear.wgsl.
package shaders

import (
	"embed"
	"fmt"
	"strings"

	"wisp/engine"
)

//go:embed *.wgsl
var files embed.FS

// subgroups ends the names of kernels that need the feature of that name.
const subgroups = "_subgroup"

var preludes = map[engine.DType]string{
	engine.F32: "alias elem = f32;\n",
	engine.F16: "enable f16;\nalias elem = f16;\n",
}

// Source returns the kernel of that name for activations stored as d, F32 or F16.
func Source(name string, d engine.DType) (string, error) {
	prelude, ok := preludes[d]
	if !ok {
		return "", fmt.Errorf("shaders: %s: no kernels for %v", name, d)
	}
	text, err := files.ReadFile(name + ".wgsl")
	if err != nil {
		return "", fmt.Errorf("shaders: no kernel %q", name)
	}
	if strings.HasSuffix(name, subgroups) {
		prelude = "enable subgroups;\n" + prelude
	}
	return prelude + string(text), nil
}
