"""Random LoRAs in every layout in use, and what the reference gives with them; `make.py lora`.

The values of a LoRA follow from their names, as those of a model do (`tiny.py`): a fixture lists the tensors of a file,
its header and its config, and holds what diffusers and peft compute with it.
"""

import json
import math
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

import tiny
from make import TRANSFORMERS, noise, relative

BASE = "transformer-published"
SALT = 11
SIGMA = 0.7306
BLOCK = ["attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj",
         "attn.to_add_out", "img_mod.1", "txt_mod.1", "img_mlp.net.0.proj", "txt_mlp.net.0.proj", "img_mlp.net.2",
         "txt_mlp.net.2"]
TOP = ["img_in", "txt_in", "time_text_embed.timestep_embedder.linear_1", "time_text_embed.timestep_embedder.linear_2",
       "norm_out.linear", "proj_out"]
# What DiffSynth trains for the control model.
DIFFSYNTH = [name for name in BLOCK if "net.0" not in name]


def base(salt=None) -> torch.nn.Module:
    from diffusers import QwenImageTransformer2DModel

    config, own_salt, *_ = TRANSFORMERS[BASE]
    model = QwenImageTransformer2DModel(use_additional_t_cond=True, use_layer3d_rope=True, **config).eval()
    tiny.fill(model, own_salt if salt is None else salt)
    return model


def forward(model, dtype=torch.float32) -> torch.Tensor:
    config, salt, frames, (rows, columns), words, _ = TRANSFORMERS[BASE]
    hidden = noise("hidden", (1, (frames + 1) * rows * columns, 64), salt, 1.7)
    text = noise("text", (1, words, config["joint_attention_dim"]), salt, 3.0)
    return model.to(dtype)(
        hidden_states=hidden.to(dtype), timestep=torch.tensor([SIGMA * 1000]).to(dtype) / 1000,
        encoder_hidden_states=text.to(dtype), img_shapes=[[(1, rows, columns)] * (frames + 1)],
        additional_t_cond=torch.tensor([0]), return_dict=False)[0].contiguous()


def layers(block=BLOCK, top=TOP) -> list[str]:
    return [f"transformer_blocks.{i}.{name}" for i in range(2) for name in block] + list(top)


class Listing:
    """Tensors by where their values come from: `source` -> (salted name, factor, shape)."""

    def __init__(self):
        self.sources = {}

    def tensor(self, source: str, shape, factor: float) -> torch.Tensor:
        values = tiny.uniform(source, math.prod(shape), SALT).reshape(shape) * torch.tensor(factor).numpy()
        self.sources[source] = (torch.from_numpy(values), factor)
        return self.sources[source][0]

    def pair(self, name: str, rank: int, linear, tag: str) -> tuple[torch.Tensor, torch.Tensor]:
        down = self.tensor(f"{tag}.{name}.down", (rank, linear.in_features), math.sqrt(3 / linear.in_features))
        up = self.tensor(f"{tag}.{name}.up", (linear.out_features, rank), 0.4 * math.sqrt(3 / rank))
        return down, up

    def describe(self, file: Path) -> dict:
        """What a test needs to write `file` again. Every tensor is looked for by its values."""
        tensors = {}
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata()
            for key in opened.keys():
                found = opened.get_tensor(key)
                if found.numel() == 1:
                    tensors[key] = dict(number=float(found))
                    continue
                source, factor = next((source, factor) for source, (values, factor) in self.sources.items()
                                      if values.shape == found.shape and torch.equal(values, found.float()))
                tensors[key] = dict(source=source, factor=factor, shape=list(found.shape))
        return dict(file=file.name, metadata=metadata, tensors=tensors)


def write(fixtures: Path, name: str, listing: dict, outputs: dict) -> None:
    folder = fixtures / "lora"
    folder.mkdir(exist_ok=True)
    tensors = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in listing.pop("tensors").items())
    text = json.dumps(listing)[:-1] + f', "tensors": {{\n{tensors}\n}}}}'
    (folder / f"{name}.json").write_text(text + "\n")
    save_file(outputs, folder / f"{name}.safetensors")
    print(name, {key: round(float(value.float().norm()), 3) for key, value in outputs.items()})


