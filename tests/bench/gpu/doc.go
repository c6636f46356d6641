// Package gpu times the WebGPU backend on a graphics card, outside a browser:
// `make gpu`, or the archive of `make gpu-kit` on a machine without Go, npm or a
// network. Each figure stands beside what the card reaches in a loop of
// multiply-adds, or in a copy (peak.js).
package gpu
