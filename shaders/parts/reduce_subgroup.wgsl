// reduce for devices with subgroups.

var<workgroup> part: array<f32, threads>;

// add_up is the sum of v over the workgroup: over each subgroup, then each
// subgroup adds what the firsts of all wrote. It supposes nothing of how many
// invocations make a subgroup, nor which.
fn add_up(v: f32, id: u32) -> f32 {
	let sum = subgroupAdd(v);
	let rank = subgroupExclusiveAdd(1u);
	let size = subgroupAdd(1u);
	workgroupBarrier();
	part[id] = select(0.0, sum, rank == 0u);
	workgroupBarrier();
	var total = 0.0;
	for (var i = rank; i < threads; i += size) { total += part[i]; }
	return subgroupAdd(total);
}

// most is the largest v of the workgroup, found likewise.
fn most(v: f32, id: u32) -> f32 {
	let top = subgroupMax(v);
	let rank = subgroupExclusiveAdd(1u);
	let size = subgroupAdd(1u);
	workgroupBarrier();
	part[id] = top;
	workgroupBarrier();
	var total = top;
	for (var i = rank; i < threads; i += size) { total = max(total, part[i]); }
	return subgroupMax(total);
}
