// Package rng draws the normal noise a seed stands for, number for number as PyTorch does, so that a seed
// gives the picture other programs give: New is torch's CPU generator (what diffusers and ComfyUI use),
// NewPhilox its CUDA generator (what AUTOMATIC1111 uses by default).
//
// The package is arithmetic only: it knows nothing of latents, tensors or samplers. Start with mt19937.go.
package rng

// Generator fills out with the next len(out) standard normal numbers of its stream. How a stream is cut into
// calls matters, as it does in torch: one call is one torch.randn.
type Generator interface{ Randn(out []float32) }
