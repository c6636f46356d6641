package diffusion

import "wisp/engine"

// What kinds make of the states of several text encoders.

// beside lays two F32 tensors of the same rows side by side: (1, t, d), (1, t, e)
// to (1, t, d+e).
func beside(a, b engine.Tensor) engine.Tensor {
	rows, d, e := a.Shape[1], 4*a.Shape[2], 4*b.Shape[2]
	out := engine.NewTensor(engine.F32, 1, rows, (d+e)/4)
	for i := range rows {
		copy(out.Data[i*(d+e):], a.Data[i*d:][:d])
		copy(out.Data[i*(d+e)+d:], b.Data[i*e:][:e])
	}
	return out
}

// widened pads the rows of an F32 tensor (1, t, d) with zeros to a width.
func widened(t engine.Tensor, width int) engine.Tensor {
	return beside(t, engine.NewTensor(engine.F32, 1, t.Shape[1], width-t.Shape[2]))
}

// below appends the rows of b to those of a, both (1, ·, d).
func below(a, b engine.Tensor) engine.Tensor {
	data := append(append([]byte{}, a.Data...), b.Data...)
	return engine.Tensor{DType: engine.F32, Shape: engine.Shape{1, a.Shape[1] + b.Shape[1], a.Shape[2]}, Data: data}
}
