package single

import (
	"slices"
	"strings"

	"wisp/loader/safetensors"
)

// Sizes of a denoiser that decide what other programs call its layers.
type Sizes struct {
	Layers int // of a UNet's block
	Blocks int // of Stable Diffusion 3's transformer
	Width  int // of FLUX's transformer
}

// Rows are rows of a layer's weight under diffusers' name for it.
type Rows struct {
	Name    string
	From, N int
	Swapped bool // its halves are exchanged
}

// Layer is what diffusers makes of the weight, of so many rows, that another
// program calls so: a fused projection becomes three. Kind is the other
// program's: "unet" for CompVis and Stability's generative models, "sd3",
// "flux", "clip" for OpenCLIP. A name that it does not know comes back as it is.
func Layer(kind, name string, rows int, s Sizes) (out []Rows) {
	t := safetensors.Tensor{Name: name, Shape: []int{rows}, Size: int64(rows)}
	var made []safetensors.Tensor
	switch kind {
	case "unet":
		made = named(t, ldmUNet(s.Layers, name))
	case "sd3":
		made = sd3Tensor(s.Blocks-1, t)
	case "flux":
		made = fluxTensor(s.Width, t)
	case "clip":
		if t.Name = strings.TrimPrefix(openCLIP(name), "text_model."); strings.Contains(t.Name, ".in_proj_") {
			made = pieces(t, "in_proj_", "q_proj.", "k_proj.", "v_proj.")
		} else {
			made = named(t, t.Name)
		}
	}
	for _, m := range made {
		out = append(out, Rows{m.Name, int(m.Begin), m.Shape[0], m.Swapped})
	}
	slices.SortFunc(out, func(a, b Rows) int { return a.From - b.From })
	return out
}
