"""The training loop: shuffled batches, distorted anew in each epoch; validation, best weights, early stopping.

Reads: config.py, consistency.py, history.py, checkpoint.py, ../models.py, ../data/. Every random choice follows from
(seed, epoch), or from a generator whose state is in the checkpoint. So a training that was killed and resumed gives the
same bits as one without interruption.
"""

import math
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stn_ref import data, models, schema
from stn_ref.nn import SGD, Adam, CosineRate, Layer, Sequential, SoftmaxCrossEntropy, StepRate, WarmUp, clip_grad_norm
from stn_ref.schema import NUMBER, POSITIVE, Number
from stn_ref.training import checkpoint
from stn_ref.training.config import Config, Recipe
from stn_ref.training.consistency import Consistent, draw_similarities, seen_through
from stn_ref.training.history import ROW, Epoch, History


class DivergedError(FloatingPointError):
    """The loss is NaN or infinite."""


def evaluate(net: Layer, images: np.ndarray, labels: np.ndarray, batch_size: int = 256) -> tuple[float, float]:
    """Return (mean loss, accuracy) of a net on images (N, C, H, W); afterwards the net is in training mode."""
    net.eval()
    loss, total, correct = SoftmaxCrossEntropy().eval(), 0.0, 0
    for k in range(0, len(images), batch_size):
        y = labels[k : k + batch_size]
        scores = net.forward(images[k : k + batch_size])
        total += loss.forward(scores, y) * len(y)
        correct += int((scores.argmax(1) == y).sum())
    net.train()
    return total / max(1, len(images)), correct / max(1, len(images))


def _named(config: Config) -> Layer:
    """Return the net that a Config names, with fresh weights."""
    size, rng = data.KINDS[config.distortion].canvas, data.stream(config.seed, "weights")
    options = {"localisation_lr_scale": config.localisation_lr_scale, "dropout": config.dropout}
    return models.build(config.model, size, rng, **options)