def fill_adapter(model, listing: Listing, rank_of, tag: str) -> None:
    """Gives the adapter's matrices, which peft made, their values."""
    from peft.tuners.lora import LoraLayer

    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            name = name.removeprefix("base_model.model.")
            down, up = listing.pair(name, rank_of(module), module.get_base_layer(), tag)
            module.lora_A["default"].weight.data.copy_(down)
            module.lora_B["default"].weight.data.copy_(up)


def with_bf16(outputs: dict, model) -> dict:
    outputs["output_bf16"] = forward(model, torch.bfloat16)
    print("  bf16 error", relative(outputs["output_bf16"], outputs["output"]))
    return outputs


def make_peft(fixtures: Path, name: str, **options) -> None:
    """PEFT's own file and config."""
    from peft import LoraConfig, get_peft_model

    listing = Listing()
    config = LoraConfig(r=4, target_modules=layers(), init_lora_weights=False, **options)
    model = get_peft_model(base(), config)
    fill_adapter(model, listing, lambda module: module.r["default"], name)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        described = listing.describe(Path(folder) / "adapter_model.safetensors")
        described["config"] = json.loads((Path(folder) / "adapter_config.json").read_text())
    outputs = dict(output=forward(model))
    write(fixtures, name, described, with_bf16(outputs, model))


def make_diffusers(fixtures: Path) -> None:
    """What diffusers' training scripts save: the config is in the header."""
    from diffusers.loaders import QwenImageLoraLoaderMixin
    from peft import LoraConfig, get_peft_model_state_dict

    listing = Listing()
    model = base()
    config = LoraConfig(r=4, lora_alpha=6, target_modules=layers(), init_lora_weights=False)
    model.add_adapter(config)
    fill_adapter(model, listing, lambda module: module.r["default"], "diffusers")
    with tempfile.TemporaryDirectory() as folder:
        QwenImageLoraLoaderMixin.save_lora_weights(
            folder, transformer_lora_layers=get_peft_model_state_dict(model),
            transformer_lora_adapter_metadata=model.peft_config["default"].to_dict())
        file = Path(folder) / "pytorch_lora_weights.safetensors"
        described = listing.describe(file)
        loaded = base()
        load(loaded, file)
        output = forward(loaded)
    print("  as trained", relative(output, forward(model)))
    write(fixtures, "diffusers", described, dict(output=output))


def load(model, file: Path, adapter: str = "default") -> None:
    """As `pipe.load_lora_weights(file)`."""
    from diffusers.loaders import QwenImageLoraLoaderMixin

    state, metadata = QwenImageLoraLoaderMixin.lora_state_dict(
        str(file.parent), weight_name=file.name, return_lora_metadata=True)
    QwenImageLoraLoaderMixin.load_lora_into_transformer(state, model, adapter_name=adapter, metadata=metadata)


def plain_file(folder: Path, name: str, listing: Listing, names: list[str], rank, keys, alpha=None) -> Path:
    """A file of pairs; `keys(layer)` are those of down, up and alpha; `rank(index)` and `alpha(index)` of each layer."""
    model, tensors = base(), {}
    for index, layer in enumerate(names):
        down, up = listing.pair(layer, rank(index), model.get_submodule(layer), name)
        down_key, up_key, alpha_key = keys(layer)
        tensors[down_key], tensors[up_key] = down.contiguous(), up.contiguous()
        if alpha is not None:
            tensors[alpha_key] = torch.tensor(float(alpha(index)))
    file = folder / f"{name}.safetensors"
    save_file(tensors, file)
    return file


def comfy_keys(layer):
    return f"diffusion_model.{layer}.lora_A.weight", f"diffusion_model.{layer}.lora_B.weight", None


def lightning_keys(layer):
    return tuple(f"{layer}.{end}" for end in ("lora_down.weight", "lora_up.weight", "alpha"))


def kohya_keys(layer):
    flat = "lora_unet_" + layer.replace(".", "_")
    return tuple(f"{flat}.{end}" for end in ("lora_down.weight", "lora_up.weight", "alpha"))


