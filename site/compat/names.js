// Other tools' names and defaults for what wisp has: the one table that the
// page, the API and the readers of pictures and workflows ask.
//
// Where a row is from, in each tool's own source:
//   a1111    AUTOMATIC1111/stable-diffusion-webui, modules/sd_samplers_kdiffusion.py,
//            sd_samplers_timesteps.py, sd_samplers_lcm.py, sd_schedulers.py; Forge has the same
//   comfy    comfyanonymous/ComfyUI, comfy/samplers.py, whose names SwarmUI and Fooocus
//            (modules/flags.py) have, too
//   invoke   invoke-ai/InvokeAI, backend/stable_diffusion/schedulers/schedulers.py, and
//            the older sd_metadata's names, which begin with k_
//   novelai  the "sampler" and "noise_schedule" that its pictures hold
//   draw     Draw Things' list of samplers, whose names end in the schedule
// wisp's own names and labels are the generator's, which has the last word: a
// row that the model in use has no sampler for is reported, never replaced. A column
// that a row lacks is a tool that has no such sampler.

// What the tools that have k-diffusion's DPM2 do beside it.
const discards = { a1111: "without the last noise level but one", comfy: "without the last noise level but one", novelai: "without the last noise level but one" };

// The samplers. automatic is the schedule that AUTOMATIC1111 takes where none is
// chosen; eta is the value that changes nothing, undefined where none does
// (ancestral ones take 1 unless told otherwise, DDIM 0); only is the schedule that
// AUTOMATIC1111 draws it with, whatever was chosen; differs is what a tool does
// beside the method, which is reported.
export const samplers = [
	{ name: "euler", a1111: ["Euler", "k_euler"], comfy: ["euler", "ddim"], invoke: ["euler", "euler_k", "k_euler"], novelai: ["k_euler"], draw: ["Euler"] },
	{ name: "euler_a", eta: 1, a1111: ["Euler a", "k_euler_a", "k_euler_ancestral"], comfy: ["euler_ancestral", "ddpm"], invoke: ["euler_a", "k_euler_a"], novelai: ["k_euler_ancestral"], draw: ["Euler A"] },
	{ name: "heun", a1111: ["Heun", "k_heun"], comfy: ["heun"], invoke: ["heun", "heun_k", "k_heun"], novelai: ["k_heun"] },
	// ComfyUI's ddim is its euler, its ddpm is its euler_ancestral; AUTOMATIC1111's DDIM, PLMS and UniPC
	// know one schedule only.
	{ name: "ddim", eta: 0, only: "leading", a1111: ["DDIM"], invoke: ["ddim"], novelai: ["ddim", "ddim_v3"], draw: ["DDIM"] },
	{ name: "plms", only: "leading", a1111: ["PLMS"], invoke: ["pndm", "plms"], novelai: ["plms"], draw: ["PLMS"] },
	{ name: "pndm" },
	{ name: "dpmpp_2m", automatic: "karras", a1111: ["DPM++ 2M", "k_dpmpp_2m"], comfy: ["dpmpp_2m"], invoke: ["dpmpp_2m", "dpmpp_2m_k", "k_dpmpp_2"], novelai: ["k_dpmpp_2m"], draw: ["DPM++ 2M"] },
	{ name: "dpmpp_2m_sde", automatic: "exponential", eta: 1, a1111: ["DPM++ 2M SDE", "k_dpmpp_2m_sde"], comfy: ["dpmpp_2m_sde", "dpmpp_2m_sde_gpu"], invoke: ["dpmpp_2m_sde", "dpmpp_2m_sde_k"], novelai: ["k_dpmpp_2m_sde"] },
	// diffusers' form of it, whose noise is drawn anew at each step, not from one path.
	{ name: "sde_dpmsolver" },
	{ name: "sa_solver" }, // ComfyUI's takes other shares of noise
	// Two forms of one solver: B(h) = h in AUTOMATIC1111 (its option uni_pc_variant) and in
	// ComfyUI's uni_pc, B(h) = e^h - 1 in diffusers, and so in wisp's unipc and in InvokeAI.
	{ name: "unipc_bh1", only: "leading", differs: { a1111: "of order 3", comfy: "of order 3" }, a1111: ["UniPC"], comfy: ["uni_pc"] },
	{ name: "unipc", differs: { comfy: "of order 3" }, comfy: ["uni_pc_bh2"], invoke: ["unipc", "unipc_k"], draw: ["UniPC"] },
	{ name: "lcm_levels", comfy: ["lcm"] }, // at the schedule's levels, not the distillation's
	{ name: "lcm", a1111: ["LCM"], invoke: ["lcm"], draw: ["LCM"] },
	{ name: "tcd", a1111: ["TCD"], comfy: ["tcd"], invoke: ["tcd"], draw: ["TCD"] },
	{ name: "lms", a1111: ["LMS", "k_lms"], comfy: ["lms"], invoke: ["lms", "lms_k", "k_lms"], novelai: ["k_lms"] },
	{ name: "dpm_2", automatic: "karras", differs: discards, a1111: ["DPM2", "k_dpm_2"], comfy: ["dpm_2"], invoke: ["kdpm_2", "kdpm_2_k", "k_dpm_2"], novelai: ["k_dpm_2"] },
	{ name: "dpm_2_a", automatic: "karras", eta: 1, differs: discards, a1111: ["DPM2 a", "k_dpm_2_a"], comfy: ["dpm_2_ancestral"], invoke: ["kdpm_2_a", "kdpm_2_a_k", "k_dpm_2_a"], novelai: ["k_dpm_2_ancestral"] },
	{ name: "dpmpp_sde", automatic: "karras", eta: 1, a1111: ["DPM++ SDE", "k_dpmpp_sde"], comfy: ["dpmpp_sde", "dpmpp_sde_gpu"], invoke: ["dpmpp_sde", "dpmpp_sde_k"], novelai: ["k_dpmpp_sde"], draw: ["DPM++ SDE"] },
	{ name: "dpmpp_2s_a", automatic: "karras", eta: 1, a1111: ["DPM++ 2S a", "k_dpmpp_2s_a"], comfy: ["dpmpp_2s_ancestral"], novelai: ["k_dpmpp_2s_ancestral"] },
	{ name: "dpmpp_2s", invoke: ["dpmpp_2s", "dpmpp_2s_k"] },
	{ name: "dpmpp_3m", invoke: ["dpmpp_3m", "dpmpp_3m_k"] },
	{ name: "dpmpp_3m_sde", automatic: "exponential", eta: 1, a1111: ["DPM++ 3M SDE", "k_dpmpp_3m_sde"], comfy: ["dpmpp_3m_sde", "dpmpp_3m_sde_gpu"] },
	{ name: "dpmpp_2m_sde_heun", automatic: "exponential", eta: 1, a1111: ["DPM++ 2M SDE Heun", "k_dpmpp_2m_sde_heun"], comfy: ["dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu"] },
	{ name: "dpm_fast", a1111: ["DPM fast", "k_dpm_fast"], comfy: ["dpm_fast"], novelai: ["k_dpm_fast"] },
	{ name: "dpm_adaptive", a1111: ["DPM adaptive", "k_dpm_ad"], comfy: ["dpm_adaptive"], novelai: ["k_dpm_adaptive"] },
	{ name: "rk45" },
	{ name: "tract" },
	{ name: "perflow" },
	{ name: "gddim" },
	{ name: "ddgan" },
	{ name: "ufogen" },
	{ name: "gotta_go_fast" },
	{ name: "restart", automatic: "karras", a1111: ["Restart"] },
	{ name: "ddpm", invoke: ["ddpm"] },
	{ name: "deis", invoke: ["deis", "deis_k"] },
	{ name: "deis_tab", comfy: ["deis"] }, // of order 3, in another variable than diffusers'
	{ name: "ipndm", comfy: ["ipndm"] },
	{ name: "heunpp2", comfy: ["heunpp2"] },
	{ name: "ipndm_v", comfy: ["ipndm_v"] },
	{ name: "exp_heun_2_x0", comfy: ["exp_heun_2_x0"] },
	{ name: "exp_heun_2_x0_sde", comfy: ["exp_heun_2_x0_sde"] },
	{ name: "res_multistep", comfy: ["res_multistep"] },
	{ name: "res_multistep_a", comfy: ["res_multistep_ancestral"] },
	{ name: "gradient_estimation", comfy: ["gradient_estimation"] },
	{ name: "er_sde", comfy: ["er_sde"] },
	{ name: "seeds_2", comfy: ["seeds_2"] },
	{ name: "seeds_3", comfy: ["seeds_3"] },
	{ name: "euler_cfg_pp", comfy: ["euler_cfg_pp"] },
	{ name: "euler_a_cfg_pp", comfy: ["euler_ancestral_cfg_pp"] },
	{ name: "dpmpp_2m_cfg_pp", comfy: ["dpmpp_2m_cfg_pp"] },
	{ name: "dpmpp_2s_a_cfg_pp", comfy: ["dpmpp_2s_ancestral_cfg_pp"] },
	{ name: "res_multistep_cfg_pp", comfy: ["res_multistep_cfg_pp"] },
	{ name: "res_multistep_a_cfg_pp", comfy: ["res_multistep_ancestral_cfg_pp"] },
	{ name: "gradient_estimation_cfg_pp", comfy: ["gradient_estimation_cfg_pp"] },
	{ name: "ddim_cfg_pp", only: "leading", differs: { a1111: "guidance divided by 12.5" }, a1111: ["DDIM CFG++"] },
	{ name: "comfy_sa_solver", comfy: ["sa_solver", "sa_solver_pece"] }, // with other shares of noise than diffusers'
];

