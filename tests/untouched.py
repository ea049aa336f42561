"""A `World` of tests.independent from a model that nobody touched: transformers' own forward passes, and hooks made here.

Nothing is packed, captured or batched: one answer at a time, one depth at a time, one removed block at a time. Knows
nothing of the product but the shape of its answers and traces; written for Llama's layout, which the default model has.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.independent import SLACK, Followed, Ledger, Looked, Pulled, Removed, World, says

_ORDER = 2e-3
"""Relative difference up to which two probabilities may stand in either order, beside the absolute one."""


def close(one: float, two: float) -> bool:
    """The same probability, to ``SLACK`` and to a small part of itself."""
    return abs(one - two) <= SLACK and math.isclose(one, two, rel_tol=_ORDER, abs_tol=1e-9)


class Untouched:
    """The weights as transformers loads them, in fp32 on the CPU, with attention that can be looked at."""

    def __init__(self, folder: Path) -> None:
        options: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": "eager"}
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, **options).eval().requires_grad_(False)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.control = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}

    @torch.no_grad()
    def passage(self, answer: Any, trace: Any, question: str) -> Passage:
        """Read one answer at all depths."""
        prompt, tokens = list(answer.prompt_ids), list(answer.answer_ids)
        ids = torch.tensor([prompt + tokens])
        with inputs_and_outputs(self.model) as parts:
            out = self.model(ids, output_hidden_states=True, output_attentions=True, use_cache=False)
        rows = slice(len(prompt) - 1, len(prompt) + len(tokens) - 1)
        passage = Passage(self, answer, trace, question, out.logits[0, rows].double().log_softmax(-1))
        blocks = len(self.model.model.layers)
        for depth in range(blocks + 1):
            states = out.hidden_states[depth][0, rows]
            logits = out.logits[0, rows] if depth == blocks else self.model.lm_head(self.model.model.norm(states))
            passage.read(logits, depth)
        looks = torch.stack(out.attentions[blocks - blocks // 3 :])  # (L/3, 1, heads, S, S)
        passage.looks = looks.mean((0, 2))[0, rows]  # (T, S)
        passage.parts = {name: torch.stack([part[0, rows] for part in found]) for name, found in parts.items()}
        passage.raw = out.logits[0, rows]
        return passage

    @torch.no_grad()
    def final(self, ids: Sequence[int]) -> torch.Tensor:
        """Log-probabilities (V,) of what follows ``ids``."""
        return self.model(torch.tensor([list(ids)]), use_cache=False).logits[0, -1].double().log_softmax(-1)


@contextmanager
def inputs_and_outputs(model: Any) -> Iterator[dict[str, list[torch.Tensor]]]:
    """What attention and MLP of each block put out, and what the final norm gets."""
    found: dict[str, list[torch.Tensor]] = {"attention": [], "mlp": [], "stream": []}
    first = lambda out: out[0] if isinstance(out, tuple) else out  # noqa: E731
    hooks = [model.model.norm.register_forward_pre_hook(lambda _m, args: found["stream"].append(args[0]))]
    for layer in model.model.layers:
        hooks.append(layer.self_attn.register_forward_hook(lambda _m, _a, out: found["attention"].append(first(out))))
        hooks.append(layer.mlp.register_forward_hook(lambda _m, _a, out: found["mlp"].append(first(out))))
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def left_out(layer: Any) -> Iterator[None]:
    """A block that hands on what it was given."""

    def skip(_module: Any, args: Any, kwargs: Any, out: Any) -> Any:
        given = args[0] if args else kwargs["hidden_states"]
        return (given, *out[1:]) if isinstance(out, tuple) else given

    hook = layer.register_forward_hook(skip, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


@dataclass
class Passage:
    """One answer's arrays, read from the untouched model."""

    of: Untouched
    answer: Any
    trace: Any
    question: str
    final: torch.Tensor  # (T, V) log-probabilities, float64
    tops: list[tuple[list[list[int]], list[list[float]]]] = field(default_factory=list)
    emitted: list[list[float]] = field(default_factory=list)  # of each depth, (T,)
    ranks: list[list[int]] = field(default_factory=list)
    kl: list[list[float]] = field(default_factory=list)
    kept: list[list[list[float]]] = field(default_factory=list)
    """Of each depth, the probabilities (T, k) of the ids that the trace keeps there."""
    watched: list[list[list[float]]] = field(default_factory=list)
    looks: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    parts: dict[str, torch.Tensor] = field(default_factory=dict)
    raw: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def read(self, logits: torch.Tensor, depth: int) -> None:
        """Take one depth's logits (T, V) in."""
        logp = logits.log_softmax(-1)  # (T, V)
        probs, mine = logp.exp(), torch.tensor(self.answer.answer_ids)[:, None]
        values, ids = probs.topk(self.trace.top_ids.shape[2], dim=-1)
        self.tops.append((ids.tolist(), values.tolist()))
        self.emitted.append(probs.gather(1, mine)[:, 0].tolist())
        self.ranks.append((logits > logits.gather(1, mine)).sum(-1).tolist())
        final = self.final.float()
        self.kl.append((final.exp() * (final - logp)).sum(-1).tolist())
        self.kept.append(probs.gather(1, torch.tensor(self.trace.top_ids[:, depth])).tolist())
        watched = self.trace.findings.watched
        self.watched.append(probs[:, watched.ids.tolist()].T.tolist() if watched is not None else [])

    # -- words

    def name(self, token: int) -> str:
        """A token's own text; a piece of a character is called as the trace calls it."""
        text = str(self.of.tokenizer.decode([token]))
        causal = self.trace.findings.causal
        further = causal.pieces.get(token, text) if causal is not None else text
        return self.trace.pieces.get(token, further) if "\ufffd" in text else text

    @cached_property
    def words(self) -> list[str]:
        """What each token adds to the decoded answer; nothing while a character is not whole."""
        found, shown = [], ""
        for t in range(len(self.answer.answer_ids)):
            said = [i for i in self.answer.answer_ids[: t + 1] if i not in self.of.control]
            text = str(self.of.tokenizer.decode(said)) if said else ""
            whole = self.answer.answer_ids[t] not in self.of.control and not text.endswith("\ufffd")
            found.append(text[len(shown) :] if whole else "")
            shown = text if whole else shown
        return found

    # -- the sampler

    def drawn(self, t: int) -> float:
        """The emitted token's probability after temperature, top-k and top-p."""
        sampling = self.answer.sampling
        if sampling.temperature == 0:
            return 1.0
        scores = self.final[t] / sampling.temperature
        ranked = scores.softmax(-1).sort(descending=True, stable=True)
        kept, total = [], 0.0
        for place, (token, p) in enumerate(zip(ranked.indices.tolist(), ranked.values.tolist(), strict=True)):
            if total >= sampling.top_p or (sampling.top_k and place >= sampling.top_k):
                break
            kept.append((token, p))
            total += p
        return dict(kept).get(self.answer.answer_ids[t], 0.0) / total

    # -- the world

    def world(self) -> World:
        """All of it, as the untouched model has it."""
        rows, depths = range(len(self.answer.answer_ids)), range(len(self.tops))
        return World(
            prompt=list(self.answer.prompt_ids),
            answer=list(self.answer.answer_ids),
            words=self.words,
            control=[i in self.of.control for i in self.answer.answer_ids],
            top=[[self.tops[d][0][t] for d in depths] for t in rows],
            top_p=[[self.tops[d][1][t] for d in depths] for t in rows],
            p=[[self.emitted[d][t] for d in depths] for t in rows],
            rank=[[self.ranks[d][t] for d in depths] for t in rows],
            kl=[[self.kl[d][t] for d in depths[:-1]] + [0.0] for t in rows],
            entropy=(-(self.final.exp() * self.final).sum(-1)).tolist(),
            drawn=[self.drawn(t) for t in rows],
            name=self.name,
            page=self.name,
            evidence={"blocks": len(self.tops) - 1} | self.evidence(),
        )

    def nudged(self, world: World) -> World:
        """The same world in which cells that the trace has within tolerance are the trace's: what a tie may turn on."""
        trace = self.trace
        cells = [(t, d) for t in range(trace.top_ids.shape[0]) for d in range(trace.top_ids.shape[1])]
        new = replace(
            world, **{name: copy.deepcopy(getattr(world, name)) for name in ("top", "top_p", "p", "rank", "kl", "entropy")}
        )
        for t, d in cells:
            told = trace.top_probs[t, d].tolist()
            if all(close(a, b) for a, b in zip(told, self.kept[d][t], strict=True)) and close(told[-1], world.top_p[t][d][-1]):
                new.top[t][d], new.top_p[t][d] = trace.top_ids[t, d].tolist(), told
            if close(float(trace.emitted_prob[t, d]), world.p[t][d]):
                new.p[t][d] = float(trace.emitted_prob[t, d])
                if abs(int(trace.emitted_rank[t, d]) - world.rank[t][d]) <= 1 or world.p[t][d] < SLACK:
                    new.rank[t][d] = int(trace.emitted_rank[t, d])
            if abs(float(trace.kl_to_final[t, d]) - world.kl[t][d]) <= SLACK * max(1.0, world.kl[t][d]):
                new.kl[t][d] = float(trace.kl_to_final[t, d])
        for t, own in enumerate(world.entropy):
            if abs(float(trace.entropy[t, -1]) - own) <= SLACK:
                new.entropy[t] = float(trace.entropy[t, -1])
        return new

    # -- evidence

    def evidence(self) -> dict[str, Any]:
        """What the trace has evidence of, computed anew when it is asked for."""
        found, findings = dict[str, Any](), self.trace.findings
        if findings.pull is not None:
            found["pull"] = lambda: self.pull
        if findings.attention is not None:
            found["attention"] = self.attention
        if findings.attribution is not None:
            found["attribution"] = self.attribution
        if findings.watched is not None:
            found["watched"] = lambda: self.followed
        if findings.self_report is not None:
            found["report"] = lambda: self.report
        if findings.causal is not None:
            found["causal"] = lambda t: self.removed if t == findings.causal.t else None
        return found

    @cached_property
    def pull(self) -> Pulled:
        """The first token's distribution in the prompt that was used, and after the bare question."""
        bare = self.of.tokenizer(f"Q: {' '.join(self.question.split())}\nA:")["input_ids"]
        with_, without = self.final[0], self.of.final(bare)
        tops = tuple((self.name(int(p.argmax())), float(p.max().exp())) for p in (with_, without))
        return Pulled(self.answer.style, float((with_.exp() * (with_ - without)).sum()), tops)  # type: ignore[arg-type]

    def attention(self, t: int) -> Looked:
        """Shares of all heads of the last third that went to the words of the question, where it stands last in the prompt."""
        shares = {p: float(self.looks[t, p]) for p in self.asked}
        return Looked(shares, float(self.looks[t, 0]), lambda p: self.name(self.answer.prompt_ids[p]))

    @cached_property
    def asked(self) -> list[int]:
        """Places of the question's words in the prompt, by the text that each token adds."""
        prompt = list(self.answer.prompt_ids)
        ends = [len(str(self.of.tokenizer.decode(prompt[: p + 1])).rstrip("\ufffd")) for p in range(len(prompt))]
        text = str(self.of.tokenizer.decode(prompt))
        wanted = self.question if self.answer.style == "chat" else " ".join(self.question.split())
        start = text.rfind(wanted)
        spans = [(p, ends[p - 1], ends[p]) for p in range(1, len(prompt))]
        return [p for p, a, b in spans if says(text[max(a, start) : min(b, start + len(wanted))])]

    def attribution(self, t: int) -> Ledger:
        """Each part's product with the direction that the head reads, under the norm of the real pass."""
        emitted, model = self.answer.answer_ids[t], self.of.model
        rest = self.raw[t].clone()
        rest[emitted] = -math.inf
        against = int(rest.argmax())
        stream, norm = self.parts["stream"][0, t].double(), model.model.norm
        scale = torch.rsqrt(stream.square().mean() + norm.variance_epsilon)
        direction = (norm.weight * (model.lm_head.weight[emitted] - model.lm_head.weight[against])).double() * scale
        pushes = [(float(a @ direction), float(m @ direction)) for a, m in zip(*self._written(t), strict=True)]
        lead = float(self.raw[t, emitted] - self.raw[t, against])
        return Ledger(against, lead, pushes, (lead - sum(map(sum, pushes)), 0.0))

    def _written(self, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.parts["attention"][:, t].double(), self.parts["mlp"][:, t].double()

    @cached_property
    def followed(self) -> list[Followed]:
        """Asked-for words by their first token, with the space before it that a word has in a sentence."""
        found = []
        for n, word in enumerate(self.trace.findings.watched.words):
            ids = self.of.tokenizer(word if word > "\u2e80" else f" {word}", add_special_tokens=False)["input_ids"]
            if ids[0] != int(self.trace.findings.watched.ids[n]):
                raise AssertionError(f"{word} is followed by another token")
            rows = [[self.watched[d][n][t] for d in range(len(self.watched))] for t in range(len(self.answer.answer_ids))]
            found.append(Followed(word, len(ids) == 1, rows))
        return found

    @cached_property
    def report(self) -> dict[str, Any]:
        """Yes among yes and no, asked in the chat template; how many samples agreed is the trace's, for they were drawn."""
        asked = f"Question: {self.question.strip()}\nProposed answer: {self.answer.text.strip()}\n"
        asked += "Is the proposed answer right? Say only yes or no."
        chat = [{"role": "user", "content": asked}]
        text = self.of.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        final = self.of.final(self.of.tokenizer(text)["input_ids"]).exp()
        yes, no = (sum(float(final[i]) for i in self._alone(word)) for word in ("yes", "no"))
        report = self.trace.findings.self_report
        found = {"p_true": yes / (yes + no), "said": yes + no}
        return found | {name: getattr(report, name) for name in ("agreement", "samples", "groups")}

    def _alone(self, word: str) -> set[int]:
        """The tokens that are the word by themselves."""
        ways = [space + way for way in (word, word.title(), word.upper()) for space in ("", " ")]
        found = [self.of.tokenizer(way, add_special_tokens=False)["input_ids"] for way in ways]
        return {ids[0] for ids in found if len(ids) == 1}

    @cached_property
    @torch.no_grad()
    def removed(self) -> Removed:
        """One forward of the last token for each block that is left out; everything before it is untouched."""
        check, prompt = self.trace.findings.causal, list(self.answer.prompt_ids)
        ids = [*prompt, *self.answer.answer_ids[: check.t]]
        past = self.of.model(torch.tensor([ids[:-1]]), use_cache=True).past_key_values
        left = []
        for layer in self.of.model.model.layers:
            with left_out(layer):
                out = self.of.model(torch.tensor([ids[-1:]]), past_key_values=copy.deepcopy(past), use_cache=True)
            logp = out.logits[0, -1].double().log_softmax(-1)
            left.append((float(logp[self.answer.answer_ids[check.t]]), int(logp.argmax()), float(logp.max().exp())))
        blocks = next(r for r in check.removals if r.part == "block")
        control = list(zip(blocks.control_logprob.tolist(), blocks.control_top_ids.tolist(), strict=True))
        whole = self.final[check.t]
        return Removed(float(whole[self.answer.answer_ids[check.t]]), int(whole.argmax()), left, control)
