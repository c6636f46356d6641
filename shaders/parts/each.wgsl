// Calls each(i) for i below Dims.count. Grid (count / 256 in rows of 32768, rows,
// 1) of 256 invocations.

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let i = ((group.y + dims.first) * 32768u + group.x) * 256u + id;
	if (i < dims.count) { each(i); }
}
