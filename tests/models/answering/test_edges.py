"""Models whose positions change with the length of the text: the answer is the one of `generate`, before, across and beyond.

Tried as well: every other architecture of `adapters.SUPPORTED` has factors that no length changes (linear, llama3, yarn, ALiBi,
learned positions) or changes them beyond its context alone (dynamic), and windows that the cache itself keeps.
"""

import numpy as np
import pytest
import torch

from models.errors import UnsupportedArchitectureError
from models.network import adapters
from models.network.edges import Edge, edge_of
from models.running import engine
from models.types import Job, Sampling
from tests.models import tiny

EDGE = 64
SHORT = "How many eyes does my foot have?"
LONG = "x" * 20 + f"{SHORT} " * 4 + "Why?"


def factors(edge):
    return {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [1.0, 4.0, 16.0, 32.0],
        "original_max_position_embeddings": edge,
    }


def made(model_type, edge=EDGE):
    changes = {} if model_type == "llama" else {"original_max_position_embeddings": edge}
    extra = {"long_mscale": 1.1, "short_mscale": 1.0} if model_type == "phimoe" else {}
    rope = factors(edge) | ({"long_mscale": 1.1, "short_mscale": 1.0} if model_type == "phimoe" else {})
    try:
        return tiny.model(model_type, seed=1, rope_parameters=rope, max_position_embeddings=2048, **changes, **extra)
    except (TypeError, KeyError) as error:
        pytest.skip(f"{model_type}: {error}")


TOKENIZER = tiny.tokenizer()
TOKENIZER.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"


def theirs(model, prompt_ids, new):
    prompt = torch.tensor([list(prompt_ids)])
    settings = {"max_new_tokens": new, "do_sample": False, "eos_token_id": 256, "pad_token_id": 256}
    return model.generate(prompt, attention_mask=torch.ones_like(prompt), **settings)[0, prompt.shape[1] :].tolist()


def job(text, new):
    return Job(text, style="chat", sampling=Sampling(max_new_tokens=new))


MODELS = ["phi3", "phimoe", "llama"]
WAYS = {"before": (SHORT, 20), "across": (SHORT, 60), "just across": (SHORT, EDGE - len(SHORT) + 1), "beyond": (LONG, 30)}


@pytest.mark.parametrize("model_type", MODELS)
@pytest.mark.parametrize("way", WAYS)
def test_alone_it_is_the_answer_of_generate_and_its_trace_can_be_taken_again(model_type, way):
    made_of = engine.from_model(model := made(model_type), TOKENIZER)
    text, new = WAYS[way]
    answer = made_of.answer(job(text, new))
    assert list(answer.answer_ids) == theirs(model, answer.prompt_ids, new)
    captured = made_of.trace(answer)
    made_of.forget()
    recomputed = made_of.trace(answer)
    assert (captured.meta["states"], recomputed.meta["states"]) == ("captured", "recomputed")
    assert np.allclose(captured.top_probs, recomputed.top_probs, atol=1e-4)


@pytest.mark.parametrize("model_type", MODELS)
def test_in_company_each_is_the_answer_of_generate(model_type):
    made_of = engine.from_model(model := made(model_type), TOKENIZER)
    wanted = [job(text, new) for text, new in (*WAYS.values(), ("Why?", 40))]
    begun = [made_of.begin(each) for each in wanted]
    ended = {}
    while len(ended) < len(begun):
        ended |= {id(course): answer for course, answer in made_of.step()}
    for course, each in zip(begun, wanted, strict=True):
        answer = ended[id(course)]
        assert list(answer.answer_ids) == theirs(model, answer.prompt_ids, each.sampling.max_new_tokens)


@pytest.mark.parametrize("model_type", MODELS)
def test_a_long_prompt_is_turned_alike_in_every_piece(model_type):
    made_of = engine.from_model(model := made(model_type, 600), TOKENIZER)
    answer = made_of.answer(job("y" + f"{SHORT} " * 21 + "Why?", 12))
    assert len(answer.prompt_ids) > 600
    assert list(answer.answer_ids) == theirs(model, answer.prompt_ids, 12)
    captured = made_of.trace(answer)
    made_of.forget()
    assert np.allclose(captured.top_probs, made_of.trace(answer).top_probs, atol=1e-4)


def test_evidence_is_left_out_where_an_answer_crosses():
    made_of = engine.from_model(made("phi3"), TOKENIZER)
    across, beyond = made_of.answer(job(SHORT, 60)), made_of.answer(job(LONG, 10))
    with pytest.raises(UnsupportedArchitectureError, match="64 tokens"):
        made_of.why(across, 3)
    assert made_of.why(beyond, 3).t == 3


def test_which_models_have_one():
    found = {name for name in adapters.SUPPORTED if edge_of(tiny.model(name)) is not None}
    assert found == set()  # none by itself: it comes with the config's factors
    assert edge_of(made("phi3")) == Edge(EDGE, True)
    assert edge_of(made("llama")) == Edge(EDGE, False)
