"""The network while it learns: what its teachers are to be read off from, and how far it is from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from featx.backbones.builtin import BLOCKS, MEAN, STD
from featx.backbones.builtin_network import HEAD_WIDTH, WIDTHS, BuiltinNetwork, ConvUnit, middle_of, unit_length
from training.teachers import Teacher

ROWS = HEAD_WIDTH + WIDTHS[-1]
GRID = 6  # the maps of network and teachers are compared on so many by so many places
SHARPNESS = 0.07
SOFTNESS = 2.0
PLACES = ("pooled", "middle", "pooled", "middle", "middle")
# One network's block after the other, in the order of its output.
SHARES = [(width, share) for name, width, share in BLOCKS if not name.startswith("colour")]
WEIGHTS = {"pooled": 1.0, "middle": 1.0, "maps": 1.0, "scores": 2.0, "alike": 1.0, "blocks": 2.0, "labels": 0.3}


class Lesson:
    """What one teacher says of some pictures, in numbers the network can be compared with."""

    def __init__(self, maps: torch.Tensor, scores: torch.Tensor) -> None:
        """Average the maps in the ways the network does; the features' square root is taken of these too."""
        maps = maps.float()
        self.pooled = maps.mean((2, 3)).clamp_min(0).sqrt()
        self.middle = torch.einsum("nchw,hw->nc", maps, middle_weights(maps)).clamp_min(0).sqrt()
        self.maps = F.adaptive_avg_pool2d(maps, GRID).to(torch.bfloat16)
        self.scores = scores


def middle_weights(maps: torch.Tensor) -> torch.Tensor:
    """How much each place of a map counts for the middle half of the picture; the sum is one."""

    def along(places: int) -> torch.Tensor:
        edges = torch.arange(places + 1, device=maps.device) / places
        return (edges[1:].clamp(0.25, 0.75) - edges[:-1].clamp(0.25, 0.75)) * 2

    return along(maps.shape[2])[:, None] * along(maps.shape[3])[None, :]


