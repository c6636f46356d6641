package diffusion

import (
	"context"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// t2iAdapter reads the config of a T2I-Adapter, Mou et al. 2023.
func (u unetPart) t2iAdapter(config []byte, factor int) (*controlNet, error) {
	f, err := model.ReadT2IAdapter(config)
	if err == nil && (f.Count < u.facts.Levels || f.Scale != factor && f.Scale != 2*factor) {
		err = fmt.Errorf("it has outputs for %d blocks and %d pixels to one, the model %d blocks and %d pixels", f.Count, f.Scale, u.facts.Levels, factor)
	}
	// what is left counts after the middle, if it is as large
	top := 0
	if f.Scale == 2*factor {
		top = 1
	}
	if f.Count = min(f.Count, u.facts.Levels+1); f.Halve+top != u.facts.Levels-1 {
		f.Count = min(f.Count, u.facts.Levels)
	}
	c := &controlNet{adapter: &f}
	c.Graph = func(s Size) (*engine.Graph, error) {
		return model.T2IAdapter(config, s.Height*factor, s.Width*factor)
	}
	return c, err
}

// adapt adds a T2I-Adapter's outputs, which are the same at all steps and for all
// rows.
func (m *steering) adapt(ctx context.Context, d *drawing, i int, net *controlNet, rows []Row, in Inputs) (err error) {
	if m.features[i] == nil {
		fed := Inputs{"strength": engine.FromFloat32s([]float32{m.controls[i].Weight}, 1), "condition": m.conditions[i]}
		l := d.latent
		if m.features[i], err = d.p.residency.Run(ctx, net.name(), Size{Batch: 1, Height: l.Height, Width: l.Width}, fed); err != nil {
			return err
		}
	}
	var all []int
	for row := range rows {
		all = append(all, row)
	}
	for k := range net.adapter.Count {
		name := fmt.Sprintf("adapter.%d", k)
		t := m.features[i][name]
		in[name] = added(in[name], chosen(t, make([]int, len(rows))), 1, all, len(rows))
	}
	return nil
}

// brightness is what Pillow's mode L makes of colours from 0 to 1.
func brightness(rgb []float32) []float32 {
	out := make([]float32, 0, len(rgb)/3)
	for i := 0; i < len(rgb); i += 3 {
		byteOf := func(v float32) uint32 { return uint32(v*255 + 0.5) }
		l := (19595*byteOf(rgb[i]) + 38470*byteOf(rgb[i+1]) + 7471*byteOf(rgb[i+2]) + 1<<15) >> 16
		out = append(out, float32(l)/255)
	}
	return out
}
