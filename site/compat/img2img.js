// AUTOMATIC1111's img2img, field by field (the dataclass
// StableDiffusionProcessingImg2Img in modules/processing.py), beside what it shares
// with txt2img.
import { txt2imgOf } from "./a1111.js";
import { number } from "./fields.js";
import { brief, refuse } from "./refusal.js";

// What begins with a picture has beside a1111.js; as there, refused lists the
// values with which a field changes nothing.
const own = [
	"init_images", "resize_mode", "denoising_strength", "image_cfg_scale", "mask", "mask_blur", "mask_blur_x", "mask_blur_y", "mask_round",
	"inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding", "inpainting_mask_invert", "initial_noise_multiplier", "latent_mask",
];

// img2imgOf returns {request, count, notices}; pixels(bytes, name) decodes a picture.
export async function img2imgOf(body, generator, styles, pixels) {
	const { init_images: pictures, mask, ...given } = body;
	const asked = txt2imgOf(Object.fromEntries(Object.entries(given).filter(([name]) => !own.includes(name))), generator, styles, pictures);
	const { request, notices } = asked;
	if (!Array.isArray(pictures) || pictures.length === 0) refuse("init_images has no picture");
	if (pictures.length > 1) refuse(`init_images has ${pictures.length} pictures: wisp begins with one`);
	const mode = real(given, "resize_mode") ?? 0;
	if (![0, 1].includes(mode)) refuse(`wisp does not support a resize_mode of ${brief(mode)}: choose 0 (just resize) or 1 (crop and resize)`);
	if ((real(given, "initial_noise_multiplier") ?? 1) !== 1) refuse("wisp does not support initial_noise_multiplier");
	if (given.latent_mask) refuse("wisp does not support latent_mask");
	const shape = ({ width, height }) => ({ width: request.width ?? width, height: request.height ?? height });
	const cut = (picture) => (mode === 1 ? cropped(picture, shape(picture)) : picture);
	const whole = await pixels(decode64(pictures[0], "init_images"), "init_images");
	Object.assign(request, { image: cut(whole), strength: real(given, "denoising_strength"), imageGuidance: real(given, "image_cfg_scale") });
	if (mask) Object.assign(request, masked(given, cut(maskOf(await pixels(decode64(mask, "mask"), "mask"), whole, Number(given.inpainting_mask_invert ?? 0) !== 0)), notices));
	return asked;
}

// masked is what a request says of a mask. Left out, only what is masked is drawn,
// as AUTOMATIC1111 does.
function masked(given, mask, notices) {
	const [x, y] = [real(given, "mask_blur_x"), real(given, "mask_blur_y")];
	if (x !== undefined && y !== undefined && x !== y) notices.push(`mask_blur_y: ${y}`);
	if (given.inpainting_fill !== undefined && real(given, "inpainting_fill") !== 1) notices.push(`inpainting_fill: ${brief(given.inpainting_fill)}`);
	return {
		mask, maskBlur: real(given, "mask_blur") ?? x ?? y ?? 4,
		onlyMasked: ![false, 0, "false"].includes(given.inpaint_full_res ?? true), maskPadding: real(given, "inpaint_full_res_padding") ?? 0,
	};
}

function real(given, name) {
	if (given[name] === undefined || given[name] === null) return undefined;
	return number(given[name]) ?? refuse(`${name} is not a number`);
}

// decode64 reads a picture's base64, with or without "data:…," before it.
export function decode64(text, name) {
	if (typeof text !== "string") refuse(`${name} is not a text`);
	try {
		return Uint8Array.from(atob(text.replace(/^data:[^,]{0,100},/, "")), (c) => c.charCodeAt(0));
	} catch {
		return refuse(`${name} is not base64`);
	}
}

// cropped is the middle of a picture, in the shape of a size.
export function cropped(picture, { width, height }) {
	const w = Math.min(picture.width, Math.max(1, Math.round(picture.height * width / height)));
	const h = Math.min(picture.height, Math.max(1, Math.round(picture.width * height / width)));
	const left = picture.width - w >> 1, top = picture.height - h >> 1;
	const data = new Uint8ClampedArray(4 * w * h);
	for (let y = 0; y < h; y++) data.set(picture.data.subarray(4 * ((top + y) * picture.width + left), 4 * ((top + y) * picture.width + left + w)), 4 * y * w);
	return { width: w, height: h, data };
}

// maskOf is a mask in the size of its picture, white where it counts. Of one with
// an alpha channel that counts, all or nothing, as AUTOMATIC1111 has it
// (create_binary_mask).
export function maskOf(mask, { width, height }, invert = false) {
	const data = new Uint8ClampedArray(4 * width * height);
	const clear = mask.data.some((v, i) => i % 4 === 3 && v < 255);
	for (let i = 0; i < width * height; i++) {
		const from = 4 * (Math.floor((Math.floor(i / width) + 0.5) * mask.height / height) * mask.width + Math.floor((i % width + 0.5) * mask.width / width));
		const [r, g, b, a] = mask.data.subarray(from, from + 4);
		const grey = clear ? (a > 128 ? 255 : 0) : 0.299 * r + 0.587 * g + 0.114 * b;
		data.fill(invert ? 255 - grey : grey, 4 * i, 4 * i + 3);
		data[4 * i + 3] = 255;
	}
	return { width, height, data };
}
