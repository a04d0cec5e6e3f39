"""Training steps of LiteMedSAM's mask decoder in Python on cached embeddings: forward, cross-entropy and soft Dice, backward, clipping,
AdamW. Every picture has the embedding and the target of testdata/parity/lite_synth.safetensors.

    python bench/python_step.py --batch 8 --steps 10"""
import functools
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import side


class Training:
    """LiteMedSAM's mask decoder under training, with the recipe's loss and optimiser."""

    def __init__(self, model, device="cpu", lr=5e-4):
        self.model, self.lr = model, lr
        self.decoder = model.mask_decoder.train()
        self.position = model.prompt_encoder.get_dense_pe()
        self.prompts, self.device = {}, device
        self.parameters = [p for name, p in self.decoder.named_parameters() if not name.startswith("iou_prediction_head.")]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=lr, weight_decay=0.01)

    def prompt(self, height, width):
        """The box around a view that fills height x width of the input, encoded once."""
        if (height, width) not in self.prompts:
            with torch.no_grad():
                box = torch.tensor([[0.0, 0.0, width - 1.0, height - 1.0]], device=self.device)
                self.prompts[height, width] = self.model.prompt_encoder(points=None, boxes=box, masks=None)
        return self.prompts[height, width]

    def logits(self, embedding, height, width):
        """Logits [B, 1, 256, 256] of embeddings [B, 256, 64, 64]."""
        n = embedding.shape[0]
        sparse, dense = self.prompt(height, width)
        return self.decoder(image_embeddings=embedding, image_pe=self.position, sparse_prompt_embeddings=sparse.expand(n, -1, -1),
                            dense_prompt_embeddings=dense.expand(n, -1, -1, -1), multimask_output=False)[0]

    def loss(self, logits, target, valid):
        """Cross-entropy over valid pixels and soft Dice, picture by picture averaged."""
        entropy = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * valid).sum() / valid.sum()
        p, t = torch.sigmoid(logits) * valid, target * valid
        over = lambda x: x.sum((1, 2, 3))
        return entropy + (1 - (2 * over(p * t) + 1) / (over(p) + over(t) + 1)).mean()

    def step(self, losses):
        """One step of the optimiser on the mean of losses, each of whose graphs is freed before the next is made; returns the mean."""
        self.optimiser.zero_grad(set_to_none=True)
        total, n = 0.0, len(losses)
        for loss in losses:
            value = loss() / n
            value.backward()
            total += value.item()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        return total


def main():
    def add(p):
        p.add_argument("--batch", type=int, default=1)
        p.add_argument("--steps", type=int, default=10)
        p.add_argument("--accumulate", action="store_true", help="picture by picture, gradients added up, not in one pass")
    args = side.settings(__doc__, add)
    vectors = load_file(Path(__file__).parent.parent / "testdata" / "parity" / "lite_synth.safetensors")
    model = side.lite_medsam().to(args.device)
    training = Training(model, args.device)
    embeddings = [vectors["embedding_f16"].half().reshape(1, 256, 64, 64)] * args.batch  # as they lie in a cache
    targets = [vectors["target_u8"].reshape(1, 1, 256, 256)] * args.batch
    size = 1 if args.accumulate else args.batch
    valid = torch.ones(size, 1, 256, 256, device=args.device)

    def loss(at):
        embedding = torch.cat(embeddings[at:at + size]).to(args.device).float()
        target = torch.cat(targets[at:at + size]).to(args.device).float()
        return training.loss(training.logits(embedding, side.SIDE, side.SIDE), target, valid)

    def step():
        return training.step([functools.partial(loss, at) for at in range(0, args.batch, size)])

    losses = [step(), step()]
    clock = side.Clock()
    for _ in range(args.steps):
        step()
    side.report(clock.seconds() / args.steps, loss1=losses[0], loss2=losses[1])


if __name__ == "__main__":
    sys.exit(main())
