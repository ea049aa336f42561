"""What is measured: exact lengths, the same weights on both sides, and refusals in words."""

import pytest
import torch

from models.bench import passes, subject, suite
from models.bench.subject import endless
from models.errors import LensNotFoundError, ModelError, OutOfMemoryError
from models.lenses import store
from models.lenses.affine import AffineLens, Card
from models.types import ModelConfig
from tests.models import tiny

CPU = torch.device("cpu")


def test_questions_to_a_random_model_have_one_length(small) -> None:
    jobs = small.jobs(5, 4)
    assert {len(small.prompt_ids(job)) for job in jobs} == {subject.PROMPT_TOKENS}
    assert len({job.question for job in jobs}) == 5
    assert [job.question for job in small.jobs(2, 4)] == [job.question for job in jobs[:2]]


def test_the_twin_has_the_same_weights_and_is_untouched(small) -> None:
    again = subject.shapes.random_model(small.reference.config, device=CPU, dtype=torch.float32)
    mine, plain = again.state_dict(), small.reference.state_dict()
    assert all(torch.equal(mine[name], plain[name]) for name in plain)
    assert small.reference is small.reference
    assert all(type(module).__module__.startswith(("torch.", "transformers.")) for module in small.reference.modules())


def test_no_token_ends_an_endless_answer() -> None:
    config = tiny.config("llama", vocab_size=300)
    made = subject.of_random(config, "small", device=CPU, dtype=torch.float32)
    job = made.jobs(1, 6)[0]
    with endless(made.engine):
        free = made.engine.answer(job)
    assert len(free.answer_ids) == 6
    made.engine._stop_ids = frozenset(free.answer_ids[2:3])
    assert len(made.engine.answer(job).answer_ids) <= 3
    with endless(made.engine):
        assert made.engine.answer(job).answer_ids == free.answer_ids
    assert made.engine._stop_ids == frozenset(free.answer_ids[2:3])


def test_every_id_has_a_name_and_a_letter_is_a_token() -> None:
    made = subject.tokenizer(1000)
    assert len(made) == 1000
    assert len(made("abc")["input_ids"]) == 3
    assert made.decode([700]) == " <700>"
    assert made.eos_token_id == 999


def test_the_sizes_are_those_of_the_config(small) -> None:
    found, size = small.measured, tiny.SIZE
    assert (found.layers, found.hidden, found.vocabulary) == (size["num_hidden_layers"], size["hidden_size"], 400)
    counted = small.reference
    assert found.parameters == counted.num_parameters()
    assert small.head_parameters == 400 * size["hidden_size"]
    assert small.block_parameters == sum(p.numel() for p in counted.model.layers.parameters())
    assert found.weight_bytes == 4 * (small.block_parameters + small.head_parameters + size["hidden_size"])


def test_what_does_not_fit_is_refused_before_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "free_bytes", lambda _device: 1 << 30)
    with pytest.raises(OutOfMemoryError, match=r"`llama-8b` in bfloat16.* need 31\.4 GiB, and cpu has 1\.0 GiB free") as caught:
        subject.of_shape("llama-8b", layers=None, device="cpu", dtype="bfloat16", say=lambda _: None)
    assert "--layers" in caught.value.hint
    with pytest.raises(OutOfMemoryError, match=r"in bfloat16 needs 16\.5 GiB"):
        subject.of_shape("llama-8b", layers=None, device="cpu", dtype="bfloat16", say=lambda _: None, twin=False)


@pytest.mark.parametrize("changes", [{"quantization": "bnb-int8"}, {"device_map": "auto"}, {"max_memory": {"cpu": "1GiB"}}])
def test_what_has_no_plain_twin_is_refused(changes: dict) -> None:
    with pytest.raises(ModelError, match="compares with plain transformers"):
        subject.of_config(ModelConfig(id="default", **changes), lambda _: None)


def test_a_real_folder(tmp_path) -> None:
    tiny.model(eos_token_id=None, pad_token_id=None).save_pretrained(tmp_path)
    tiny.tokenizer(chat=False).save_pretrained(tmp_path)
    made = subject.of_config(ModelConfig(id=str(tmp_path), device="cpu"), lambda _: None)
    job = made.jobs(1, 5)[0]
    assert job.question == "How many eyes does my foot have?"
    with endless(made.engine):
        answer = made.engine.answer(job)
    assert answer.answer_ids == subject_generate(made, answer.prompt_ids)
    assert not made.measured.random


def test_a_learned_lens_is_measured_and_held_against_the_last_depth(tmp_path) -> None:
    tiny.model(eos_token_id=None, pad_token_id=None).save_pretrained(tmp_path)
    tiny.tokenizer(chat=False).save_pretrained(tmp_path)
    config = ModelConfig(id=str(tmp_path), device="cpu", cache_dir=str(tmp_path))
    with pytest.raises(LensNotFoundError):
        subject.of_config(config, lambda _: None, lens="tuned")
    card = Card("tuned", "tiny", None, "x", 4, 32, "float32", (), 0, "model", {}, {})
    store.save(store.default_file(config, "tuned"), AffineLens(torch.randn(4, 32, 32), torch.randn(4, 32), card))
    made = subject.of_config(config, lambda _: None, lens="tuned")
    with endless(made.engine):
        ways = passes._Ways(made, 3, 2)
        for name in (passes.COLD, passes.CAPTURED):
            ways.calls[name]()
    assert {ways.traces[name].meta["lens"] for name in (passes.COLD, passes.CAPTURED)} == {"tuned"}
    assert ways.off(passes.COLD) < 1e-4
    assert "tuned lens" in suite.through(made)[0]


def subject_generate(made: subject.Subject, prompt_ids: tuple[int, ...]) -> tuple[int, ...]:
    from models.bench import reference

    return reference.generate(made.reference, prompt_ids, 5)
