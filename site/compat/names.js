// Other tools' names for what wisp has. The table is the generator's, names: that
// of engine/sampler/names.json, which says where they are from. The page, the API and
// the readers of pictures and workflows ask here; a row that the model in use has no
// sampler for is reported, never replaced.

// Words for "whatever the sampler has": InvokeAI's and NovelAI's schedules are
// the checkpoint's own.
const automatic = ["", "automatic", "native", "none", "default"];

const same = (a, b) => a.toLowerCase() === b.toLowerCase();
const rowOf = (table, tool, text) => table.find((row) => (row[tool] ?? []).some((name) => same(name, text)));
const offered = (list, text) => list.find(({ name, label }) => same(name, text) || same(label ?? name, text))?.name;

// methodOf translates a tool's sampler and schedule for a generator, {samplers,
// schedules, defaults}; what is undefined is the model's own. known and
// scheduleKnown tell whether the names are any at all; lost lists what this model
// cannot have. tool "" has wisp's own names only.
export function methodOf(generator, tool, sampler, schedule) {
	const { schedules } = generator.names;
	const asked = { sampler: text(sampler), schedule: text(schedule) };
	const said = split(generator, tool, asked.sampler);
	const row = samplerRow(generator.names, tool, said.sampler);
	const own = tool === "" || tool === "a1111" && !row ? offered(generator.samplers, said.sampler) : undefined;
	const name = own ?? offered(generator.samplers, row?.name ?? "");
	const wanted = automatic.includes(asked.schedule.toLowerCase()) ? said.schedule : asked.schedule;
	const lost = said.sampler && name === undefined ? [`Sampler: ${asked.sampler}`] : [];
	if (name !== undefined && own === undefined && row?.differs?.[tool]) lost.push(`Sampler: ${asked.sampler} (${row.differs[tool]})`);
	const found = scheduleOf(generator, tool, wanted, row);
	if (wanted && found === undefined) lost.push(`Schedule type: ${wanted}`);
	return { sampler: name, schedule: found, known: Boolean(row || name), scheduleKnown: !wanted || found !== undefined || Boolean(rowOf(schedules, tool, wanted)), row, lost };
}

// samplerRow is the row of a name; Fooocus has both ComfyUI's and, in its texts,
// AUTOMATIC1111's.
const samplerRow = ({ samplers }, tool, name) => (name ? rowOf(samplers, tool, name) ?? (tool === "comfy" ? rowOf(samplers, "a1111", name) : undefined) : undefined);

// text is a name as somebody sent it; names are short.
const text = (value) => (typeof value === "string" ? value.trim().slice(0, 100) : value === undefined || value === null ? "" : String(value).slice(0, 100));

// split takes the schedule off a sampler's name, as in "DPM++ 2M Karras" or
// "dpmpp_2m_k".
function split(generator, tool, sampler) {
	const whole = samplerRow(generator.names, tool, sampler) ?? (["", "a1111"].includes(tool) ? offered(generator.samplers, sampler) : undefined);
	if (tool === "invoke" && sampler.endsWith("_k") && whole) return { sampler, schedule: "karras" };
	const at = sampler.lastIndexOf(" ");
	const last = sampler.slice(at + 1);
	if (whole || at < 0 || !(rowOf(generator.names.schedules, tool, last) ?? offered(generator.schedules, last))) return { sampler, schedule: "" };
	return { sampler: sampler.slice(0, at), schedule: last };
}

// scheduleOf is the name of a schedule: what was wanted, or what AUTOMATIC1111
// takes where nothing was.
function scheduleOf(generator, tool, wanted, row) {
	if (tool === "a1111" && row?.only) return offered(generator.schedules, row.only);
	if (wanted) return offered(generator.schedules, rowOf(generator.names.schedules, tool, wanted)?.name ?? "") ?? offered(generator.schedules, wanted);
	if (tool !== "a1111" || !row) return undefined;
	return offered(generator.schedules, row.automatic ?? (generator.defaults.schedule || "normal"));
}