def diffsynth_keys(layer):
    return f"{layer}.lora_A.default.weight", f"{layer}.lora_B.default.weight", None


# name: (layers, rank, keys, alpha)
PLAIN = {
    "comfy": (layers(), lambda i: 3, comfy_keys, None),
    "lightning": (layers(top=[]), lambda i: 4, lightning_keys, lambda i: 8 if i % 2 else 2),
    # Ranks that are odd and differ.
    "kohya": (layers(), lambda i: 5 + i % 3, kohya_keys, lambda i: 1 + i % 4),
    "diffsynth": (layers(DIFFSYNTH, []), lambda i: 4, diffsynth_keys, None),
}


def make_plain(fixtures: Path) -> None:
    for name, (names, rank, keys, alpha) in PLAIN.items():
        listing = Listing()
        with tempfile.TemporaryDirectory() as folder:
            file = plain_file(Path(folder), name, listing, names, rank, keys, alpha)
            model = base()
            load(model, file)
            outputs = dict(output=forward(model))
            if name == "kohya":
                with_bf16(outputs, model)
            write(fixtures, name, listing.describe(file), outputs)


def make_other(fixtures: Path) -> None:
    """Rarer names, and whole differences, which the reference gets by changing its weights."""
    listing, model, tensors = Listing(), base(), {}
    for index, layer in enumerate(layers()):
        linear = model.get_submodule(layer)
        if index % 3 == 0:
            weight = listing.tensor(f"other.{layer}.diff", tuple(linear.weight.shape), 0.3 * math.sqrt(3 / linear.in_features))
            bias = listing.tensor(f"other.{layer}.diff_b", tuple(linear.bias.shape), 0.2)
            tensors[f"diffusion_model.{layer}.diff"], tensors[f"diffusion_model.{layer}.diff_b"] = weight, bias
            linear.weight.data += weight
            linear.bias.data += bias
            continue
        down, up = listing.pair(layer, 2, linear, "other")
        ends = (".lora.down", ".lora.up") if index % 3 == 1 else ("_lora.down", "_lora.up")
        for end, value in zip(ends, (down, up)):
            tensors[f"transformer.{layer}{end}.weight"] = value
        linear.weight.data += up @ down
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "other.safetensors"
        save_file({key: value.contiguous() for key, value in tensors.items()}, file)
        write(fixtures, "other", listing.describe(file), dict(output=forward(model)))


def make_several(fixtures: Path) -> None:
    """Two files at once with strengths, and a whole run with them."""
    import pipeline

    outputs = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: plain_file(Path(folder), name, Listing(), *PLAIN[name]) for name in ("comfy", "kohya")}
        model = base()
        for name, file in files.items():
            load(model, file, name)
        model.set_adapters(["comfy", "kohya"], [0.8, -0.5])
        outputs["output"] = forward(model)
        pipe = pipeline.build(None, torch.float32)
        for name, file in files.items():
            load(pipe.transformer, file, name)
        pipe.transformer.set_adapters(["comfy", "kohya"], [0.6, 0.3])
        stages = pipeline.run(
            pipe, pipeline.picture(90, 60, False), 64, 4, prompt="given as embeddings",
            prompt_embeds=pipeline.embeds("prompt", 11, torch.float32),
            negative_prompt_embeds=pipeline.embeds("negative", 5, torch.float32), layers=3, true_cfg_scale=4.0,
            cfg_normalize=True, generator=torch.Generator("cpu").manual_seed(42))
        outputs["images"], outputs["step3"] = stages["images"], stages["step3"]
    save_file({key: value.contiguous() for key, value in outputs.items()}, fixtures / "lora" / "several.safetensors")


def make(fixtures: Path) -> None:
    make_peft(fixtures, "peft", lora_alpha=8)
    make_peft(fixtures, "peft-rslora", lora_alpha=3, use_rslora=True, rank_pattern={"to_q": 7, "img_mlp.net.2": 2},
              alpha_pattern={"to_q": 5, "transformer_blocks.1.attn.to_k": 1})
    make_diffusers(fixtures)
    make_plain(fixtures)
    make_other(fixtures)
    make_several(fixtures)
