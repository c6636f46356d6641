// Package loader turns a place that serves files into named tensors: it reads
// a model's manifest, fetches its chunks in parallel, verifies each against
// its SHA-256 before trusting a byte of it, keeps them in a [Store] and hands
// the tensors on in order, holding no more than a few chunks at a time.
//
// It never hears of the engine: a [Tensor] is a name, a type, a shape and
// bytes. The format is written down in FORMAT.md. Start at [Open] and
// [Model.Load]; package loader/pack writes what this package reads.
package loader
