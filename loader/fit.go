package loader

import "fmt"

// Fit fails with [ErrMemory] where the weights that are wanted of the model
// take more than memory bytes as they are stored: all of them or, where the
// caller can load them in turns, those of the largest component. It is the
// least that any backend needs, known before a chunk of them is fetched. A
// memory of 0 is unknown, and enough.
func (m *Model) Fit(memory int64, inTurns bool) error {
	var all, largest int64
	sums := map[string]int64{}
	for i := range m.man.Tensors {
		if t := &m.man.Tensors[i]; wanted(m.wanted, t) {
			sums[t.Component] += t.Length
			all, largest = all+t.Length, max(largest, sums[t.Component])
		}
	}
	if inTurns {
		all = largest
	}
	if memory > 0 && all > memory {
		return fmt.Errorf("loader: %w: its weights take %.1f GB, of memory there is %.1f GB: "+
			"choose a smaller model, or pack it in 8 or 4 bits", ErrMemory, float64(all)/1e9, float64(memory)/1e9)
	}
	return nil
}