// The schedules. "normal" is k-diffusion's get_sigmas, too, evenly spaced training
// steps from the last to the first, which diffusers' linspace interpolates otherwise;
// "leading" is DDIM's own, from step 1 on. "beta" is AUTOMATIC1111's and diffusers',
// over noise levels, beta_steps ComfyUI's, over training steps.
export const schedules = [
	{ name: "karras", a1111: ["Karras"], comfy: ["karras"], novelai: ["karras"], draw: ["Karras"] },
	{ name: "exponential", a1111: ["Exponential"], comfy: ["exponential"], novelai: ["exponential"] },
	{ name: "linspace" },
	{ name: "trailing", draw: ["Trailing"] },
	{ name: "leading" },
	{ name: "beta", a1111: ["Beta"] },
	{ name: "beta_steps", comfy: ["beta"] },
	{ name: "polyexponential", a1111: ["Polyexponential"], novelai: ["polyexponential"] },
	{ name: "ays", a1111: ["Align Your Steps"], comfy: ["align_your_steps"], draw: ["AYS"] },
	{ name: "kl_optimal", a1111: ["KL Optimal", "kl_optimal"], comfy: ["kl_optimal"] },
	{ name: "linear_quadratic", comfy: ["linear_quadratic"] },
	{ name: "simple", a1111: ["Simple"], comfy: ["simple"] },
	{ name: "normal", a1111: ["Uniform", "Normal"], comfy: ["normal"] },
	{ name: "sgm_uniform", a1111: ["SGM Uniform", "SGMUniform", "sgm_uniform"], comfy: ["sgm_uniform"] },
	{ name: "ddim_uniform", a1111: ["DDIM"], comfy: ["ddim_uniform"] },
	{ name: "laplace", a1111: ["Laplace"], comfy: ["laplace"] },
	{ name: "gits", a1111: ["Align Your Steps GITS"] },
	{ name: "gits_sdxl" },
	{ name: "ays_sdxl" },
	{ name: "lu" },
	{ name: "turbo", a1111: ["Turbo"], comfy: ["turbo"] },
];

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
	const asked = { sampler: text(sampler), schedule: text(schedule) };
	const said = split(generator, tool, asked.sampler);
	const row = samplerRow(tool, said.sampler);
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
const samplerRow = (tool, name) => (name ? rowOf(samplers, tool, name) ?? (tool === "comfy" ? rowOf(samplers, "a1111", name) : undefined) : undefined);

