"""Writes schedulers/: 40 pictures by diffusers' StableDiffusionPipeline of the tiny_ddim_kl model, each with another
scheduler whose class and fields are drawn from a seed. They lie side by side in one PNG, eight in a row.

    python schedulers.py     # the versions of make.py

Where diffusers raises, the draw is repeated: every case has a picture.
"""
import json
import pathlib
import sys
import warnings

import numpy as np
import torch
from PIL import Image

HERE = pathlib.Path(__file__).parent
SAMPLER = HERE.parent / "sampler"
sys.path.insert(0, str(HERE))
import make as pipelines  # noqa: E402

source = (SAMPLER / "configs.py").read_text().split("\nrng, made =")[0]
sys.argv = ["configs.py"]
configs = {"__file__": str(SAMPLER / "configs.py"), "__name__": "configs"}
exec(compile(source, "configs.py", "exec"), configs)
warnings.simplefilter("ignore")
diffusers = pipelines.diffusers
CLASSES = [
    "DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler",
    "EDMEulerScheduler", "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LCMScheduler", "LMSDiscreteScheduler", "PNDMScheduler",
    "SASolverScheduler", "UniPCMultistepScheduler",  # not TCDScheduler, to which the pipeline gives another eta than its own
]
COUNT, SIZE, ROW = 40, 32, 8
torch.set_grad_enabled(False)
parts = pipelines.Pipeline(HERE / "tiny_ddim_kl/model")
rng = configs["rnd"].Random(23)
cases, sheet = [], Image.new("RGB", (ROW * SIZE, -(-COUNT // ROW) * SIZE))
while len(cases) < COUNT:
    cls = getattr(diffusers, CLASSES[len(cases) % len(CLASSES)])
    fields = configs["draw"](cls, rng)
    case = {"scheduler": {"_class_name": cls.__name__, **fields}, "prompt": "red cat", "seed": len(cases), "steps": rng.choice((3, 4, 6)), "guidance": 1}
    try:
        pipe = diffusers.StableDiffusionPipeline(parts.vae, parts.text, parts.tokenizer, parts.unet, cls(**fields), None, None, requires_safety_checker=False)
        for forced in ("steps_offset", "clip_sample"):  # which StableDiffusionPipeline sets to 1 and False
            if forced in pipe.scheduler.config:
                case["scheduler"][forced] = pipe.scheduler.config[forced]
        pipe.set_progress_bar_config(disable=True)
        picture = pipe("red cat", num_inference_steps=case["steps"], guidance_scale=1, width=SIZE, height=SIZE,
                       generator=torch.Generator("cpu").manual_seed(case["seed"]), output_type="np").images[0]
    except Exception as e:
        print("repeated:", cls.__name__, str(e)[:70])
        continue
    if not np.isfinite(picture).all() or np.std(picture) < 0.02:
        continue
    sheet.paste(Image.fromarray((picture * 255).round().astype("uint8")), (len(cases) % ROW * SIZE, len(cases) // ROW * SIZE))
    cases.append(case)
    print(len(cases), cls.__name__, flush=True)
out = HERE / "schedulers"
out.mkdir(exist_ok=True)
sheet.save(out / "pictures.png", optimize=True)
text = ",\n".join(json.dumps(c).replace("-Infinity", "null") for c in cases)
(out / "golden.json").write_text('{"versions": ' + json.dumps(pipelines.VERSIONS) + ', "size": 32, "row": 8, "cases": [\n' + text + "\n]}\n")
print(len(cases), "cases")
