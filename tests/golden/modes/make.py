"""Draws the goldens of modes with diffusers' own pipelines, on the tiny models of ../pipeline.

  python make.py    writes golden.json, a picture for each of its cases, and the resized pictures

golden.json names a request's fields as site/module/wisp.d.ts does.
"""

import json
import shutil
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image, ImageDraw, ImageFilter
from safetensors.torch import save_file

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "pipeline")]
from seeded import fill, freeze, laid  # noqa: E402

VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
ANCESTRAL = diffusers.EulerAncestralDiscreteScheduler(**BETAS, steps_offset=1)
HEUN = diffusers.HeunDiscreteScheduler(**BETAS)


def sketch():
    """photo.png: waves of colour around a disc; mask.png: a slanted square, grey at an edge."""
    y, x = np.mgrid[0:34, 0:45]
    waves = np.stack([np.sin(x / 5 + y / 9), np.cos(x / 11 - y / 4), np.sin((x + y) / 7)], -1) * 90 + 128
    waves[(x - 25) ** 2 + (y - 15) ** 2 < 90] = (230, 40, 60)
    Image.fromarray(waves.round().astype("uint8")).save(HERE / "photo.png", optimize=True)
    mask = Image.new("L", (45, 34))
    ImageDraw.Draw(mask).polygon([(12, 6), (30, 10), (26, 24), (9, 19)], fill=255)
    mask.save(HERE / "mask.png", optimize=True)


def photo(width=None, height=None, name="photo.png"):
    picture = Image.open(HERE / name)
    return picture if width is None else picture.resize((width, height), Image.Resampling.LANCZOS)


def request(**fields):
    return dict(prompt="red cat", negativePrompt="", seed=3, steps=4, guidance=3.0, width=40, height=32) | fields


def load(model, cls, scheduler=None, **parts):
    with laid(HERE.parent / "pipeline" / model / "model") as d:
        pipe = cls.from_pretrained(d, torch_dtype=torch.float32, local_files_only=True, **parts)
    pipe.set_progress_bar_config(disable=True)
    if scheduler is not None:
        pipe.scheduler = scheduler
    return pipe


def call(pipe, r, **more):
    given = dict(prompt=r["prompt"], num_inference_steps=r["steps"], guidance_scale=r["guidance"], output_type="pil",
                 generator=torch.Generator("cpu").manual_seed(r["seed"]))
    if r["negativePrompt"]:
        given["negative_prompt"] = r["negativePrompt"]
    return pipe(**given, **more).images[0]


def unet(like, seed, **config):
    """A UNet as a tiny pipeline has it, but for some fields."""
    own = json.loads((HERE.parent / "pipeline" / like / "model" / "unet" / "config.json").read_text())
    return fill(diffusers.UNet2DConditionModel.from_config(own | config), seed)


class Adapter(torch.nn.Module):
    """An IP-Adapter under its authors' names: form is plain, full or plus."""

    def __init__(self, like, form, clip, projected):
        super().__init__()
        with laid(HERE.parent / "pipeline" / like / "model") as d:
            net = diffusers.UNet2DConditionModel.from_pretrained(d / "unet")
        context = net.config.cross_attention_dim
        linear = torch.nn.Linear
        if form == "plain":
            tensors = {"proj": linear(projected, 4 * context), "norm": torch.nn.LayerNorm(context)}
        elif form == "full":
            tensors = {"proj": torch.nn.ModuleDict({"0": linear(clip, clip), "2": linear(clip, context), "3": torch.nn.LayerNorm(context)})}
        else:
            attention = lambda: torch.nn.ModuleDict({
                "norm1": torch.nn.LayerNorm(16), "norm2": torch.nn.LayerNorm(16), "to_q": linear(16, 64, bias=False),
                "to_kv": linear(16, 128, bias=False), "to_out": linear(64, 16, bias=False)})
            forward = lambda: torch.nn.ModuleDict({"0": torch.nn.LayerNorm(16), "1": linear(16, 64, bias=False), "3": linear(64, 16, bias=False)})
            tensors = {"proj_in": linear(clip, 16), "proj_out": linear(16, context), "norm_out": torch.nn.LayerNorm(context),
                       "layers": torch.nn.ModuleList([torch.nn.ModuleList([attention(), forward()]) for _ in range(4)])}
        self.image_proj = torch.nn.ModuleDict(tensors)
        if form == "plus":
            self.image_proj.register_parameter("latents", torch.nn.Parameter(torch.zeros(1, 5, 16)))
        cross = [name for name in net.attn_processors if name.endswith("attn2.processor")]
        widths = [net.get_submodule(name.removesuffix(".processor")).to_q.out_features for name in cross]
        self.ip_adapter = torch.nn.ModuleDict({str(2 * i + 1): torch.nn.ModuleDict({
            "to_k_ip": linear(context, w, bias=False), "to_v_ip": linear(context, w, bias=False)}) for i, w in enumerate(widths)})

    def save_pretrained(self, path):
        path.mkdir(exist_ok=True)
        save_file(self.state_dict(), path / "ip_adapter.safetensors")


