// Calls each_row(row, id) for rows below Dims.rows: a workgroup of 64 a row, in
// rows of 32768.

const threads = 64u;

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let row = (group.y + dims.first) * 32768u + group.x;
	if (row < dims.rows) { each_row(row, id); }
}
