package diffusion

import (
	"slices"

	"wisp/engine"
)

// chosen are rows of a batch of f32, in an order.
func chosen(t engine.Tensor, rows []int) engine.Tensor {
	size := len(t.Data) / t.Shape[0]
	out := engine.Tensor{DType: t.DType, Shape: append(engine.Shape{len(rows)}, t.Shape[1:]...)}
	for _, r := range rows {
		out.Data = append(out.Data, t.Data[r*size:][:size]...)
	}
	return out
}

// narrowed keeps the first channels.
func narrowed(t engine.Tensor, channels int) engine.Tensor {
	all := t.Shape.Dim(-1)
	if all == channels {
		return t
	}
	shape := slices.Clone(t.Shape)
	shape[len(shape)-1] = channels
	out := engine.Tensor{DType: t.DType, Shape: shape}
	for at := 0; at < len(t.Data); at += 4 * all {
		out.Data = append(out.Data, t.Data[at:][:4*channels]...)
	}
	return out
}

// pooled puts each channel's mean over the pixels in the place of them all.
func pooled(t engine.Tensor) engine.Tensor {
	v, n, channels := t.Float32s(), t.Shape[0], t.Shape[3]
	size := len(v) / n
	for row := range slices.Chunk(v, size) {
		for c := range channels {
			sum := 0.0
			for i := c; i < size; i += channels {
				sum += float64(row[i])
			}
			for i := c; i < size; i += channels {
				row[i] = float32(sum / float64(size/channels))
			}
		}
	}
	return engine.FromFloat32s(v, t.Shape...)
}

// added adds scaled rows to a batch of so many, of zeros where there is none yet.
func added(to, t engine.Tensor, scale float32, rows []int, batch int) engine.Tensor {
	v := t.Float32s()
	size := len(v) / t.Shape[0]
	sum := make([]float32, batch*size)
	if to.Data != nil {
		sum = to.Float32s()
	}
	for i, r := range rows {
		for j, x := range v[i*size:][:size] {
			sum[r*size+j] += scale * x
		}
	}
	return engine.FromFloat32s(sum, append(engine.Shape{batch}, t.Shape[1:]...)...)
}