def encoder(seed):
    return fill(transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(
        hidden_size=12, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=24, patch_size=8, projection_dim=10)), seed)


# Parts that take the place of a model's, each in a directory of its own.
PARTS = {
    "control_a": lambda: controlnet("tiny_ddim_kl", 60),
    "image_encoder": lambda: encoder(70),
    "ip_plain": lambda: fill(Adapter("tiny_ddim_kl", "plain", 12, 10), 71),
    "ip_plus": lambda: fill(Adapter("tiny_ddim_kl", "plus", 12, 10), 72),
    "ip_full": lambda: fill(Adapter("tiny_ddim_kl", "full", 12, 10), 73),
    "ip_sdxl": lambda: fill(Adapter("sdxl", "plain", 12, 10), 74),
    "control_b": lambda: controlnet("tiny_ddim_kl", 61, controlnet_conditioning_channel_order="bgr"),
    "control_pooled": lambda: controlnet("tiny_ddim_kl", 62, global_pool_conditions=True),
    "control_xl": lambda: controlnet("sdxl", 63),
    "control_union": lambda: union("sdxl", 76),
    "control_sd3": lambda: sd3_control(64),
    "control_sd3_pooled": lambda: sd3_control(65, force_zeros_for_pooled_projection=False, num_layers=2),
    "control_flux": lambda: flux_control(66),
    "control_flux_union": lambda: flux_control(67, guidance_embeds=True, num_mode=3, num_single_layers=2),
    "t2i_full": lambda: fill(diffusers.T2IAdapter(3, [8, 16], 1, 4), 68, 1.3),
    "t2i_light": lambda: fill(diffusers.T2IAdapter(1, [8, 16], 2, 4, "light_adapter"), 69, 1.3),
    "t2i_xl": lambda: fill(diffusers.T2IAdapter(3, [8, 16], 1, 8, "full_adapter_xl"), 75, 1.3),
    "unet_inpaint": lambda: unet("tiny_ddim_kl", 50, in_channels=9),
    "unet_edit": lambda: unet("tiny_ddim_kl", 51, in_channels=8),
    "unet_edit_xl": lambda: unet("sdxl", 52, in_channels=8),
}
made = {}


def controlnet(like, seed, **config):
    """A ControlNet for a UNet of a tiny pipeline, all of whose layers count."""
    own = json.loads((HERE.parent / "pipeline" / like / "model" / "unet" / "config.json").read_text())
    net = diffusers.ControlNetModel.from_unet(diffusers.UNet2DConditionModel.from_config(own), load_weights_from_unet=False,
                                              conditioning_embedding_out_channels=(4, 8, 8))
    return fill(diffusers.ControlNetModel.from_config(dict(net.config) | config), seed, 1.3)


def union(like, seed):
    own = json.loads((HERE.parent / "pipeline" / like / "model" / "unet" / "config.json").read_text())
    net = diffusers.ControlNetUnionModel.from_unet(diffusers.UNet2DConditionModel.from_config(own), load_weights_from_unet=False,
                                                   conditioning_embedding_out_channels=(4, 8, 8))
    return fill(diffusers.ControlNetUnionModel.from_config({k: v for k, v in net.config.items() if k != "_use_default_values"} | dict(num_control_type=3, num_trans_channel=8, num_trans_head=2, num_proj_channel=8)), seed, 1.3)


def sd3_control(seed, **config):
    return fill(diffusers.SD3ControlNetModel(**dict(
        sample_size=8, patch_size=2, in_channels=8, num_layers=1, attention_head_dim=8, num_attention_heads=3, joint_attention_dim=16,
        caption_projection_dim=24, pooled_projection_dim=14, out_channels=8, pos_embed_max_size=6) | config), seed, 1.3)


