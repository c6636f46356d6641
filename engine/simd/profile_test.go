package simd

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"wisp/engine"
	"wisp/engine/enginetest"
	"wisp/engine/model"
)

// The networks that speed is measured on: the default model's, and half of
// SD-1.5's width.
var networks = []struct {
	name  string
	build func() (*engine.Graph, error)
}{
	{"unet_default", func() (*engine.Graph, error) {
		return model.UNet2DCondition([]byte(`{"_class_name":"UNet2DConditionModel","in_channels":8,"out_channels":8,
			"block_out_channels":[64,128,192],"down_block_types":["DownBlock2D","CrossAttnDownBlock2D","DownBlock2D"],
			"up_block_types":["UpBlock2D","CrossAttnUpBlock2D","UpBlock2D"],"layers_per_block":1,"cross_attention_dim":192,"attention_head_dim":4}`), 2, 16, 16, 77)
	}},
	{"taesd_default", func() (*engine.Graph, error) {
		return model.AutoencoderTinyDecoder([]byte(`{"_class_name":"AutoencoderTiny","latent_channels":8,
			"decoder_block_out_channels":[48,48,48,48],"num_decoder_blocks":[3,3,1,1],"encoder_block_out_channels":[48,48,48,48]}`), 1, 16, 16)
	}},
	{"clip_default", func() (*engine.Graph, error) {
		return model.CLIPText([]byte(`{"architectures":["CLIPTextModel"],"hidden_act":"quick_gelu","hidden_size":192,"intermediate_size":384,
			"layer_norm_eps":1e-5,"max_position_embeddings":77,"num_attention_heads":6,"num_hidden_layers":2,"projection_dim":192,"vocab_size":2314,"eos_token_id":2313}`), 1, 77)
	}},
	{"unet_sd15_half", func() (*engine.Graph, error) {
		return model.UNet2DCondition([]byte(`{"_class_name":"UNet2DConditionModel","in_channels":4,"out_channels":4,
			"block_out_channels":[160,320,640,640],"down_block_types":["CrossAttnDownBlock2D","CrossAttnDownBlock2D","CrossAttnDownBlock2D","DownBlock2D"],
			"up_block_types":["UpBlock2D","CrossAttnUpBlock2D","CrossAttnUpBlock2D","CrossAttnUpBlock2D"],"layers_per_block":2,"cross_attention_dim":768,"attention_head_dim":8}`), 1, 64, 64, 77)
	}},
}

// BenchmarkNetworks times whole networks. With WISP_PROFILE set, or by
// benchmark name in the browser, each also prints its time by kernel.
func BenchmarkNetworks(b *testing.B) {
	for _, n := range networks {
		b.Run(n.name, func(b *testing.B) {
			g, err := n.build()
			if err != nil {
				b.Fatal(err)
			}
			be := open(b, Options{})
			in, weights := enginetest.Data(g, engine.F16)
			buffers := map[string]engine.Buffer{}
			start := time.Now()
			for name, w := range weights {
				if buffers[name], err = be.Upload(w); err != nil {
					b.Fatal(err)
				}
			}
			p, err := be.Compile(g, buffers)
			if err != nil {
				b.Fatal(err)
			}
			load := time.Since(start)
			start = time.Now()
			if err := p.Run(context.Background(), in, nil); err != nil {
				b.Fatal(err)
			}
			first := time.Since(start)
			for b.Loop() {
				if err := p.Run(context.Background(), in, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(load.Milliseconds()), "load-ms")
			b.ReportMetric(float64(first.Milliseconds()), "first-ms")
			b.ReportMetric(float64(be.mem.size>>20), "MiB")
			profile(p.(*program))
		})
	}
}

// profile runs a program command by command and prints the time by kernel.
func profile(p *program) {
	type entry struct {
		time time.Duration
		n    int
	}
	total := map[kernelID]*entry{}
	for at := 0; at < len(p.words); {
		k, n := kernelID(p.words[at+headKernel]), int(p.words[at+headWords])
		start := time.Now()
		p.b.run(p.code.addr+4*at, p.code.addr+4*(at+n))
		e := total[k]
		if e == nil {
			e = &entry{}
			total[k] = e
		}
		e.time += time.Since(start)
		e.n++
		at += n
	}
	keys := slices.SortedFunc(maps.Keys(total), func(a, b kernelID) int { return cmp.Compare(total[b].time, total[a].time) })
	for _, k := range keys {
		fmt.Fprintf(os.Stderr, "  kernel %2d: %9.3f ms in %d\n", k, total[k].time.Seconds()*1e3, total[k].n)
	}
}
