"""The second pass against a plain, slow reference; its self-check; its manners."""

import threading

import numpy as np
import pytest
import torch

from models.errors import TraceMismatchError, UnsupportedArchitectureError
from models.network import adapters
from models.reading import lens
from models.types import FinalTop
from tests.models import tiny

PROMPT = tiny.ids_of("How many eyes does my foot have?")
ANSWER = [*tiny.ids_of(" None, 👀."), 256]

# where the reference finds norm and head, and what it does to logits: written out again, apart from the adapters
NORMS = {
    "bloom": "transformer.ln_f",
    "codegen": "transformer.ln_f",
    "falcon": "transformer.ln_f",
    "falcon_h1": "model.final_layernorm",
    "gemma3": "model.language_model.norm",
    "gpt2": "transformer.ln_f",
    "gpt_bigcode": "transformer.ln_f",
    "gpt_neo": "transformer.ln_f",
    "gpt_neox": "gpt_neox.final_layer_norm",
    "gptj": "transformer.ln_f",
    "lfm2": "model.embedding_norm",
    "mpt": "transformer.norm_f",
    "opt": "model.decoder.final_layer_norm",
    "opt-350m": "model.decoder.project_out",
    "phi": "model.final_layernorm",
    "xglm": "model.layer_norm",
}


def norm_of(model, name):
    family = tiny.VARIANTS.get(name, (name,))[0]
    return model.get_submodule(NORMS.get(name, NORMS.get(family, "model.norm")))


def twice(x):
    return x * 2.0


def third(x):
    return x / 3.0


def capped(x):
    return torch.tanh(x / 2.0) * 2.0


FINISH = {
    "cohere": twice,
    "cohere2": twice,
    "falcon_h1": lambda x: x * 3.0,
    "gemma2": capped,
    "gemma3_text": capped,
    "granite": third,
    "granitemoe": third,
    "granitemoehybrid": third,
    "nanochat": capped,
}


@torch.no_grad()
def reference(model, name, prompt, answer):
    """Log-probabilities (T, L+1, V) in float64: all hidden states, one depth at a time, the whole vocabulary."""
    if "experts" not in str(model.config) and name != "xglm":  # their kernels know no float64
        model = model.double()
    norm = norm_of(model, name)
    finish = FINISH.get(name, lambda x: x)
    out = model(torch.tensor([[*prompt, *answer]]), output_hidden_states=True)
    at = slice(len(prompt) - 1, len(prompt) + len(answer) - 1)
    rows = [finish(model.get_output_embeddings()(norm(h[0, at]))) for h in out.hidden_states[:-1]]
    rows.append(out.logits[0, at])  # hidden_states[-1] is normed already; the model's own logits say what depth L is
    return torch.stack(rows, dim=1).double().log_softmax(-1).numpy()


@pytest.mark.parametrize("name", [*adapters.SUPPORTED, *tiny.VARIANTS])
def test_equals_the_reference(name):
    model = tiny.named(name)
    trace = lens.trace(model, PROMPT, ANSWER, k=5)
    expected = reference(model, name, PROMPT, ANSWER)  # (T, L+1, V)
    probs = np.exp(expected)
    answer = np.asarray(ANSWER)[:, None, None]
    emitted = np.take_along_axis(expected, np.broadcast_to(answer, (*expected.shape[:2], 1)), -1)
    final = expected[:, -1:, :]
    assert trace.depths == 4
    assert (trace.top_ids[..., 0] == expected.argmax(-1)).all()
    assert np.abs(trace.top_probs - np.take_along_axis(probs, trace.top_ids, -1)).max() < 1e-5
    assert np.abs(trace.top_probs - -np.sort(-probs, axis=-1)[..., :5]).max() < 1e-5
    assert np.abs(trace.emitted_prob - np.exp(emitted[..., 0])).max() < 1e-5
    assert (trace.emitted_rank == (expected > emitted).sum(-1)).all()
    assert np.abs(trace.entropy + (probs * expected).sum(-1)).max() < 1e-4
    assert np.abs(trace.kl_to_final - (np.exp(final) * (final - expected)).sum(-1)).max() < 1e-4
    assert (trace.kl_to_final[:, -1] == 0).all()
    # the tiny model is one on which a second norm or a forgotten scale would be seen
    assert np.abs(probs[:, -1] - probs[:, -2]).max() > 0.002