class Scale(nn.Module):
    """Mean and deviation of what a teacher says, channel by channel, from a few batches."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        """Measure."""
        super().__init__()
        for name in ("pooled", "middle"):
            rows = torch.cat([getattr(lesson, name) for lesson in lessons])
            self.register_buffer(f"{name}_mean", rows.mean(0))
            self.register_buffer(f"{name}_deviation", rows.std(0).clamp_min(1e-2))
        places = torch.cat([lesson.maps.float().permute(0, 2, 3, 1).flatten(0, 2) for lesson in lessons])
        self.register_buffer("maps_deviation", places.std(0).clamp_min(1e-2).view(1, -1, 1, 1))

    def rows(self, lesson: Lesson, name: str) -> torch.Tensor:
        """The rows of a name with mean 0 and deviation 1."""
        return (getattr(lesson, name) - getattr(self, f"{name}_mean")) / getattr(self, f"{name}_deviation")

    def directions(self, lesson: Lesson, name: str) -> torch.Tensor:
        """The rows less their mean, of unit length: products of two of them say how alike pictures are."""
        return unit_length(getattr(lesson, name) - getattr(self, f"{name}_mean"))


class Readings(nn.Module):
    """Linear maps from the network to one teacher."""

    def __init__(self, teacher: Teacher, scale: Scale) -> None:
        """Build them, untrained."""
        super().__init__()
        self.pooled = nn.Linear(ROWS, teacher.width)
        self.maps = nn.Conv2d(HEAD_WIDTH, teacher.width, 1)
        self.scores = nn.Linear(ROWS, 1000)
        self.scale, self.trust = scale, teacher.trust

    def losses(self, seen: Seen, lesson: Lesson) -> dict[str, torch.Tensor]:
        """How far the network is from the teacher."""
        maps = self.maps(F.adaptive_avg_pool2d(seen.head, GRID)).float()
        scores = F.log_softmax(self.scores(seen.pooled).float() / SOFTNESS, 1)
        return {
            "pooled": F.mse_loss(self.pooled(seen.pooled).float(), self.scale.rows(lesson, "pooled")),
            "middle": F.mse_loss(self.pooled(seen.middle).float(), self.scale.rows(lesson, "middle")),
            "maps": F.mse_loss(maps, lesson.maps.float() / self.scale.maps_deviation),
            "scores": F.kl_div(scores, F.softmax(lesson.scores / SOFTNESS, 1), reduction="batchmean"),
        }


class Seen:
    """What the network makes of some pictures."""

    def __init__(self, head: torch.Tensor, stage: torch.Tensor) -> None:
        """Average as the features do."""
        self.head = head
        head, stage = head.float(), stage.float()
        inner = middle_of(stage)
        averages = [part.mean((2, 3)) for part in (head, middle_of(head), stage, inner)]
        spread = (inner.var((2, 3), unbiased=False) + 1e-8).sqrt()
        # The gradient of a root has no end at zero.
        self.parts = [(part + 1e-3).sqrt() for part in (*averages, spread)]
        self.pooled = torch.cat([self.parts[0], self.parts[2]], 1)
        self.middle = torch.cat([self.parts[1], self.parts[3]], 1)


class Student(nn.Module):
    """The network with all that only training needs."""

    def __init__(self, network: BuiltinNetwork, readings: Sequence[Readings], labels: int) -> None:
        """Put them together."""
        super().__init__()
        self.network = network
        self.readings = nn.ModuleList(readings)
        self.labels = nn.Linear(ROWS, max(1, labels))
        for number, (width, _) in enumerate(SHARES):
            self.register_buffer(f"centre_{number}", torch.zeros(width))
        self.register_buffer("centred", torch.zeros(()))

    def see(self, pixels: torch.Tensor) -> Seen:
        """Look at pictures in 0..1."""
        _, _, stage, head = self.network.maps(normalised(pixels))
        return Seen(head, stage)

    def directions(self, seen: Seen) -> list[torch.Tensor]:
        """The blocks as the package has them, but for colour: less a running centre, of unit length."""
        blocks = []
        for number, part in enumerate(seen.parts):
            block, centre = unit_length(part), getattr(self, f"centre_{number}")
            with torch.no_grad():
                centre.lerp_(block.mean(0), 1 - 0.98 * self.centred)
            blocks.append(unit_length(block - centre))
        self.centred.fill_(1)
        return blocks

    def losses(self, seen: Seen, lessons: Sequence[Lesson]) -> dict[str, torch.Tensor]:
        """How far the network is from all teachers together."""
        of_each = [reading.losses(seen, lesson) for reading, lesson in zip(self.readings, lessons, strict=True)]
        whole = sum(reading.trust for reading in self.readings)
        shares = [reading.trust / whole for reading in self.readings]
        losses = {
            name: sum(share * each[name] for share, each in zip(shares, of_each, strict=True)) for name in of_each[0]
        }
        taught = {
            name: torch.cat(
                [
                    share**0.5 * reading.scale.directions(lesson, name)
                    for share, reading, lesson in zip(shares, self.readings, lessons, strict=True)
                ],
                1,
            )
            for name in ("pooled", "middle")
        }
        blocks = self.directions(seen)
        joined = unit_length(
            torch.cat([block * share**0.5 for block, (_, share) in zip(blocks, SHARES, strict=True)], 1)
        )
        losses["alike"] = alike(joined, taught["pooled"])
        # Each by itself as well: the others would make up for a block that falls silent.
        each = [alike(block, taught[whole_or_middle]) for block, whole_or_middle in zip(blocks, PLACES, strict=True)]
        losses["blocks"] = torch.stack(each).mean()
        return losses

    def label_loss(self, seen: Seen, label: torch.Tensor, guest: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """How far the labels of the pictures and of what was pasted into them are from those guessed."""
        guessed = self.labels(seen.pooled).float()
        parts = ((label, own), (guest, 1 - own))
        each = [F.cross_entropy(guessed, y, reduction="none", ignore_index=-1, label_smoothing=0.1) for y, _ in parts]
        weighed = sum((loss * w for loss, (_, w) in zip(each, parts, strict=True)), torch.zeros_like(own))
        return weighed.mean()


def alike(rows: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """How far the order of a picture's look-alikes in the batch is from that of the teachers."""
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    own, theirs = ((x @ x.T / SHARPNESS).masked_fill(itself, -1e4) for x in (rows, taught))
    return F.kl_div(F.log_softmax(own, 1), F.softmax(theirs, 1), reduction="batchmean")


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels as the network takes them."""
    mean, deviation = (torch.tensor(part, device=pixels.device).view(1, 3, 1, 1) for part in (MEAN, STD))
    return ((pixels - mean) / deviation).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def unfolded(plain: BuiltinNetwork, batches: Sequence[torch.Tensor]) -> BuiltinNetwork:
    """A network in training that gives what a folded one gives; the statistics come from batches of pictures."""
    network = BuiltinNetwork(normed=True).to(batches[0].device)
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def note(name: str) -> Callable[..., None]:
        # Measured at once: the activation after it overwrites what the convolution made.
        return lambda module, given, made: found.update({name: torch.var_mean(made, (0, 2, 3))})

    units = {name: unit for name, unit in plain.named_modules() if isinstance(unit, ConvUnit)}
    hooks = [unit.conv.register_forward_hook(note(name)) for name, unit in units.items()]
    plain.maps(normalised(torch.cat(list(batches))))
    for hook in hooks:
        hook.remove()
    for name, target in network.named_modules():
        if not isinstance(target, ConvUnit) or not isinstance(target.norm, nn.BatchNorm2d):
            continue
        variance, mean = found[name]
        bias = units[name].conv.bias
        target.conv.weight.copy_(units[name].conv.weight)
        target.norm.running_mean.copy_(mean - bias)
        target.norm.running_var.copy_(variance)
        target.norm.weight.copy_((variance + target.norm.eps).sqrt())
        target.norm.bias.copy_(mean)
    return network