def flux_control(seed, **config):
    return fill(diffusers.FluxControlNetModel(**dict(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=16,
        pooled_projection_dim=8, axes_dims_rope=[4, 4, 8]) | config), seed, 1.3)


def part(name):
    """A part, written once."""
    if name not in made:
        made[name] = PARTS[name]()
        made[name].save_pretrained(HERE / name)
        if name not in ("control_a", "image_encoder", "ip_plain"):  # which tests of the command read, too
            freeze(HERE / name)
    return made[name]


def case(model, r, picture, scheduler=None, cls=None, parts=None):
    """What golden.json says of a picture, and the picture."""
    entry = dict(model=model, request=r)
    if scheduler is not None:
        entry["scheduler"] = json.loads(scheduler.to_json_string().replace("-Infinity", "null"))
    if cls is not None:
        entry["pipeline"] = cls.__name__
    if parts is not None:
        entry["parts"] = parts
    return entry, picture


def img2img(model, cls=diffusers.StableDiffusionImg2ImgPipeline, scheduler=None, **fields):
    r = request(image="photo.png", **fields)
    more = dict(image=photo(r["width"], r["height"]), strength=r["strength"])
    if cls in (SD3, FLUX):
        more |= dict(width=r["width"], height=r["height"])
    return case(model, r, call(load(model, cls, scheduler), r, **more), scheduler)


def refiner():
    """Stable Diffusion XL's second model, which draws after a picture only: the second text encoder alone, and a score."""
    import kinds
    path = HERE / "sdxl_refiner" / "model"
    shutil.rmtree(path, ignore_errors=True)
    tok2, text2 = kinds.clip(path, "tokenizer_2", 15, kinds.CLIPTextModelWithProjection, hidden=16, act="gelu", pad="!")
    own = kinds.unet(17, **kinds.XL | dict(cross_attention_dim=16, projection_class_embeddings_input_dim=16 + 5 * 8))
    diffusers.StableDiffusionXLImg2ImgPipeline(
        kinds.kl(16), None, text2, None, tok2, own, diffusers.EulerDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="leading"),
        requires_aesthetics_score=True, force_zeros_for_empty_prompt=False, add_watermarker=False).to(torch.float16).save_pretrained(path)
    (path / "tokenizer_2/tokenizer.json").unlink(missing_ok=True)
    freeze(path)
    return "../modes/sdxl_refiner"


def upscale(**fields):
    """Stable Diffusion x4 upscaler's way: the picture with some noise beside the latents, how much of it as a class."""
    import kinds
    path = HERE / "sd_upscale" / "model"
    shutil.rmtree(path, ignore_errors=True)
    tok, text = kinds.clip(path, "tokenizer", 80)
    own = kinds.unet(81, in_channels=7, num_class_embeds=40)
    diffusers.StableDiffusionUpscalePipeline(
        kinds.kl(82), text, tok, own, diffusers.DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.0001, beta_end=0.02),
        diffusers.DDIMScheduler(**BETAS, steps_offset=1, clip_sample=False, prediction_type="v_prediction"), max_noise_level=30).to(torch.float16).save_pretrained(path)
    (path / "tokenizer/tokenizer.json").unlink(missing_ok=True)
    freeze(path)
    r = request(image="resized_8x8.png", width=32, height=32, **fields)
    model = "../modes/sd_upscale"
    return case(model, r, call(load(model, diffusers.StableDiffusionUpscalePipeline), r, image=photo(name=r["image"]), noise_level=r["noiseLevel"]))


def inpaint(model, cls=diffusers.StableDiffusionInpaintPipeline, scheduler=None, own=None, under="photo.png", white="mask.png", **fields):
    """own is the UNet for inpainting; a picture that is drawn whole gets back what lies outside of the mask, as one that is drawn in part does."""
    r = request(**(dict(image="photo.png", mask="mask.png") | fields))
    pipe = load(model, cls, scheduler, **({"unet": part(own)} if own else {}))
    white, under = photo(name=white), photo(name=under)
    if "maskBlur" in r:
        white = pipe.mask_processor.blur(white, r["maskBlur"])
    size = dict(width=r["width"], height=r["height"])
    more = dict(image=under, mask_image=white, strength=r["strength"], **size)
    if "onlyMasked" in r:
        picture = call(pipe, r, **more, padding_mask_crop=r["maskPadding"])
    else:
        picture = call(pipe, r, **more)
        picture = pipe.image_processor.apply_overlay(
            white.resize((r["width"], r["height"]), Image.Resampling.LANCZOS), under.resize((r["width"], r["height"]), Image.Resampling.LANCZOS), picture)
    return case(model, r, picture, scheduler, cls if own else None, {"unet": own} if own else None)


