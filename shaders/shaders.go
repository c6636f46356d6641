// Package shaders holds the WebGPU kernels, one WGSL file an op. What several of
// them need (the weights' storage, activations, reductions, the tile of a matrix
// product) stands once, in parts/; a line of a kernel's comment names its parts,
// and [Source] appends them. It also declares the element type `elem` of
// activations. What shapes a kernel (tiles, the activation, the storage of its
// weights) is an `override`; what merely counts (rows, channels, strides) is in
// the uniform Dims, so that one pipeline serves every size.
//
// It knows nothing of graphs or devices. Start at linear.wgsl and parts/tile.wgsl.
package shaders

import (
	"embed"
	"fmt"
	"strings"

	"wisp/engine"
)

//go:embed *.wgsl parts/*.wgsl
var files embed.FS

// subgroups ends the names of kernels that need the feature of that name: a
// file of its own, or that of the name before it, whose reductions are then
// those of parts/reduce_subgroup.wgsl.
const subgroups = "_subgroup"

var preludes = map[engine.DType]string{
	engine.F32: "alias elem = f32;\n",
	engine.F16: "enable f16;\nalias elem = f16;\n",
}

// Source returns the kernel of that name, complete, for activations stored as d,
// F32 or F16.
func Source(name string, d engine.DType) (string, error) {
	prelude, ok := preludes[d]
	if !ok {
		return "", fmt.Errorf("shaders: %s: no kernels for %v", name, d)
	}
	base, fast := strings.CutSuffix(name, subgroups)
	text, err := files.ReadFile(name + ".wgsl")
	if err != nil && fast {
		text, err = files.ReadFile(base + ".wgsl")
	}
	if err != nil {
		return "", fmt.Errorf("shaders: no kernel %q", name)
	}
	source := string(text)
	for _, part := range parts(source) {
		if part == "reduce" && fast {
			part += subgroups
		}
		text, err := files.ReadFile("parts/" + part + ".wgsl")
		if err != nil {
			return "", fmt.Errorf("shaders: %s: no part %q", name, part)
		}
		source += "\n" + string(text)
	}
	if fast {
		prelude = "enable subgroups;\n" + prelude
	}
	return prelude + overridesFirst(source), nil
}

// overridesFirst moves what is to be overridden before all else: Firefox's
// compiler takes the order for that of the values, and ends the browser.
func overridesFirst(source string) string {
	var overrides, rest strings.Builder
	for line := range strings.Lines(source) {
		if strings.HasPrefix(line, "override ") {
			overrides.WriteString(line)
		} else {
			rest.WriteString(line)
		}
	}
	return overrides.String() + rest.String()
}

// parts are those that a kernel names: "// With each, activate."
func parts(kernel string) []string {
	_, list, ok := strings.Cut(kernel, "\n// With ")
	if !ok {
		return nil
	}
	list, _, _ = strings.Cut(list, ".\n")
	return strings.Split(list, ", ")
}
