"""The answer pass on tiny random models: stop rules, streaming, sampling, cancellation, the seam to the second pass."""

import itertools

import numpy as np
import pytest
import torch

from models.errors import AnswerCancelledError, ModelError, OutOfMemoryError
from models.running.engine import from_model, load
from models.types import Engine, Job, PromptConfig, Sampling
from tests.models import tiny


def sampling(new=24, **options):
    return Sampling(max_new_tokens=new, **options)


class Says(torch.nn.Module):
    """Makes a tiny model say a text: in place of its head, a head that counts the calls."""

    def __init__(self, ids):
        super().__init__()
        self.ids, self.step = ids, 0

    def forward(self, states):
        logits = torch.zeros(*states.shape[:-1], tiny.VOCABULARY)
        logits[..., self.ids[min(self.step, len(self.ids) - 1)]] = 9.0
        self.step += 1
        return logits


def saying(text, *, chat=True, end=True):
    model = tiny.model()
    model.lm_head = Says([*tiny.ids_of(text), *([256] if end else [])])
    return from_model(model, tiny.tokenizer(chat))


def test_is_an_engine(engine: Engine):
    info = engine.info
    assert (info.layers, info.vocabulary, info.context) == (4, tiny.VOCABULARY, 1024)
    assert info.parameters == sum(p.numel() for p in engine.model.parameters())
    assert info.styles == ("chat", "story")
    assert info.inner_voice is None
    assert info.dtype == "float32"
    assert info.device == "cpu"


def test_greedy_equals_plain_generate(engine):
    answer = engine.answer(Job("How many eyes does my foot have?", sampling=sampling()))
    ids = torch.tensor([answer.prompt_ids])
    expected = engine.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False, pad_token_id=256
    )
    assert answer.answer_ids == tuple(expected[0, ids.shape[1] :].tolist())
    assert set(answer.sampled_prob) == {1.0}
    assert answer.seed == 0


def test_the_candidates_kept_are_the_models_own(engine):
    answer = engine.answer(Job("How many?", sampling=sampling(6, temperature=1.5, seed=3)))
    with torch.no_grad():
        logits = engine.model(torch.tensor([[*answer.prompt_ids, *answer.answer_ids]])).logits[0].double()
    rows = logits.log_softmax(-1)[len(answer.prompt_ids) - 1 : -1]  # (T, V)
    expected = rows.topk(16)
    assert (np.asarray(answer.final_top.ids) == expected.indices.numpy()).all()
    assert np.abs(np.asarray(answer.final_top.logprobs) - expected.values.numpy()).max() < 1e-4


def test_sampled_probabilities_are_those_of_the_sampler(engine):
    answer = engine.answer(Job("How many?", sampling=sampling(12, temperature=0.7, top_p=0.8, top_k=20, seed=5)))
    with torch.no_grad():
        logits = engine.model(torch.tensor([[*answer.prompt_ids, *answer.answer_ids]])).logits[0].double()
    for t, token in enumerate(answer.answer_ids):
        row = logits[len(answer.prompt_ids) - 1 + t] / 0.7
        order = row.argsort(descending=True)[:20]
        probs = row[order].softmax(-1)
        kept = (probs.cumsum(-1) - probs) < 0.8  # the smallest set that reaches top_p
        probs = torch.where(kept, probs, 0.0) / probs[kept].sum()
        assert answer.sampled_prob[t] == pytest.approx(float(probs[order.tolist().index(token)]), abs=1e-4)


def test_same_seed_same_answer_and_drawn_seeds_are_told(engine):
    warm = sampling(16, temperature=1.5)
    drawn = engine.answer(Job("How many?", sampling=warm))
    again = engine.answer(Job("How many?", sampling=warm.model_copy(update={"seed": drawn.seed})))
    assert again.answer_ids == drawn.answer_ids
    others = {engine.answer(Job("How many?", sampling=warm)).answer_ids for _ in range(3)}
    assert len({drawn.answer_ids, *others}) > 1


def test_streams_whole_characters_only():
    seen = []
    answer = saying("脚 has 2 👀 = 眼睛.").answer(Job("x", sampling=sampling(64)), on_text=seen.append)
    assert seen[-1] == answer.text == "脚 has 2 👀 = 眼睛."
    assert not any("\ufffd" in text for text in seen)
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(seen))
    assert answer.finish == "stop"
    assert answer.answer_ids[-1] == 256


