// Package engine describes computations on tensors: a graph of operations, the
// shape rules of each, the passes that fuse and lower it, the planner that
// places its intermediate tensors in one arena, and the contract a device
// backend fulfils.
//
// It knows nothing of models, files, WebGPU or JavaScript. Start reading at
// [Build] and op.go; [Backend] is the way to a device.
//
// Conventions. Images are channels-last, (n, h, w, c): a token sequence
// (b, t, d) of an image is then a reshape, a convolution reads contiguous
// channels, and every backend shares the layout. Weights keep the layout of
// their checkpoint: convolution (out, in, kh, kw), linear (out, in).
package engine