def outpaint(model, **fields):
    r = request(image="photo.png", outpaintLeft=11, outpaintTop=3, outpaintRight=0, outpaintBottom=7, width=56, height=44, **fields)
    sides = ((3, 7), (11, 0))
    Image.fromarray(np.pad(np.asarray(photo()), (*sides, (0, 0)), mode="edge")).save("/tmp/wisp_under.png")
    Image.fromarray(np.pad(np.zeros((34, 45), "uint8"), sides, constant_values=255)).save("/tmp/wisp_white.png")
    entry, picture = inpaint(model, under="/tmp/wisp_under.png", white="/tmp/wisp_white.png", **r)
    entry["request"].pop("mask")
    return entry, picture


def edit(model, cls, own, **fields):
    r = request(image="photo.png", **fields)
    more = dict(image=photo(r["width"], r["height"]), image_guidance_scale=r["imageGuidance"])
    if "XL" in cls.__name__:
        more |= dict(width=r["width"], height=r["height"])
    return case(model, r, call(load(model, cls, unet=part(own)), r, **more), None, cls, {"unet": own})


def control(model, cls, controls, scheduler=None, **fields):
    """controls are (part, picture, weight, start, end)."""
    r = request(**fields)
    nets = [part(name) for name, *_ in controls]
    one = lambda values: list(values) if len(nets) > 1 else list(values)[0]
    pipe = load(model, cls, scheduler, controlnet=one(nets))
    pictures = one(photo(name=c[1]).convert("RGB") for c in controls)
    more = dict(width=r["width"], height=r["height"], guess_mode=r.get("guessMode", False),
                controlnet_conditioning_scale=one(c[2] for c in controls),
                control_guidance_start=one(c[3] for c in controls), control_guidance_end=one(c[4] for c in controls))
    if "Img2Img" in cls.__name__:
        more |= dict(image=photo(r["width"], r["height"]), control_image=pictures, strength=r["strength"])
    else:
        more |= dict(image=pictures)
    entry, picture = case(model, r, call(pipe, r, **more), scheduler)
    entry["controls"] = [dict(zip(("part", "image", "weight", "start", "end"), c)) for c in controls]
    return entry, picture


def control_latents(model, cls, name, weight, start=0.0, end=1.0, mode=None, **fields):
    """A ControlNet of a transformer. Stable Diffusion 3's pipeline draws the picture's latents from noise of no seed: here they are the mean."""
    r = request(**fields)
    pipe = load(model, cls, controlnet=part(name))
    more = dict(width=r["width"], height=r["height"], control_image=photo(), controlnet_conditioning_scale=weight, control_guidance_start=start, control_guidance_end=end)
    if mode is not None:
        more["control_mode"] = mode
    if "Union" in cls.__name__:
        more |= dict(control_image=[photo().convert("RGB")], control_mode=[mode])
    if "3" in cls.__name__:
        encode = pipe.vae.encode
        def means(x):
            d = encode(x)
            d.latent_dist.sample = d.latent_dist.mode
            return d
        pipe.vae.encode = means
    entry, picture = case(model, r, call(pipe, r, **more))
    entry["controls"] = [dict(part=name, image="photo.png", weight=weight, start=start, end=end, mode=mode or 0)]
    return entry, picture


def adapter(model, cls, name, weight, end=1.0, **fields):
    r = request(**fields)
    net = part(name)
    picture = photo().convert("L" if net.config.in_channels == 1 else "RGB")
    picture = call(load(model, cls, adapter=net), r, width=r["width"], height=r["height"], image=picture, adapter_conditioning_scale=weight, **({} if end == 1 else dict(adapter_conditioning_factor=end)))
    entry, picture = case(model, r, picture)
    entry["controls"] = [dict(part=name, image="photo.png", weight=weight, start=0.0, end=end)]
    return entry, picture


