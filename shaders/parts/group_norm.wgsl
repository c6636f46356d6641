// A run of pixels of a group of channels, by a workgroup of 256; base is its
// first element, count how many it has.

const threads = 256u;

// within is element i of the run.
fn within(base: u32, i: u32) -> u32 { return base + i / dims.per * dims.c + i % dims.per; }

// moments are the run's mean and its sum of squared distances from it.
fn moments(base: u32, count: u32, id: u32) -> vec2<f32> {
	var sum = 0.0;
	for (var i = id; i < count; i += threads) { sum += f32(x[within(base, i)]); }
	let mean = add_up(sum, id) / f32(count);
	var squares = 0.0;
	for (var i = id; i < count; i += threads) {
		let d = f32(x[within(base, i)]) - mean;
		squares += d * d;
	}
	return vec2<f32>(mean, add_up(squares, id));
}
