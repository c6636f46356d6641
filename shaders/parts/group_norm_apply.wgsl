// normalise writes act((x − mean)·scale·gamma + beta) for a run of parts/group_norm.wgsl.
fn normalise(base: u32, count: u32, group: u32, mean: f32, scale: f32, id: u32) {
	for (var i = id; i < count; i += threads) {
		let at = within(base, i);
		let ch = group * dims.per + i % dims.per;
		out[at] = elem(activate((f32(x[at]) - mean) * scale * gamma[ch] + beta[ch], dims.act));
	}
}