def hires(model, first, again, **fields):
    r = request(**fields)
    one = load(model, first)
    latent = r.get("upscaler") != "lanczos"
    made = one(r["prompt"], num_inference_steps=r["steps"], guidance_scale=r["guidance"], width=r["width"], height=r["height"],
               generator=torch.Generator("cpu").manual_seed(r["seed"]), output_type="latent" if latent else "pil").images
    factor = one.vae_scale_factor
    w, h = int(r["width"] * r["upscaleBy"]) // factor * factor, int(r["height"] * r["upscaleBy"]) // factor * factor
    if latent:
        image = torch.nn.functional.interpolate(made, size=(h // factor, w // factor), mode="bilinear")
    else:
        image = made[0].resize((w, h), Image.Resampling.LANCZOS)
    second = load(model, again)
    r2 = r | dict(steps=r.get("upscaleSteps", r["steps"]))
    return case(model, r, call(second, r2, image=image, strength=r["upscaleStrength"]))


def reference(model, cls, adapter, images, **fields):
    r = request(**fields)
    pipe = load(model, cls, image_encoder=part("image_encoder"),
                feature_extractor=transformers.CLIPImageProcessor(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}))
    state = {"image_proj": {}, "ip_adapter": {}}
    for name, values in part(adapter).state_dict().items():
        head, rest = name.split(".", 1)
        state[head][rest] = values
    pipe.load_ip_adapter(state, subfolder=None, weight_name=None, image_encoder_folder=None)
    pipe.set_ip_adapter_scale(r["referenceWeight"])
    pictures = [photo(name=i).convert("RGB") for i in images]
    more = dict(width=r["width"], height=r["height"], ip_adapter_image=[pictures])
    entry, picture = case(model, r, call(pipe, r, **more))
    return entry | dict(reference=dict(adapter=adapter, encoder="image_encoder", images=images)), picture


def follow(model, names, **fields):
    r = request(references=names, **fields)
    more = dict(image=[photo(name=name) for name in names], width=r["width"], height=r["height"])
    if "width" not in fields:
        r |= dict(width=0, height=0)
        more = dict(image=more["image"])
    return case(model, r, call(load(model, diffusers.Flux2KleinPipeline), r, **more))


class Kept:
    """Prompt-to-Prompt as its authors published it, for the pictures (source, edited) of a batch: AttentionReplace, AttentionRefine
    and AttentionReweight with AttentionControlEdit's shares of the steps."""

    def __init__(self, tokenizer, source, prompt, steps, cross, self_, words):
        ids = lambda text: tokenizer(text, padding="max_length").input_ids
        own = lambda word: tokenizer(word, add_special_tokens=False).input_ids
        self.step, self.until = -1, (int(cross * (steps + 1)), int(self_ * steps))
        self.mapper, self.alphas, self.scale = torch.zeros(77, 77), torch.ones(77), torch.ones(77)
        if len(source.split(" ")) == len(prompt.split(" ")):  # get_replacement_mapper
            i = j = 1
            self.mapper[0, 0] = 1
            for x, y in zip(map(own, source.split(" ")), map(own, prompt.split(" "))):
                for s in range(len(x)):
                    for t in range(len(y)):
                        if len(x) != len(y) or s == t:
                            self.mapper[i + s, j + t] = 1 if len(x) == len(y) else 1 / len(y)
                i, j = i + len(x), j + len(y)
            for t in range(j, 77):
                self.mapper[i + t - j if t == j else t, t] = 1  # the end token, padding
        else:  # get_refinement_mapper: words are only put in
            x, y = (list(tokenizer(text).input_ids) for text in (source, prompt))
            i = 0
            for t, token in enumerate(y):
                if i < len(x) and x[i] == token:
                    self.mapper[i, t] = 1
                    i += 1
                else:
                    self.alphas[t] = 0
            assert i == len(x)
            for t in range(len(y), 77):
                self.mapper[t, t] = 1
        for word, weight in words.items():  # get_equalizer
            at = [t for t, token in enumerate(ids(prompt)) if token in own(word)]
            assert at
            self.scale[at] = weight

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        read = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (attn.head_to_batch_dim(f(x)) for f, x in ((attn.to_q, hidden_states), (attn.to_k, read), (attn.to_v, read)))
        p = attn.get_attention_scores(q, k).reshape(len(hidden_states), -1, q.shape[1], k.shape[1])
        source, edited = p[-2], p[-1].clone()
        if encoder_hidden_states is None:
            if self.step < self.until[1] and q.shape[1] <= 32 ** 2:
                p[-1] = source
        elif self.step < self.until[0]:
            p[-1] = ((source @ self.mapper) * self.alphas + edited * (1 - self.alphas)) * self.scale
        return attn.to_out[0](attn.batch_to_head_dim(p.reshape(-1, *p.shape[2:]) @ v))


def kept(model, cls, source, cross=0.8, self_=0.4, words={}, **fields):
    """The second of two pictures of the same noise, of which the first is the source's: that picture's own way to its noise, by
    DDIM, where there is one; then the negative prompt is the source's, as negative-prompt inversion has it."""
    r = request(sourcePrompt=source, kept=f"cross={cross} self={self_}" + "".join(f" {k}={v}" for k, v in words.items()), **fields)
    pipe = load(model, cls)
    own = Kept(pipe.tokenizer, source, r["prompt"], r["steps"], cross, self_, words)
    factor, n = pipe.vae_scale_factor, torch.Generator("cpu").manual_seed(r["seed"])
    x, way = torch.randn(1, 4, r["height"] // factor, r["width"] // factor, generator=n), []
    if "image" in r:
        pixels = pipe.image_processor.preprocess(photo(r["width"], r["height"]))
        x = pipe.vae.encode(pixels).latent_dist.mean * pipe.vae.config.scaling_factor
        back = diffusers.DDIMInverseScheduler.from_config(pipe.scheduler.config)
        back.set_timesteps(r["steps"])
        states = pipe.encode_prompt(source, "cpu", 1, False)[0]
        for t in back.timesteps:
            x = back.step(pipe.unet(x, t, states).sample, t, x).prev_sample
            way.insert(0, x)
        r["negativePrompt"] = r["negativePrompt"] or source

    def follow(pipe, i, t, state):
        if i + 1 < len(way):
            state["latents"][0] = way[i + 1][0]
        return state

    pipe.unet.set_attn_processor(own)
    pipe.unet.register_forward_pre_hook(lambda *_: setattr(own, "step", own.step + 1))
    picture = pipe([source, r["prompt"]], negative_prompt=[r["negativePrompt"]] * 2 if r["negativePrompt"] else None, num_inference_steps=r["steps"], guidance_scale=r["guidance"],
                   width=r["width"], height=r["height"], latents=x.repeat(2, 1, 1, 1), output_type="pil", callback_on_step_end=follow).images[1]
    return case(model, r, picture)


CONTROL, XL_CONTROL = diffusers.StableDiffusionControlNetPipeline, diffusers.StableDiffusionXLControlNetPipeline
XL, SD3, FLUX = diffusers.StableDiffusionXLImg2ImgPipeline, diffusers.StableDiffusion3Img2ImgPipeline, diffusers.FluxImg2ImgPipeline
XL_INPAINT, FLUX_INPAINT = diffusers.StableDiffusionXLInpaintPipeline, diffusers.FluxInpaintPipeline
SD = diffusers.StableDiffusionPipeline
EDIT, XL_EDIT = diffusers.StableDiffusionInstructPix2PixPipeline, diffusers.StableDiffusionXLInstructPix2PixPipeline

CASES = {
    "img2img": lambda: img2img("tiny_ddim_kl", strength=0.6),
    "img2img_half": lambda: img2img("tiny_ddim_kl", strength=0.3, steps=10, width=24, height=36, guidance=1.0),
    "img2img_taesd": lambda: img2img("tiny_euler_v", strength=0.75, seed=2**32 + 9),
    "img2img_ancestral": lambda: img2img("tiny_ddim_kl", strength=0.7, steps=10, scheduler=ANCESTRAL),
    "img2img_second_order": lambda: img2img("tiny_ddim_kl", strength=0.5, steps=6, scheduler=HEUN),
    "img2img_sdxl": lambda: img2img("sdxl", XL, strength=0.5),
    "img2img_sdxl_means": lambda: img2img("sdxl_means", XL, strength=0.6),
    "img2img_refiner": lambda: img2img(refiner(), XL, strength=0.5),
    "img2img_sd3": lambda: img2img("sd3", SD3, strength=0.55, steps=6),
    "img2img_flux": lambda: img2img("flux_schnell", FLUX, strength=0.6, guidance=0.0, schedule="trailing"),
    "sd_upscale": lambda: upscale(noiseLevel=25),
    "inpaint": lambda: inpaint("tiny_ddim_kl", strength=1.0),
    "inpaint_ancestral": lambda: inpaint("tiny_ddim_kl", strength=0.75, scheduler=ANCESTRAL),
    "inpaint_blur": lambda: inpaint("tiny_euler_v", strength=0.75, maskBlur=3),
    "inpaint_own": lambda: inpaint("tiny_ddim_kl", own="unet_inpaint", strength=1.0),
    "inpaint_own_half": lambda: inpaint("tiny_ddim_kl", own="unet_inpaint", strength=0.6, scheduler=ANCESTRAL),
    "inpaint_crop": lambda: inpaint("tiny_ddim_kl", strength=0.8, onlyMasked=True, maskPadding=4, maskBlur=2),
    "inpaint_crop_wide": lambda: inpaint("tiny_ddim_kl", strength=1.0, onlyMasked=True, maskPadding=0, width=48, height=24),
    "inpaint_sdxl": lambda: inpaint("sdxl", XL_INPAINT, strength=0.8),
    "inpaint_flux": lambda: inpaint("flux_schnell", FLUX_INPAINT, strength=0.8, guidance=0.0, schedule="trailing"),
    "outpaint": lambda: outpaint("tiny_ddim_kl", strength=1.0),
    "control": lambda: control("tiny_ddim_kl", CONTROL, [("control_a", "photo.png", 1.0, 0.0, 1.0)]),
    "control_share": lambda: control("tiny_ddim_kl", CONTROL, [("control_a", "photo.png", 0.7, 0.3, 0.75)], steps=6),
    "control_guess": lambda: control("tiny_ddim_kl", CONTROL, [("control_a", "photo.png", 1.0, 0.0, 1.0)], guessMode=True),
    "control_guess_alone": lambda: control("tiny_ddim_kl", CONTROL, [("control_a", "photo.png", 1.0, 0.0, 1.0)], guessMode=True, guidance=1.0),
    "control_two": lambda: control("tiny_ddim_kl", CONTROL, [("control_a", "photo.png", 0.6, 0.0, 1.0), ("control_b", "mask.png", 0.8, 0.0, 0.5)]),
    "control_pooled": lambda: control("tiny_ddim_kl", CONTROL, [("control_pooled", "photo.png", 1.0, 0.0, 1.0)]),
    "control_sdxl": lambda: control("sdxl", XL_CONTROL, [("control_xl", "photo.png", 0.9, 0.0, 1.0)]),
    "control_img2img": lambda: control("tiny_ddim_kl", diffusers.StableDiffusionControlNetImg2ImgPipeline,
                                       [("control_a", "mask.png", 1.0, 0.0, 1.0)], image="photo.png", strength=0.7),
    "control_union": lambda: control_latents("sdxl", diffusers.StableDiffusionXLControlNetUnionPipeline, "control_union", 0.8, mode=1),
    "control_sd3": lambda: control_latents("sd3", diffusers.StableDiffusion3ControlNetPipeline, "control_sd3", 0.8),
    "control_sd3_pooled": lambda: control_latents("sd3", diffusers.StableDiffusion3ControlNetPipeline, "control_sd3_pooled", 0.7, 0.0, 0.5),
    "control_flux": lambda: control_latents("flux_schnell", diffusers.FluxControlNetPipeline, "control_flux", 0.9, guidance=0.0, schedule="trailing"),
    "control_flux_union": lambda: control_latents("flux_schnell", diffusers.FluxControlNetPipeline, "control_flux_union", 0.7, mode=2, guidance=3.5, schedule="trailing"),
    "t2i_full": lambda: adapter("tiny_ddim_kl", diffusers.StableDiffusionAdapterPipeline, "t2i_full", 0.9),
    "t2i_light": lambda: adapter("tiny_ddim_kl", diffusers.StableDiffusionAdapterPipeline, "t2i_light", 1.0),
    "t2i_xl": lambda: adapter("sdxl", diffusers.StableDiffusionXLAdapterPipeline, "t2i_xl", 0.8, 0.5),
    "reference": lambda: reference("tiny_ddim_kl", diffusers.StableDiffusionPipeline, "ip_plain", ["photo.png"], referenceWeight=0.8),
    "reference_two": lambda: reference("tiny_ddim_kl", diffusers.StableDiffusionPipeline, "ip_plain", ["photo.png", "mask.png"], referenceWeight=0.6),
    "reference_plus": lambda: reference("tiny_ddim_kl", diffusers.StableDiffusionPipeline, "ip_plus", ["photo.png"], referenceWeight=1.0),
    "reference_full": lambda: reference("tiny_ddim_kl", diffusers.StableDiffusionPipeline, "ip_full", ["photo.png"], referenceWeight=0.7),
    "reference_sdxl": lambda: reference("sdxl", diffusers.StableDiffusionXLPipeline, "ip_sdxl", ["photo.png"], referenceWeight=0.8),
    "hires": lambda: hires("tiny_ddim_kl", diffusers.StableDiffusionPipeline, diffusers.StableDiffusionImg2ImgPipeline,
                           upscaleBy=1.5, upscaleStrength=0.7, width=32, height=24),
    "hires_pixels": lambda: hires("tiny_ddim_kl", diffusers.StableDiffusionPipeline, diffusers.StableDiffusionImg2ImgPipeline,
                                  upscaleBy=2.0, upscaleStrength=0.5, upscaleSteps=6, upscaler="lanczos", width=24, height=16),
    "hires_sdxl": lambda: hires("sdxl", diffusers.StableDiffusionXLPipeline, XL, upscaleBy=1.5, upscaleStrength=0.6, width=32, height=24),
    "edit": lambda: edit("tiny_ddim_kl", EDIT, "unet_edit", imageGuidance=1.5, negativePrompt="house"),
    "edit_unguided": lambda: edit("tiny_ddim_kl", EDIT, "unet_edit", imageGuidance=0.5),
    "references": lambda: follow("flux2_klein", ["reference_73x66.png"], guidance=2.0, steps=2, schedule="trailing"),
    "references_two": lambda: follow("flux2_klein", ["reference_64x90.png", "reference_73x66.png"], guidance=1.0, steps=2, schedule="trailing", width=24, height=16),
    "kept_replace": lambda: kept("tiny_ddim_kl", SD, "red cat on the house", prompt="blue cat on the house", steps=5),
    "kept_replace_longer": lambda: kept("tiny_ddim_kl", SD, "red cat on a house", prompt="tremendous cat on a house", cross=0.6, self_=0.8),
    "kept_refine": lambda: kept("tiny_ddim_kl", SD, "cat on the house", prompt="red cat on the blue house", cross=1.0, self_=0.0, guidance=1.0),
    "kept_reweight": lambda: kept("tiny_ddim_kl", SD, "red cat", prompt="red cat", words={"red": 3.0}, negativePrompt="house"),
    "kept_sdxl": lambda: kept("sdxl", diffusers.StableDiffusionXLPipeline, "red cat", prompt="blue cat"),
    "invert": lambda: kept("tiny_ddim_kl", SD, "red cat", prompt="blue house", cross=0.0, self_=0.0, image="photo.png", strength=1.0, steps=5),
    "invert_kept": lambda: kept("tiny_ddim_kl", SD, "red cat", prompt="blue cat", image="photo.png", strength=1.0, guidance=4.0),
    "edit_sdxl": lambda: edit("sdxl", XL_EDIT, "unet_edit_xl", imageGuidance=2.0),
}


def main(names):
    torch.set_num_threads(1)
    sketch()
    for w, h in (45, 20), (17, 34), (90, 51), (8, 8):
        photo(w, h).save(HERE / f"resized_{w}x{h}.png", optimize=True)
    for w, h in (73, 66), (64, 90):
        photo(w, h).save(HERE / f"reference_{w}x{h}.png", optimize=True)
    for radius in 1, 4, 25:
        photo(name="mask.png").filter(ImageFilter.GaussianBlur(radius)).save(HERE / f"blurred_{radius}.png", optimize=True)
    file = HERE / "golden.json"
    cases = {c["name"]: c for c in json.loads(file.read_text())["cases"]} if names else {}
    for name in names or CASES:
        entry, picture = CASES[name]()
        picture.save(HERE / f"{name}.png", optimize=True)
        picture = np.asarray(picture)
        print(f"{name}: {picture.shape}, mean {picture.mean():.1f}, std {picture.std():.1f}, "
              f"at the limits {np.mean((picture == 0) | (picture == 255)):.2f}", flush=True)
        cases[name] = dict(name=name) | entry
    text = ",\n".join(json.dumps(cases[name]) for name in CASES if name in cases)
    file.write_text('{"versions": ' + json.dumps(VERSIONS) + ', "cases": [\n' + text + "\n]}\n")


if __name__ == "__main__":
    with torch.no_grad():
        main(sys.argv[1:])