class Trainer:
    """One training, epoch by epoch.

    Args:
        config: how to train; a Config also names the net and the distortion.
        source: a data.Source of examples, or a data.Dataset, which is distorted as the Config says.
        net: the net to train, U -> scores; default: the model that the Config names. Its random choices must come from
            its own generators (`Layer.rngs`).
        path: the checkpoint file; None: keep no checkpoint.
        resume: continue from `path` if it exists.
        progress: show a bar on standard error, if that is a terminal.
        save_seconds: longest time between two checkpoints within an epoch; one more is written after each epoch.

    Raises:
        TypeError: config is a Recipe, but net or source needs a Config.
        ValueError: the source has no training images, or no validation images although `patience` needs them; or the
            net does not begin with a transformer although `consistency` needs one.
        CheckpointError: `path` is damaged, or belongs to another configuration or other data.
    """

    def __init__(
        self,
        config: Recipe,
        source: data.Source | data.Dataset,
        *,
        net: Layer | None = None,
        path: Path | None = None,
        resume: bool = False,
        progress: bool = False,
        save_seconds: float = 30.0,
    ):
        if (net is None or isinstance(source, data.Dataset)) and not isinstance(config, Config):
            raise TypeError(f"config must be a Config, unless net and a data.Source are given; got {config!r}")
        if isinstance(source, data.Dataset):
            source = data.DistortedDigits(source, config.distortion)
        self.n_train = source.size("train")
        if not self.n_train:
            raise ValueError("source must have at least one training image; got none")
        if config.patience and not source.size("val"):
            raise ValueError(f"patience={config.patience} needs validation images; there are none")
        self.config, self.source, self.path, self.save_seconds = config, source, path, save_seconds
        self.bar_off = None if progress else True  # None: tqdm shows the bar only on a terminal
        self.net = _named(config) if net is None else net
        self.consistent = self._consistent() if config.consistency else None
        self.params = dict(self.net.named_params())
        self.steps_per_epoch = math.ceil(self.n_train / config.batch_size)
        steps = self.steps_per_epoch * config.epochs
        rate = {
            "cosine": CosineRate(config.lr, steps),
            "step": StepRate(config.lr, math.ceil(steps / 3), 0.1),
            "constant": StepRate(config.lr, steps),
        }[config.schedule]
        if warmup := min(config.warmup, steps // 10):
            rate = WarmUp(rate, warmup)
        if config.optimiser == "sgd":
            momentum = {"momentum": config.momentum, "nesterov": config.momentum > 0}
            self.optimiser = SGD(self.params.values(), rate, weight_decay=config.weight_decay, **momentum)
        else:
            self.optimiser = Adam(self.params.values(), rate, weight_decay=config.weight_decay)
        self.loss = SoftmaxCrossEntropy()
        self.history = History()
        self.best = {}  # name -> value, of the best epoch so far
        self.position = {"epoch": 0, "batch": 0, "loss": 0.0, "correct": 0, "seconds": 0.0, "lr": 0.0}
        self.val = source.fixed("val", config.seed)
        if resume:
            self.resume()

    def resume(self) -> bool:
        """Continue from the checkpoint at `path`; return False if there is none.

        Raises:
            CheckpointError: it is damaged, or belongs to another configuration or other data.
        """
        if self.path is None or not Path(self.path).exists():
            return False
        self._restore(*checkpoint.load(self.path))
        return True

    def _consistent(self) -> Consistent:
        if not (isinstance(self.net, Sequential) and models.transformer_of(self.net)):
            name, factor = getattr(self.config, "model", type(self.net).__name__), self.config.consistency
            raise ValueError(
                f"consistency={factor:g} needs a net that begins with a transformer, like 'st-cnn-affine'; got {name!r}"
            )
        return Consistent(self.net)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or patience has run out."""
        patience = self.config.patience
        return len(self.history.epochs) >= self.config.epochs or bool(patience and self.history.stale() >= patience)

    def epochs(self) -> Iterator[Epoch]:
        """Train; yield the row of each epoch after it is saved. After a resume, earlier rows are not yielded again.

        Raises:
            DivergedError: the loss is NaN or infinite; the last checkpoint is kept.
        """
        while not self.finished:
            with np.errstate(over="ignore", invalid="ignore"):  # _expect_finite reports these below
                row = self._epoch()
            yield row

    def _epoch(self) -> Epoch:
        at, config = self.position, self.config
        bar = tqdm(
            self.source.batches(config.batch_size, config.seed, at["epoch"], start=at["batch"]),
            total=self.steps_per_epoch,
            initial=at["batch"],
            desc=f"{getattr(config, 'model', self.source.name)} epoch {at['epoch'] + 1}/{config.epochs}",
            leave=False,
            disable=self.bar_off,
        )
        began = saved = time.monotonic()
        before = at["seconds"]
        for U, y in bar:
            at["lr"] = self.optimiser.rate()
            loss, correct = self._step(U, y)
            at["batch"] += 1
            at["loss"] += loss * len(y)
            at["correct"] += correct
            now = time.monotonic()
            at["seconds"] = before + now - began
            if now - saved > self.save_seconds:
                self._save()
                saved = now
        row = self._row()
        if self.history.append(row):
            self.best = {name: param.value.copy() for name, param in self.params.items()}
        self.position = {"epoch": at["epoch"] + 1, "batch": 0, "loss": 0.0, "correct": 0, "seconds": 0.0, "lr": 0.0}
        self._save()
        return row

    def _step(self, U: np.ndarray, y: np.ndarray) -> tuple[float, int]:
        """Do forward, backward and one update; return (classification loss, number of correct labels)."""
        config, at = self.config, self.position
        factor = np.asarray(config.consistency, U.dtype)
        if self.consistent:
            rng = data.stream(config.seed, "consistency", at["epoch"] * self.steps_per_epoch + at["batch"])
            a = draw_similarities(len(U), U.shape[2:], rng)
            scores, inconsistency = self.consistent.forward(U, seen_through(U, a), a)
        else:
            scores, inconsistency = self.net.forward(U), 0.0
        loss = self.loss.forward(scores, y)
        self._expect_finite(loss + float(factor * inconsistency), f"batch {at['batch'] + 1}")
        self.optimiser.zero_grad()
        if self.consistent:
            self.consistent.backward(self.loss.backward(), factor, needs=False)
        else:
            self.net.backward(self.loss.backward(), needs=False)
        if config.clip:
            clip_grad_norm(self.params.values(), config.clip)
        self.optimiser.step()
        return loss, int((scores.argmax(1) == y).sum())

    def _expect_finite(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise DivergedError(
                f"the training has diverged: the loss is {loss} in epoch {self.position['epoch'] + 1}, {where}; "
                f"a smaller lr than {self.config.lr:g} may help"
            )

    def _row(self) -> Epoch:
        at, n = self.position, self.n_train
        val_loss, val_accuracy = evaluate(self.net, *self.val) if len(self.val[1]) else (None, None)
        self._expect_finite(val_loss or 0.0, "on the validation images")
        return Epoch(
            at["epoch"] + 1, at["lr"], at["loss"] / n, at["correct"] / n, val_loss, val_accuracy, at["seconds"]
        )

    def test(self) -> tuple[float | None, float | None]:
        """Load the best weights into the net; return its (loss, accuracy) on the distorted test set.

        Without test images both are None.
        """
        for name, value in self.best.items():
            self.params[name].value[...] = value
        images, labels = self.source.fixed("test", self.config.seed)
        return evaluate(self.net, images, labels) if len(labels) else (None, None)

    def weights_crc(self) -> str:
        """Return the CRC-32 of the current weights in hexadecimal; it is equal if two trainings agree in every bit."""
        crc = 0
        for name, param in self.params.items():
            crc = zlib.crc32(np.ascontiguousarray(param.value), zlib.crc32(name.encode(), crc))
        return f"{crc:08x}"

    # State.

    def _identity(self) -> dict:
        return {**asdict(self.config), "data": self.source.name, "fingerprint": self.source.fingerprint}

    def _save(self) -> None:
        if self.path is None:
            return
        arrays = {f"param/{name}": param.value for name, param in self.params.items()}
        arrays |= {f"best/{name}": value for name, value in self.best.items()}
        arrays |= {f"optimiser/{name}": value for name, value in self.optimiser.state().items()}
        meta = {
            "run": self._identity(),
            "position": self.position,
            "history": self.history.to_list(),
            "rngs": [rng.bit_generator.state for rng in self.net.rngs()],
        }
        checkpoint.save(self.path, arrays, meta)

    def _restore(self, arrays: dict[str, np.ndarray], meta: dict) -> None:
        run = meta.get("run")
        for name, value in self._identity().items():
            if not isinstance(run, dict) or name not in run:
                raise checkpoint.CheckpointError(f"{self.path} does not fit this version: it does not say its {name}")
            if run[name] != value:
                fault = f"its {name} is {run[name]!r}, not {value!r}"
                if name == "fingerprint":
                    fault = "it saw other data (images, their number, or the seed)"
                raise checkpoint.CheckpointError(f"{self.path} is of another run: {fault}")
        if why := self._misfit(arrays, meta):
            raise checkpoint.CheckpointError(f"{self.path} is damaged: {why}")
        try:
            part = {key: {} for key in ("param", "best", "optimiser")}
            for key, value in arrays.items():
                kind, name = key.split("/", 1)
                part[kind][name] = value
            for kind in ("param", "best") if part["best"] else ("param",):
                if part[kind].keys() != self.params.keys():
                    raise KeyError(kind)
                for name, param in self.params.items():
                    value = part[kind][name]
                    if (value.shape, value.dtype) != (param.value.shape, param.value.dtype):
                        raise ValueError(f"{kind}/{name} is {value.dtype} {value.shape}")
            self.optimiser.load_state(part["optimiser"])
            for name, param in self.params.items():
                param.value[...] = part["param"][name]
            self.best = part["best"]
            self.position, self.history = meta["position"], History.from_list(meta["history"])
            for rng, state in zip(self.net.rngs(), meta["rngs"], strict=True):
                rng.bit_generator.state = state
                if rng.bit_generator.state != state:
                    raise ValueError(f"no generator has the state {state}")
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise checkpoint.CheckpointError(f"{self.path} does not fit this version: {error!r}") from None

    def _misfit(self, arrays: dict[str, np.ndarray], meta: dict) -> str:
        """Return how position, history and steps of a checkpoint contradict each other or this training, or ""."""
        position = {
            "epoch": Number(0, self.config.epochs, whole=True),
            "batch": Number(0, self.steps_per_epoch, whole=True),
            "correct": Number(0, self.n_train, whole=True),
            "loss": NUMBER,
            "seconds": POSITIVE,
            "lr": NUMBER,
        }
        if why := schema.misfit(meta, {"position": position, "history": [ROW, ...], "rngs": [{}, ...]}):
            return why
        at, rows = meta["position"], meta["history"]
        if [row["epoch"] for row in rows] != list(range(1, at["epoch"] + 1)):
            return f"position.epoch is {at['epoch']}, but history has the epochs {[row['epoch'] for row in rows]}"
        steps, wanted = arrays.get("optimiser/steps"), at["epoch"] * self.steps_per_epoch + at["batch"]
        if steps is None or steps.shape or steps != wanted:
            return f"optimiser/steps must be {wanted} at this position; got {steps}"
        if bool(rows) != any(name.startswith("best/") for name in arrays):
            return "it must have best weights after the first epoch, and not before"
        return ""
