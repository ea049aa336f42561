"""Watched words and the template pull against plain references."""

import numpy as np
import pytest
import torch

from models.answering import prompts
from models.findings import Findings
from models.network import adapters
from models.pieces import whole
from models.probes.prober import Probes
from models.probes.pull import logprobs_after
from models.probes.watched import watched, word_ids
from models.reading import lens
from models.reading.seen import Unseen, look
from models.reading.unembedding import follow
from models.running.engine import from_model, load
from models.types import Job, ModelConfig, PromptConfig, Sampling, Turn
from tests.models import tiny
from tests.models.reading.test_lens import reference

PROMPT = tiny.ids_of("How many eyes does my foot have?")
ANSWER = [*tiny.ids_of(" None"), 256]


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "opt-350m", "granite"])
def test_watched_words_equal_the_reference(name, tokenizer):
    model = tiny.named(name)
    parts = adapters.find(model)
    with torch.inference_mode():
        found = watched(parts, whole(look(model, parts, PROMPT, ANSWER)), tokenizer, ("one", "no", "one"))
    assert found.words == ("one", "no")
    assert found.whole == (False, False)
    assert found.ids.tolist() == [ord("o") - 33, ord("n") - 33]
    expected = np.exp(reference(model, name, PROMPT, ANSWER))[:, :, found.ids]  # (T, L+1, W)
    assert found.probs.shape == (2, len(ANSWER), 5)
    assert np.abs(found.probs - expected.transpose(2, 0, 1)).max() < 1e-5


def test_watched_words_go_through_the_lens(llama, tokenizer):
    def bend(state, depth):
        return state * (1.0 + depth) + 0.5

    answer = from_model(llama, tokenizer).answer(Job("How many?", sampling=Sampling(max_new_tokens=4)))
    trace = lens.trace(llama, answer.prompt_ids, answer.answer_ids, k=tiny.VOCABULARY, lens=bend)
    found = whole(Probes(llama, tokenizer, adapters.find(llama)).findings(answer, trace, watch=("foot",), lens=bend)).watched
    here = trace.top_ids == found.ids[0]
    assert np.abs(found.probs[0] - (trace.top_probs * here).sum(-1)).max() < 1e-5


def test_chunks_change_nothing_and_bound_the_logits(llama):
    parts = adapters.find(llama)
    with torch.inference_mode():
        seen = whole(look(llama, parts, PROMPT, ANSWER))
        states = [*seen.states[:-1], seen.normed]
        at_once = follow(parts, states, [1, 2], rows=1000)
        sizes = []
        llama.lm_head.register_forward_hook(lambda _m, _a, out: sizes.append(out.shape[0]))
        assert np.allclose(follow(parts, states, [1, 2], rows=2), at_once, atol=1e-6)
    assert max(sizes) <= 2


def test_words_are_those_of_a_sentence(tokenizer):
    assert word_ids(tokenizer, "no") == tiny.ids_of("no")  # this tokenizer's space is a token of its own
    assert word_ids(tokenizer, "不") == tiny.ids_of("不")
    assert word_ids(tokenizer, "") == []
    assert 256 not in word_ids(tokenizer, "<|end|>")  # typed text is no control token


def test_no_word_is_said(llama, tokenizer):
    parts = adapters.find(llama)
    with torch.inference_mode(), pytest.raises(Unseen):
        watched(parts, whole(look(llama, parts, PROMPT, ANSWER)), tokenizer, (" ",))


@pytest.mark.parametrize("style", ["chat", "story"])
def test_pull_is_the_kl_of_two_plain_passes(style, tokenizer):
    engine = from_model(tiny.model("llama"), tokenizer, prompt=PromptConfig(style=style))
    question = "How many eyes?"
    answer = engine.answer(Job(question, sampling=Sampling(max_new_tokens=3)))
    found = engine.findings(answer, engine.trace(answer), question=question).pull
    bare = "Q: " + question + "\nA:"
    with torch.no_grad():
        rows = [
            engine.model(torch.tensor([list(ids)])).logits[0, -1].double().log_softmax(-1)
            for ids in (answer.prompt_ids, tiny.ids_of(bare))
        ]
    assert found.pattern == style
    assert found.kl == pytest.approx(float((rows[0].exp() * (rows[0] - rows[1])).sum()), abs=1e-4)
    assert found.with_ids.tolist() == rows[0].topk(10).indices.tolist()
    assert np.allclose(found.without_probs, rows[1].topk(10).values.exp(), atol=1e-5)
    assert set(found.pieces) == {*found.with_ids.tolist(), *found.without_ids.tolist()}


def test_a_story_keeps_what_was_said_before(tokenizer):
    job = Job("And a giraffe?", history=(Turn("user", "How many eyes?"), Turn("assistant", "Two.")))
    prompt = prompts.build(tokenizer, job, PromptConfig(style="story"), 4000)
    left = prompts.without_frame(tokenizer, prompt.ids, "story", job.question)
    assert tokenizer.decode(left) == "Q: How many eyes?\nA: Two.\n\nQ: And a giraffe?\nA:"
    assert tokenizer.decode(prompt.ids).endswith(tokenizer.decode(left))


def test_findings_survive_json(llama, tokenizer):
    engine = from_model(llama, tokenizer)
    answer = engine.answer(Job("How many?", sampling=Sampling(max_new_tokens=3)))
    found = engine.findings(answer, engine.trace(answer), question="How many?", watch=("foot",))
    again = Findings.from_json(found.to_json())
    assert (again.attribution.blocks == found.attribution.blocks).all()
    assert (again.watched.probs == found.watched.probs).all()
    assert again.pull.kl == found.pull.kl
    assert again.attention.words == found.attention.words


@pytest.mark.real_model
def test_the_default_model():
    real = load(ModelConfig())
    question = "How many eyes does my foot have?"
    answer = real.answer(Job(question))
    trace = real.trace(answer)
    found = real.findings(answer, trace, question=question, watch=("one", "no"))
    assert not found.notes
    total = found.attribution.embedding + found.attribution.blocks.sum((1, 2)) + found.attribution.constant
    assert np.abs(total - found.attribution.difference).max() < 1e-3
    # its logits are neither capped nor scaled: the trace's own probabilities say the same difference
    other = trace.top_ids[:, -1] == found.attribution.against[:, None]
    theirs = np.log(trace.emitted_prob[:, -1]) - np.log((trace.top_probs[:, -1] * other).sum(-1))
    assert np.abs(theirs - found.attribution.difference).max() < 1e-3
    assert found.watched.whole == (True, True)
    assert [real.tokenizer.decode([i]) for i in found.watched.ids] == [" one", " no"]
    assert {w.strip() for w in found.attention.words.values()} <= {"How", "many", "eyes", "does", "my", "foot", "have"}
    assert found.attention.sink.mean() > 0.3
    story = real.answer(Job(question, style="story"))
    pull = real.findings(story, real.trace(story), question=question).pull
    plain = torch.from_numpy(whole(logprobs_after(real.model, adapters.find(real.model), story.prompt_ids)).detach().numpy())
    assert np.allclose(pull.with_probs, plain.topk(10).values.exp(), atol=1e-4)
    assert pull.kl > 0.01