def test_chunks_change_nothing(llama):
    whole = lens.trace(llama, PROMPT, ANSWER, rows=10_000)
    for rows in (1, 3, 7, 12):
        part = lens.trace(llama, PROMPT, ANSWER, rows=rows)
        assert (part.top_ids == whole.top_ids).all()
        for name in ("top_probs", "emitted_prob", "entropy", "kl_to_final"):
            assert np.allclose(getattr(part, name), getattr(whole, name), atol=1e-6)
        assert (part.emitted_rank == whole.emitted_rank).all()


def test_logits_of_all_depths_are_never_held_at_once(llama):
    sizes = []
    llama.lm_head.register_forward_hook(lambda _m, _a, out: sizes.append(out.numel() // tiny.VOCABULARY))
    lens.trace(llama, PROMPT, ANSWER, rows=8)
    assert max(sizes) <= 8


def test_shapes_words_and_meta(llama, tokenizer):
    trace = lens.trace(llama, PROMPT, ANSWER, k=3, tokenizer=tokenizer, meta={"style": "chat"})
    length = len(ANSWER)
    assert trace.top_ids.shape == (length, 5, 3)
    assert trace.top_probs.dtype == trace.entropy.dtype == np.float32
    assert "".join(trace.tokens) == " None, 👀."
    assert trace.special.tolist() == [False] * (length - 1) + [True]
    assert set(trace.pieces) == {int(i) for i in np.unique(trace.top_ids)} | set(ANSWER) | set(PROMPT)
    assert trace.pieces[256] == "<|end|>"
    assert trace.pieces[tiny.ids_of("👀")[0]] == "⟨F0⟩"
    assert trace.meta["style"] == "chat"
    assert {"architecture", "dtype", "device", "lens", "versions", "schema", "second_pass_seconds"} <= set(trace.meta)
    assert (trace.sampled_prob == trace.emitted_prob[:, -1]).all()
    assert lens.trace(llama, PROMPT, ANSWER, k=10_000).k == tiny.VOCABULARY


def test_one_token_after_one_token(llama):
    trace = lens.trace(llama, PROMPT[:1], ANSWER[:1])
    assert trace.length == 1
    with pytest.raises(ValueError, match="at least one"):
        lens.trace(llama, [], ANSWER)
    with pytest.raises(ValueError, match="at least one"):
        lens.trace(llama, PROMPT, [])


def test_train_mode_is_refused(llama):
    llama.model.layers[1].train()
    with pytest.raises(ValueError, match="train mode"):
        lens.trace(llama, PROMPT, ANSWER)


def hooks_of(model):
    return [h for m in model.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]


def test_hooks_go_after_success_and_failure(llama):
    lens.trace(llama, PROMPT, ANSWER)
    assert not hooks_of(llama)
    with pytest.raises(IndexError):
        lens.trace(llama, [10**6], ANSWER)
    assert not hooks_of(llama)


def top_of(trace):
    """A `FinalTop` that agrees with the trace."""
    logprobs = np.log(trace.top_probs[:, -1]).tolist()
    return FinalTop(ids=tuple(map(tuple, trace.top_ids[:, -1].tolist())), logprobs=tuple(map(tuple, logprobs)))


def test_answer_pass_is_compared_at_every_token(llama):
    final_top = top_of(lens.trace(llama, PROMPT, ANSWER, k=16))
    trace = lens.trace(llama, PROMPT, ANSWER, final_top=final_top)
    assert trace.meta["argmax_agreement"] == 1.0
    first, *others = final_top.logprobs
    wrong = FinalTop(final_top.ids, ((first[0] - 0.001, *first[1:]), *others))
    with pytest.raises(TraceMismatchError, match="differs from the answer pass"):
        lens.trace(llama, PROMPT, ANSWER, final_top=wrong)
    with pytest.raises(TraceMismatchError):
        lens.trace(llama, PROMPT[1:], ANSWER, final_top=final_top)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: setattr(parts, "finish", lambda x: x * 1.01),
        lambda parts: setattr(parts, "head", torch.nn.Linear(32, tiny.VOCABULARY)),
    ],
    ids=["scale", "head"],
)
def test_a_wrong_adapter_is_caught_without_an_answer_pass(llama, monkeypatch, spoil):
    from types import SimpleNamespace

    right = adapters.find(llama)
    parts = SimpleNamespace(blocks=right.blocks, norm=right.norm, head=right.head, finish=right.finish)
    spoil(parts)
    monkeypatch.setattr(adapters, "find", lambda _model: parts)
    with pytest.raises(TraceMismatchError):
        lens.trace(llama, PROMPT, ANSWER)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_agrees_within_its_tolerance(dtype, tokenizer):
    from models.running.engine import from_model
    from models.types import Job, Sampling

    engine = from_model(tiny.model("llama").to(dtype), tokenizer)
    trace = engine.trace(engine.answer(Job("How many?", sampling=Sampling(max_new_tokens=12))))
    assert trace.meta["dtype"] == str(dtype).removeprefix("torch.")
    assert 0.5 <= trace.meta["argmax_agreement"] <= 1.0
    assert trace.top_probs.dtype == np.float32
    assert np.isfinite(trace.entropy).all()