// text is a name as somebody sent it; names are short.
const text = (value) => (typeof value === "string" ? value.trim().slice(0, 100) : value === undefined || value === null ? "" : String(value).slice(0, 100));

// split takes the schedule off a sampler's name, as in "DPM++ 2M Karras" or
// "dpmpp_2m_k".
function split(generator, tool, sampler) {
	const whole = samplerRow(tool, sampler) ?? (["", "a1111"].includes(tool) ? offered(generator.samplers, sampler) : undefined);
	if (tool === "invoke" && sampler.endsWith("_k") && whole) return { sampler, schedule: "karras" };
	const at = sampler.lastIndexOf(" ");
	const last = sampler.slice(at + 1);
	if (whole || at < 0 || !(rowOf(schedules, tool, last) ?? offered(generator.schedules, last))) return { sampler, schedule: "" };
	return { sampler: sampler.slice(0, at), schedule: last };
}

// scheduleOf is the name of a schedule: what was wanted, or what AUTOMATIC1111
// takes where nothing was.
function scheduleOf(generator, tool, wanted, row) {
	if (tool === "a1111" && row?.only) return offered(generator.schedules, row.only);
	if (wanted) return offered(generator.schedules, rowOf(schedules, tool, wanted)?.name ?? "") ?? offered(generator.schedules, wanted);
	if (tool !== "a1111" || !row) return undefined;
	return offered(generator.schedules, row.automatic ?? (generator.defaults.schedule || "normal"));
}
