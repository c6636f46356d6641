// Package model records the networks of a diffusion pipeline as graphs, one
// network to a file: each is driven by the config.json that transformers or
// diffusers writes, and asks for its weights under their checkpoint names.
//
// It knows no backend, no file and no sampler. Start at unet.go;
// layers.go holds the few modules that networks share, config.go how a
// configuration is read and refused.
package model
