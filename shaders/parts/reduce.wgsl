// What a workgroup of the kernel's threads reduces; reduce_subgroup, for devices
// with subgroups, takes two barriers instead of one for each halving.

var<workgroup> part: array<f32, threads>;

// add_up is the sum of v over the workgroup.
fn add_up(v: f32, id: u32) -> f32 {
	workgroupBarrier();
	part[id] = v;
	for (var step = threads / 2u; step > 0u; step /= 2u) {
		workgroupBarrier();
		if (id < step) { part[id] += part[id + step]; }
	}
	workgroupBarrier();
	return part[0];
}

// most is the largest v of the workgroup.
fn most(v: f32, id: u32) -> f32 {
	workgroupBarrier();
	part[id] = v;
	for (var step = threads / 2u; step > 0u; step /= 2u) {
		workgroupBarrier();
		if (id < step) { part[id] = max(part[id], part[id + step]); }
	}
	workgroupBarrier();
	return part[0];
}
