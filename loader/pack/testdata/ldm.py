# Makes sdxl.safetensors, a small single-file checkpoint with the names of Stable
# Diffusion XL, and sdxl.txt, the tensors that diffusers 0.42 reads from it:
#   python loader/pack/testdata/ldm.py loader/pack/testdata
import torch, json, re, sys
from diffusers import UNet2DConditionModel, AutoencoderKL
from diffusers.loaders import single_file_utils as u
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
def unet_ldm(sd, L, B):
    # inverse naming, written from the LDM code's structure
    out={}
    def res(r):
        for a,b in (("norm1.","in_layers.0."),("conv1.","in_layers.2."),("time_emb_proj.","emb_layers.1."),("norm2.","out_layers.0."),("conv2.","out_layers.3."),("conv_shortcut.","skip_connection.")):
            if r.startswith(a): return b+r[len(a):]
        raise Exception(r)
    hasattn={}
    for k in sd:
        m=re.match(r"up_blocks\.(\d+)\.attentions",k)
        if m: hasattn[int(m[1])]=True
    for k,v in sd.items():
        p=k.split(".")
        if k.startswith("conv_in."): n="input_blocks.0.0."+p[1]
        elif k.startswith("time_embedding.linear_1."): n="time_embed.0."+p[-1]
        elif k.startswith("time_embedding.linear_2."): n="time_embed.2."+p[-1]
        elif k.startswith("add_embedding.linear_1."): n="label_emb.0.0."+p[-1]
        elif k.startswith("add_embedding.linear_2."): n="label_emb.0.2."+p[-1]
        elif k.startswith("conv_norm_out."): n="out.0."+p[-1]
        elif k.startswith("conv_out."): n="out.2."+p[-1]
        elif p[0]=="down_blocks":
            b,l=int(p[1]),int(p[3]); rest=".".join(p[4:])
            if p[2]=="resnets": n=f"input_blocks.{1+b*(L+1)+l}.0."+res(rest)
            elif p[2]=="attentions": n=f"input_blocks.{1+b*(L+1)+l}.1."+rest
            else: n=f"input_blocks.{1+b*(L+1)+L}.0.op."+p[-1]
        elif p[0]=="mid_block":
            rest=".".join(p[3:])
            n=f"middle_block.1."+rest if p[1]=="attentions" else f"middle_block.{2*int(p[2])}."+res(rest)
        elif p[0]=="up_blocks":
            b,l=int(p[1]),int(p[3]); rest=".".join(p[4:])
            if p[2]=="resnets": n=f"output_blocks.{b*(L+1)+l}.0."+res(rest)
            elif p[2]=="attentions": n=f"output_blocks.{b*(L+1)+l}.1."+rest
            else: n=f"output_blocks.{b*(L+1)+L}.{2 if hasattn.get(b) else 1}.conv."+p[-1]
        out["model.diffusion_model."+n]=v
    return out
def vae_ldm(sd,B):
    out={}
    for k,v in sd.items():
        p=k.split(".")
        n=k
        n=re.sub(r"(encoder)\.down_blocks\.(\d+)\.resnets\.(\d+)\.",r"\1.down.\2.block.\3.",n)
        n=re.sub(r"(encoder)\.down_blocks\.(\d+)\.downsamplers\.0\.",r"\1.down.\2.downsample.",n)
        n=re.sub(r"(decoder)\.up_blocks\.(\d+)\.resnets\.(\d+)\.",lambda m:f"decoder.up.{B-1-int(m[2])}.block.{m[3]}.",n)
        n=re.sub(r"(decoder)\.up_blocks\.(\d+)\.upsamplers\.0\.",lambda m:f"decoder.up.{B-1-int(m[2])}.upsample.",n)
        n=n.replace("conv_norm_out","norm_out").replace("conv_shortcut","nin_shortcut")
        n=n.replace("mid_block.resnets.0","mid.block_1").replace("mid_block.resnets.1","mid.block_2").replace("mid_block.attentions.0","mid.attn_1")
        if "attn_1" in n:
            n=n.replace("group_norm","norm").replace("to_q","q").replace("to_k","k").replace("to_v","v").replace("to_out.0","proj_out")
            if v.dim()==2: v=v[:,:,None,None]
        out["first_stage_model."+n]=v
    return out