def test_concurrent_passes_do_not_see_each_other(llama):
    jobs = [(PROMPT[i:], ANSWER[: 3 + i]) for i in range(6)]
    expected = [lens.trace(llama, *job) for job in jobs]
    wrong = []

    def work(i):
        for _ in range(5):
            trace = lens.trace(llama, *jobs[i])
            if not np.array_equal(trace.top_ids, expected[i].top_ids) or not np.allclose(trace.entropy, expected[i].entropy):
                wrong.append(i)

    def disturb():
        with torch.no_grad():
            for n in range(1, 40):
                llama(torch.tensor([PROMPT[: n % 20 + 1]]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)] + [threading.Thread(target=disturb)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not hooks_of(llama)


def test_a_translator_is_applied_below_the_last_depth(llama):
    plain = lens.trace(llama, PROMPT, ANSWER)

    def blank(state, depth):
        return torch.zeros_like(state) if depth == 2 else state

    blank.name = "blank"
    trace = lens.trace(llama, PROMPT, ANSWER, lens=blank)
    assert trace.meta["lens"] == "blank"
    assert np.allclose(trace.entropy[:, 2], np.log(tiny.VOCABULARY))
    assert np.allclose(trace.entropy[:, [0, 1, 3, 4]], plain.entropy[:, [0, 1, 3, 4]])


def test_unknown_architecture(tokenizer):
    from models.running.engine import from_model
    from models.types import Job, Sampling

    model = tiny.model("openai-gpt")
    engine = from_model(model, tokenizer)
    answer = engine.answer(Job("How many?", sampling=Sampling(max_new_tokens=4)))
    assert len(answer.answer_ids) <= 4
    assert "openai-gpt" in engine.info.inner_voice
    with pytest.raises(UnsupportedArchitectureError, match="openai-gpt"):
        engine.trace(answer)
    with pytest.raises(UnsupportedArchitectureError, match="openai-gpt"):
        lens.trace(model, PROMPT, ANSWER)


@pytest.mark.parametrize("name", [*adapters.SUPPORTED, *tiny.VARIANTS])
def test_adapters_find_the_models_own_parts(name):
    model = tiny.named(name)
    parts = adapters.find(model)
    assert len(parts.blocks) == 4
    assert parts.head is model.get_output_embeddings()
    assert parts.norm is norm_of(model, name)
    assert model.config.model_type == tiny.VARIANTS.get(name, (name,))[0]
    assert adapters.reason_against(model) is None


@pytest.mark.parametrize("changes", [{"word_embed_proj_dim": 16}, {"do_layer_norm_before": False}], ids=["both", "neither"])
def test_an_opt_that_is_no_published_size_is_refused(changes):
    """Norm and projection one after the other, or nothing before the head: the lens would have to guess."""
    model = tiny.model("opt", **changes)
    assert "opt" in adapters.reason_against(model)
