//go:build browser

package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// A LoRA of the default model, added by the module: worn, named in the prompt,
// at weight 0, taken off; one that fits nothing is refused by its key. A picture
// is enlarged by the filter and by a small network's checkpoint.
func TestLoraAndUpscaler(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(s.URL + "/wisp.d.ts")) // a page of the origin that loads nothing
	result, err := p.call(weigh + `
		const wrong = [];
		const layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0";
		const wave = (i) => 0.3 * Math.sin(i * 1.7);
		const style = weigh("style.safetensors", { [layer + ".lora_A.weight"]: [[2, 192], wave], [layer + ".lora_B.weight"]: [[192, 2], wave], "else.weight": [[1], wave] });
		const g = await createGenerator({ backend: "simd", threads: 1 });
		const draw = async (more) => (await g.generate({ prompt: "red heart", seed: 1, steps: 1, ...more })).images[0].data.join();
		const bare = await draw();
		const lora = await g.addLora(style);
		if (lora.name !== "style" || lora.networks.unet !== 1 || lora.unknown.join() !== "else.weight" || g.loras.length !== 1) wrong.push(JSON.stringify(lora));
		const worn = await draw({ loras: [{ id: lora.id, weight: 2 }] });
		if (worn === bare) wrong.push("the LoRA changes nothing");
		const body = await style.slice(8 + new DataView(await style.slice(0, 8).arrayBuffer()).getUint32(0, true)).arrayBuffer();
		const hash = Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", body)), (b) => b.toString(16).padStart(2, "0")).join("").slice(0, 12);
		const { parameters } = await g.generate({ prompt: "red heart", seed: 1, steps: 1, loras: [{ id: lora.id, weight: 2 }] });
		if (!parameters.includes(', Lora hashes: "style: ' + hash + '", CFG scale: ')) wrong.push(parameters);
		if (await draw({ prompt: "red heart<lora:style:2>" }) !== worn) wrong.push("a tag is no weight");
		if (await draw({ loras: [{ id: lora.id, weight: 0 }] }) !== bare) wrong.push("weight 0 changes the picture");
		const second = await createGenerator({ backend: "simd", threads: 1 }); // on the same engine
		const others = await second.generate({ prompt: "red heart<lora:style:2>", seed: 1, steps: 1 });
		if (others.images[0].data.join() !== bare || !others.notices.join().includes('no LoRA "style"')) wrong.push("another generator's LoRA: " + others.notices);
		const own = await second.addLora(weigh("style.safetensors", { [layer + ".lora_A.weight"]: [[2, 192], (i) => -wave(i)], [layer + ".lora_B.weight"]: [[192, 2], wave] }));
		if (await draw({ prompt: "red heart<lora:style:2>" }) !== worn) wrong.push("the other generator's LoRA of that name is worn");
		if ((await second.generate({ prompt: "red heart<lora:style:2>", seed: 1, steps: 1 })).images[0].data.join() === worn) wrong.push("the second generator wears the first one's");
		second.dispose();
		if (!(await g.generate({ prompt: "a", loras: [{ id: own.id }] }).catch((err) => err.message)).includes("there is no")) wrong.push("a LoRA outlives its generator");
		await g.removeLora(lora.id);
		if (await draw() !== bare || g.loras.length !== 0) wrong.push("it is not removed");
		const code = (f) => f().then(() => "nothing", (err) => err.code + " " + err.message);
		const other = await code(() => g.addLora(weigh("other.safetensors", { "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": [[9, 1], wave] })));
		if (!other.startsWith("bad-model") || !other.includes("double_blocks_0")) wrong.push(other);
		const gone = await code(() => g.generate({ prompt: "a", loras: [{ id: lora.id }] }));
		if (!gone.startsWith("bad-request")) wrong.push(gone);
		g.dispose();
		const { upscale } = await import("/wisp.js");
		const small = new ImageData(20, 12);
		small.data.fill(200);
		const large = await upscale(small, { by: 1.5 });
		if (large.width !== 30 || large.height !== 18 || large.data[0] !== 200) wrong.push("the filter makes " + large.width + "x" + large.height);
		const zero = () => 0, net = weigh("srvgg.safetensors", { "body.0.weight": [[8, 3, 3, 3], zero], "body.0.bias": [[8], zero], "body.1.weight": [[8], zero], "body.2.weight": [[12, 8, 3, 3], zero], "body.2.bias": [[12], () => 0.1] });
		const told = [];
		const twice = await upscale(small, { model: net, backend: "simd", onProgress: (e) => told.push(e.stage + e.loaded + "/" + e.total) });
		if (twice.width !== 40 || twice.height !== 24 || Math.abs(twice.data[0] - 226) > 1) wrong.push("the network makes " + twice.width + "x" + twice.height + " of " + twice.data[0]);
		if (told.at(-1) !== "upscale1/1") wrong.push("it tells " + told);
		const bad = await code(() => upscale(small, { model: style }));
		if (!bad.startsWith("bad-model")) wrong.push(bad);
		return wrong;
	`)
	if err != nil || string(result) != "[]" {
		t.Errorf("%s, %v", result, err)
	}
}