def openclip(sd,prefix):
    out={}
    for k,v in sd.items():
        if ".self_attn." in k and k.endswith(("q_proj.weight","q_proj.bias")):
            w=k.endswith("weight"); base=k.replace("q_proj.","%s_proj.")
            cat=torch.cat([sd[base%x] for x in "qkv"])
            n=int(re.search(r"layers\.(\d+)",k)[1]); out[f"{prefix}transformer.resblocks.{n}.attn.in_proj_"+("weight" if w else "bias")]=cat; continue
        if re.search(r"self_attn\.[kv]_proj",k): continue
        n=k
        n=re.sub(r"text_model\.encoder\.layers\.","transformer.resblocks.",n)
        for a,b in (("layer_norm1","ln_1"),("layer_norm2","ln_2"),("mlp.fc1","mlp.c_fc"),("mlp.fc2","mlp.c_proj"),("self_attn","attn"),("text_model.final_layer_norm","ln_final"),("text_model.embeddings.position_embedding.weight","positional_embedding"),("text_model.embeddings.token_embedding","token_embedding")): n=n.replace(a,b)
        if n=="text_projection.weight": n="text_projection"; v=v.T.contiguous()
        out[prefix+n]=v
    return out
torch.manual_seed(0)
def fill(m):
    with torch.no_grad():
        for p in m.parameters(): p.normal_()
    return m
def old(sd): return {("text_model."+k if not k.startswith(("text_model.","text_projection")) else k):v for k,v in sd.items() if "position_ids" not in k}
cfgU=dict(sample_size=8,in_channels=4,out_channels=4,block_out_channels=[4,8,8],layers_per_block=2,cross_attention_dim=8,attention_head_dim=2,norm_num_groups=2,down_block_types=["DownBlock2D","CrossAttnDownBlock2D","CrossAttnDownBlock2D"],up_block_types=["CrossAttnUpBlock2D","CrossAttnUpBlock2D","UpBlock2D"],addition_embed_type="text_time",addition_time_embed_dim=2,projection_class_embeddings_input_dim=20,use_linear_projection=True)
unet=fill(UNet2DConditionModel(**cfgU))
cfgV=dict(block_out_channels=[4,8,8],down_block_types=["DownEncoderBlock2D"]*3,up_block_types=["UpDecoderBlock2D"]*3,layers_per_block=2,norm_num_groups=2,latent_channels=4)
vae=fill(AutoencoderKL(**cfgV))
tc=CLIPTextConfig(vocab_size=20,hidden_size=8,intermediate_size=12,num_hidden_layers=2,num_attention_heads=2,projection_dim=6)
t1=fill(CLIPTextModel(tc)); t2=fill(CLIPTextModelWithProjection(tc))
U,V,T1,T2=unet.state_dict(),vae.state_dict(),old(t1.state_dict()),old(t2.state_dict())
ldm={}
ldm.update(unet_ldm(U,2,3)); ldm.update(vae_ldm(V,3))
ldm.update({"conditioner.embedders.0.transformer."+k:v for k,v in T1.items()})
ldm.update(openclip(T2,"conditioner.embedders.1.model."))
ldm["conditioner.embedders.1.model.logit_scale"]=torch.tensor(1.0)
ldm["model_ema.decay"]=torch.tensor(1.0)
ldm["betas"]=torch.zeros(10)
# the judge
def same(a,b,what):
    assert set(a)==set(b),(what,set(a)^set(b))
    for k in a: assert torch.equal(a[k].reshape(b[k].shape),b[k]),(what,k)
same(u.convert_ldm_unet_checkpoint(dict(ldm),dict(cfgU,class_embed_type=None)),U,"unet")
same(u.convert_ldm_vae_checkpoint(dict(ldm),cfgV),V,"vae")
c=u.convert_open_clip_checkpoint(t2,dict(ldm),prefix="conditioner.embedders.1.model.")
c={(k if k.startswith(("text_model","text_projection")) else "text_model."+k):v for k,v in c.items() if "position_ids" not in k and "logit" not in k}
same(c,T2,"openclip")
from safetensors.torch import save_file
import hashlib,os
d=sys.argv[1]; os.makedirs(d,exist_ok=True)
half={k:v.half().contiguous() for k,v in ldm.items()}
save_file(half,d+"/sdxl.safetensors")
rows=[]
for c,sd in (("unet",U),("vae",V),("text_encoder",T1),("text_encoder_2",T2)):
    for k,v in sorted(sd.items()):
        rows.append(f"{c}/{k} {'x'.join(map(str,v.shape))} {hashlib.sha256(v.half().contiguous().numpy().tobytes()).hexdigest()[:16]}")
open(d+"/sdxl.txt","w").write("\n".join(rows)+"\n")
print(len(rows),os.path.getsize(d+"/sdxl.safetensors"))
