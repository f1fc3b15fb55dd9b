"""diffusers on a GPU with random weights of the published sizes, eager and compiled: the other half of
`cargo xtask bench gpu`. Prints lines of JSON.

Needs torch and diffusers (see requirements.txt). `--size tiny --device cpu` tries it out.
"""

import argparse
import json
import time

import torch
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--size", default="full", choices=["full", "tiny"])
    parser.add_argument("--resolution", type=int, default=640)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=300)
    return parser.parse_args()


def say(**values):
    print(json.dumps({"part": "peer", **values}), flush=True)


def transformer(full):
    return {
        "num_layers": 60 if full else 3,
        "num_attention_heads": 24 if full else 2,
        "attention_head_dim": 128,
        "in_channels": 64,
        "out_channels": 16,
        "patch_size": 2,
        "joint_attention_dim": 3584 if full else 256,
        "axes_dims_rope": (16, 56, 56),
        "guidance_embeds": False,
        "use_additional_t_cond": True,
        "use_layer3d_rope": True,
        "zero_cond_t": False,
    }


def build(kind, config, device):
    """A model of noise that keeps the size of what flows through it, made on the device itself."""
    with torch.device("meta"):
        model = kind(**config)
    model = model.to(torch.bfloat16).to_empty(device=device).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() > 1:
                fan_in = value[0].numel()
                value.uniform_(-((3 / fan_in) ** 0.5), (3 / fan_in) ** 0.5)
            else:
                value.fill_(0.0 if name.endswith("bias") else 1.0)
    # Tables that are not parameters were lost on the way.
    if isinstance(model, QwenImageTransformer2DModel):
        fresh = QwenImageTransformer2DModel(**{**config, "num_layers": 1, "num_attention_heads": 1})
        model.pos_embed = fresh.pos_embed
    return model


def timed(device, work, rounds=3):
    def once():
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    once()
    return sorted(once() for _ in range(rounds))[rounds // 2]


def main():
    args = arguments()
    end = time.perf_counter() + args.seconds
    device, full = torch.device(args.device), args.size == "full"
    config = transformer(full)
    side = args.resolution // 16
    frames = args.layers + 2
    tokens = frames * side * side
    options = {"device": device, "dtype": torch.bfloat16}
    hidden = torch.randn(1, tokens, 64, **options)
    words = torch.randn(1, args.words, config["joint_attention_dim"], **options)
    shapes = [[(1, side, side)] * frames]
    model = build(QwenImageTransformer2DModel, config, device)

    def forward():
        return model(
            hidden_states=hidden,
            encoder_hidden_states=words,
            encoder_hidden_states_mask=None,  # what the pipeline passes where every word counts
            timestep=torch.full((1,), 0.5, **options),
            img_shapes=shapes,
            additional_t_cond=torch.zeros(1, device=device, dtype=torch.int64),
            return_dict=False,
        )

    with torch.no_grad():
        # A guided step asks twice.
        say(what="step, eager", s_per_step=2 * timed(device, forward))
        if device.type == "cuda":
            say(what="peak of a forward", peak_gb=torch.cuda.max_memory_allocated(device) / 1e9)
            if end - time.perf_counter() > 120:
                model.compile_repeated_blocks()
                say(what="step, compiled", s_per_step=2 * timed(device, forward))
            else:
                say(what="step, compiled", left_out="the time is over")
        del model
        vae = build(
            AutoencoderKLQwenImage,
            {"base_dim": 96 if full else 8, "z_dim": 16, "input_channels": 4},
            device,
        )
        latents = torch.randn(args.layers, 16, 1, 2 * side, 2 * side, **options)
        say(what=f"decode of {args.layers} layers", s=timed(device, lambda: vae.decode(latents)))


if __name__ == "__main__":
    main()
