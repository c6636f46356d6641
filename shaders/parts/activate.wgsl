// The activations that end an op.

fn sigmoid(v: f32) -> f32 { return 1.0 / (1.0 + exp(min(-v, 80.0))); }

// kept is an activation a of v, but NaN where v is: min, max and exp may take it for a number, and so may v != v.
fn kept(v: f32, a: f32) -> f32 { return select(a, v, (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u); }

// erf by Abramowitz & Stegun 7.1.26, error below 1.5e-7.
fn erf(v: f32) -> f32 {
	let t = 1.0 / (1.0 + 0.3275911 * abs(v));
	let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
	return sign(v) * (1.0 - p * exp(-min(v * v, 80.0)));
}

// activate is one of the activations of Dims by its number.
fn activate(v: f32, act: u32) -> f32 {
	switch act {
		case 1u: { return v * sigmoid(v); }                                                                // silu
		case 2u: { return 0.5 * v * (1.0 + erf(v * 0.70710678)); }                                         // gelu
		case 3u: { return v * sigmoid(1.5957691216 * (v + 0.044715 * v * v * v)); }                        // gelu_tanh
		case 4u: { return v * sigmoid(1.702 * v); }                                                        // quick_gelu
		case 5u: { return kept(v, max(v, 0.0)); }                                                          // relu
		case 6u: { return kept(v, 2.0 * sigmoid(2.0 * v) - 1.0); }                                         // tanh
		case 7u: { return kept(v, sigmoid(v)); }                                                           // sigmoid
		default: { return v; }
	}
}
