"""The pulled default model: the few tests that need meaning. `forwardpass model pull` fetches it."""

import time

import numpy as np
import pytest
import torch
import transformers

from models.loading import embedded
from models.reading import lens
from models.running import engine
from models.types import Job, ModelConfig, Road, Sampling

pytestmark = pytest.mark.real_model

FOOT = "How many eyes does my foot have?"


@pytest.fixture(scope="module")
def answer(smollm):
    return smollm.answer(Job(FOOT))


def test_what_it_is(smollm):
    info = smollm.info
    assert info.name == "SmolLM2-135M-Instruct"
    assert (info.layers, info.vocabulary, info.parameters) == (30, 49152, 134_515_008)
    assert info.revision == "b179c9523d0e"
    assert info.default_style == "chat"
    assert info.inner_voice is None


def test_foot_in_chat(smollm, answer):
    seen = []
    again = smollm.answer(Job(FOOT), on_text=seen.append)
    assert answer.text == "The answer is 2. Your foot has 2 eyes."
    assert answer.finish == "stop"
    assert (again.answer_ids, again.final_top, again.seed) == (answer.answer_ids, answer.final_top, answer.seed)
    assert seen[-1] == answer.text
    assert len(seen) == len(answer.answer_ids) - 1


def test_foot_in_the_story(smollm):
    answer = smollm.answer(Job(FOOT, style="story"))
    assert answer.finish == "stop"
    assert answer.text
    assert "\n" not in answer.text
    assert smollm.trace(answer).meta["argmax_agreement"] == 1.0


def test_trace_equals_the_plain_reference(smollm, answer):
    model = smollm.model
    trace = smollm.trace(answer)
    ids = torch.tensor([[*answer.prompt_ids, *answer.answer_ids]])
    start = len(answer.prompt_ids) - 1
    with torch.no_grad():
        out = model(ids, output_hidden_states=True)
        for depth in range(31):
            row = out.logits[0] if depth == 30 else model.lm_head(model.model.norm(out.hidden_states[depth][0]))
            probs = row[start:-1].float().softmax(-1).numpy()  # (T, V)
            kept = np.take_along_axis(probs, trace.top_ids[:, depth], axis=-1)
            assert (probs.argmax(-1) == trace.top_ids[:, depth, 0]).all()
            assert np.abs(kept - trace.top_probs[:, depth]).max() < 1e-5
            assert np.abs(probs[np.arange(len(probs)), answer.answer_ids] - trace.emitted_prob[:, depth]).max() < 1e-5
    assert "".join(trace.tokens) == answer.text
    assert trace.special.tolist() == [False] * (trace.length - 1) + [True]
    assert (trace.emitted_rank[:, -1] == 0).all()
    assert trace.meta["tied_embeddings"] is True


@pytest.mark.parametrize("question", [FOOT, "What is the capital of France?", "Why do clouds eat stones?"])
def test_trace_equals_transformers_own_weights_and_kernels(smollm, question):
    """Packed weights and captured states against an untouched model: 1e-5 where this was written, rounding apart elsewhere."""
    plain = transformers.AutoModelForCausalLM.from_pretrained(embedded.locate(), dtype=torch.float32).eval()
    answer = smollm.answer(Job(question, sampling=Sampling(max_new_tokens=20)))
    captured = smollm.trace(answer)
    smollm.forget()
    again = smollm.trace(answer)
    assert (captured.meta["states"], again.meta["states"]) == ("captured", "recomputed")
    expected = lens.trace(plain, answer.prompt_ids, answer.answer_ids)
    for trace in (captured, again):
        rows = [[expected.top_ids[t, d].tolist() for d in range(31)] for t in range(trace.length)]
        for t, d in np.ndindex(trace.top_ids.shape[:2]):
            ids = trace.top_ids[t, d, :5].tolist()
            theirs = [expected.top_probs[t, d, rows[t][d].index(i)] for i in ids]
            assert np.abs(trace.top_probs[t, d, :5] - theirs).max() < 2e-5
        assert np.abs(trace.emitted_prob - expected.emitted_prob).max() < 2e-5
        assert np.abs(trace.entropy - expected.entropy).max() < 5e-4


def test_answers_asked_together_are_those_asked_alone(smollm):
    jobs = [Job(q, sampling=Sampling(max_new_tokens=16)) for q in (FOOT, "Name three colours.", "How many moons has a sandwich?")]
    alone = [smollm.answer(job) for job in jobs]
    tokens = [smollm.begin(job) for job in jobs]
    ended = {}
    while len(ended) < len(jobs):
        ended.update({tokens.index(token): result for token, result in smollm.step()})
    assert [ended[n].text for n in range(len(jobs))] == [answer.text for answer in alone]
    assert all(trace.meta["argmax_agreement"] == 1.0 for trace in smollm.traces([ended[n] for n in range(len(jobs))]))


def test_seeded_sampling(smollm):
    warm = Sampling(temperature=1.0, top_p=0.9, seed=7, max_new_tokens=20)
    one, two = (smollm.answer(Job(FOOT, sampling=warm)) for _ in range(2))
    assert one.answer_ids == two.answer_ids
    assert (smollm.trace(one).sampled_prob == np.asarray(one.sampled_prob, dtype=np.float32)).all()


def test_a_second_start_is_quick(smollm):
    started = time.perf_counter()
    engine.load(ModelConfig(device="cpu"))
    assert time.perf_counter() - started < 10  # a second or two on an idle machine


def test_the_lens_serves_any_model_that_its_caller_holds(smollm, answer):
    trace = lens.trace(smollm.model, list(answer.prompt_ids), list(answer.answer_ids), k=3)
    assert trace.k == 3
    assert trace.tokens[0].startswith("⟨")


def test_a_road_not_taken_from_where_the_answer_was_decided(smollm, answer):
    t = answer.answer_ids.index(smollm.tokenizer.encode("2")[0])
    road = smollm.answer(Job("", road=Road(answer, t, smollm.tokenizer.encode("1")[0])))
    assert road.text.startswith("The answer is 1")
    assert road.text != answer.text
    assert road.final_top.ids[: t + 1] == answer.final_top.ids[: t + 1]
    assert smollm.trace(road).emitted_rank[t, -1] > 0
    warm = smollm.answer(Job(FOOT, sampling=Sampling(temperature=0.9, top_p=0.95, seed=5, max_new_tokens=24)))
    again = smollm.answer(Job("", road=Road(warm, 4, warm.answer_ids[4])))
    assert (again.answer_ids, again.text) == (warm.answer_ids, warm.text)
