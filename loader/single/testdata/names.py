"""diffusers' names of networks turned into those of CompVis and OpenCLIP, written from the structure of their code."""
import re

import torch


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


def text(sd):
    """transformers' names as they were before 5.6, and are in every file."""
    return {("text_model." + k if not k.startswith(("text_model.", "text_projection")) else k): v for k, v in sd.items() if "position_ids" not in k}