def test_length_ends_an_answer_even_within_a_character():
    answer = saying("ok 👀").answer(Job("x", sampling=sampling(5)))
    assert (answer.text, answer.finish, len(answer.answer_ids)) == ("ok", "length", 5)


def test_the_context_ends_an_answer():
    engine = saying("a" * 1100, end=False)
    answer = engine.answer(Job("x" * 300, sampling=sampling(1100)))
    assert len(answer.prompt_ids) + len(answer.answer_ids) == 1024
    assert answer.finish == "length"


def test_story_stops_at_the_end_of_the_line():
    seen = []
    job = Job("How many?", style="story", sampling=sampling(64))
    answer = saying("\n Your foot has one.\nQ: and", chat=False).answer(job, on_text=seen.append)
    assert answer.text == "Your foot has one."
    assert answer.finish == "stop"
    assert tiny.tokenizer().decode(answer.answer_ids) == "\n Your foot has one.\n"
    assert seen[-1] == "Your foot has one."
    assert "" not in seen


def test_chat_goes_on_over_lines():
    assert saying("one\ntwo").answer(Job("x", sampling=sampling(64))).text == "one\ntwo"


@pytest.mark.parametrize("end", [256, 258])
def test_every_end_of_turn_stops(end):
    model = tiny.model()
    model.lm_head = Says([*tiny.ids_of("ok"), end, *tiny.ids_of("no")])
    answer = from_model(model, tiny.tokenizer()).answer(Job("x", sampling=sampling()))
    assert (answer.text, answer.answer_ids[-1]) == ("ok", end)


def test_several_configured_ends():
    model = tiny.model()
    model.generation_config.eos_token_id = [256, tiny.ids_of("!")[0]]
    model.lm_head = Says(tiny.ids_of("ok! no"))
    assert from_model(model, tiny.tokenizer()).answer(Job("x", sampling=sampling())).text == "ok"


def test_cancelled_between_tokens(engine):
    asked = []

    def cancelled():
        asked.append(None)
        return len(asked) > 3

    seen = []
    with pytest.raises(AnswerCancelledError):
        engine.answer(Job("x", sampling=sampling()), cancelled=cancelled, on_text=seen.append)
    assert len(asked) == 4


@pytest.mark.parametrize("options", [{}, {"temperature": 1.2, "top_p": 0.9, "seed": 1}])
@pytest.mark.parametrize("style", ["chat", "story"])
def test_second_pass_of_an_answer(engine, style, options):
    answer = engine.answer(Job("How many?", style=style, sampling=sampling(10, **options)))
    trace = engine.trace(answer, k=4)
    assert trace.answer_ids.tolist() == list(answer.answer_ids)
    assert trace.prompt_ids.tolist() == list(answer.prompt_ids)
    assert np.allclose(trace.sampled_prob, answer.sampled_prob)
    assert trace.meta["argmax_agreement"] == 1.0
    assert trace.meta["style"] == style
    assert trace.meta["seed"] == answer.seed
    wanted = {"model", "revision", "architecture", "dtype", "device", "quantization", "lens", "style", "sampler", "seed"}
    assert wanted | {"answer_seconds", "second_pass_seconds", "versions", "schema"} <= set(trace.meta)


def test_prefill_asks_for_one_row_of_logits(engine):
    rows = []
    engine.model.lm_head.register_forward_hook(lambda _m, _a, out: rows.append(out.shape[1]))
    engine.answer(Job("How many?", sampling=sampling(3)))
    assert rows == [1, 1, 1]


@pytest.mark.parametrize("message", ["CUDA out of memory.", "DefaultCPUAllocator: can't allocate memory: you tried"])
def test_out_of_memory_has_words(engine, message):
    def fail(*_args):
        raise RuntimeError(message)

    engine.model.model.layers[0].register_forward_pre_hook(fail)
    with pytest.raises(OutOfMemoryError, match="ran out of memory"):
        engine.answer(Job("x"))


def test_a_defect_stays_a_defect(engine):
    def fail(*_args):
        raise RuntimeError("something else")

    engine.model.model.layers[0].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="something else"):
        engine.answer(Job("x"))


def test_chat_of_a_base_model_is_refused_when_it_is_loaded():
    with pytest.raises(ModelError, match="no chat template"):
        from_model(tiny.model(), tiny.tokenizer(chat=False), prompt=PromptConfig(style="chat"))


def test_load_is_the_seam():
    assert callable(load)
