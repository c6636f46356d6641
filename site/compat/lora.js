// What a LoRA's file says of itself, before anybody reads its weights.
import { isObject, parseJSON } from "./json.js";

const mostHeader = 16 << 20; // bytes

// The names of tensors by which a file beside a model is told from a checkpoint.
const signs = {
	lora: /lora_(?:up|down|[AB])\b|\.lora\.(?:up|down)\b|\.lora_linear|hada_w1|lokr_w[12]|\.dora_scale/,
	control: /"controlnet_(?:down_blocks|mid_block|cond_embedding)\.|"(?:control_model\.)?(?:zero_convs|input_hint_block)\./,
	upscaler: /"(?:params(?:_ema)?\.)?(?:conv_first\.weight"|model\.1\.sub\.0\.|RRDB_trunk\.|body\.0\.(?:rdb1\.|weight"))/,
};

// kindOf tells a LoRA, a ControlNet and an upscaler, as .safetensors files.
export async function kindOf(file) {
	if (!/\.safetensors$/i.test(file.name) || file.size < 8) return undefined;
	const length = Number(new DataView(await file.slice(0, 8).arrayBuffer()).getBigUint64(0, true));
	if (!(length <= Math.min(mostHeader, file.size - 8))) return undefined;
	const header = await file.slice(8, 8 + length).text();
	return Object.keys(signs).find((kind) => signs[kind].test(header));
}

// triggersOf lists the words that a LoRA was trained on, by its metadata, the most
// frequent first: a phrase that its maker names, or the tags of its pictures
// (kohya's sd-scripts, train_util.py).
export function triggersOf(metadata, most = 8) {
	const phrase = metadata["modelspec.trigger_phrase"];
	if (typeof phrase === "string" && phrase.trim() !== "") return [brief(phrase)];
	let folders;
	try {
		folders = parseJSON(String(metadata.ss_tag_frequency ?? "{}"), "ss_tag_frequency");
	} catch {
		return []; // written by another program
	}
	const counts = new Map();
	for (const tags of Object.values(isObject(folders) ? folders : {}).filter(isObject)) {
		for (const [tag, n] of Object.entries(tags)) if (Number(n) > 0) counts.set(brief(tag), (counts.get(brief(tag)) ?? 0) + Number(n));
	}
	return [...counts].filter(([tag]) => tag !== "").sort((a, b) => b[1] - a[1]).slice(0, most).map(([tag]) => tag);
}

const brief = (text) => text.replace(/\s+/g, " ").trim().slice(0, 80);
