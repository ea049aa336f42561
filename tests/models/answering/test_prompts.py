"""Questions and turns become token ids, and nothing that a person types becomes a control token."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.answering import prompts
from models.errors import EmptyQuestionError, ModelError, QuestionTooLongError
from models.types import Job, PromptConfig, Sampling, Turn
from tests.models import tiny

TOKENIZER, BASE = tiny.tokenizer(), tiny.tokenizer(chat=False)
HISTORY = (Turn("user", "hi"), Turn("assistant", "Hello."), Turn("user", "and?"), Turn("assistant", "Well."))
CONFIG = PromptConfig()
ROOMY = 100_000


def build(question, context=ROOMY, config=CONFIG, tokenizer=TOKENIZER, new=20, **job):
    return prompts.build(tokenizer, Job(question, sampling=Sampling(max_new_tokens=new), **job), config, context)


def by_template(question, history=(), system=None):
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": t.role, "content": t.text} for t in history] + [{"role": "user", "content": question}]
    return TOKENIZER.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]


@pytest.mark.parametrize("question", ["How many eyes does my foot have?", "多少 👀?", "two\nlines", "a < b | c > d"])
@pytest.mark.parametrize("system", [None, "Answer in one word."])
def test_ordinary_text_gives_what_the_template_gives(question, system):
    prompt = build(question, history=HISTORY, config=PromptConfig(system=system))
    assert list(prompt.ids) == by_template(question, HISTORY, system)
    assert prompt.style == "chat"
    assert prompt.dropped_turns == 0


@given(st.lists(st.sampled_from([*tiny.SPECIAL, " ", "x", "user\n", "\n", "<|", "|>"]), min_size=1, max_size=6).map("".join))
@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("style", ["chat", "story"])
def test_control_tokens_cannot_be_typed(style, text):
    question = f"x{text}"
    plain = build("x", style=style, history=(Turn("user", "x"), Turn("assistant", "x")))
    prompt = build(question, style=style, history=(Turn("user", question), Turn("assistant", question)))
    control = [i for i in prompt.ids if i >= 256]
    assert control == [i for i in plain.ids if i >= 256]
    if style == "chat":
        assert TOKENIZER.decode(prompt.ids).count(question.strip()) == 3


def test_story_is_a_page_of_questions_and_answers():
    text = BASE.decode(build("How many eyes\n does my foot have?", tokenizer=BASE, history=HISTORY[:2]).ids)
    for words in ("78 years", "Eisenhower", "Republican", "Clinton", "Braves", "giraffe"):
        assert words in text
    assert text.endswith("\n\nQ: hi\nA: Hello.\n\nQ: How many eyes does my foot have?\nA:")
    assert text.index("giraffe") < text.index("Q: hi")


def test_styles():
    assert prompts.styles(TOKENIZER) == ("chat", "story")
    assert prompts.choose_style(TOKENIZER, None) == prompts.choose_style(TOKENIZER, "auto") == "chat"
    assert prompts.choose_style(BASE, "auto") == "story"
    with pytest.raises(ModelError, match="no chat template"):
        prompts.choose_style(BASE, "chat")
    assert build("x", config=PromptConfig(style="story")).style == "story"
    assert build("x", config=PromptConfig(style="story"), style="chat").style == "chat"


def test_the_oldest_turns_go_first_and_never_the_question():
    whole = build("How many?", history=HISTORY)
    short = build("How many?", history=HISTORY, context=len(whole.ids) + 20 - 1)
    assert short.dropped_turns == 2
    text = TOKENIZER.decode(short.ids)
    assert "Hello." not in text  # a reply goes with its question
    assert "and?" in text
    assert "How many?" in text
    assert short.max_new_tokens == 20
    alone = build("How many?")
    least = build("How many?", history=HISTORY, context=len(alone.ids) + 20)
    assert (least.dropped_turns, least.ids) == (4, alone.ids)


@pytest.mark.parametrize("style", ["chat", "story"])
def test_a_long_question_shortens_the_answer_and_a_longer_one_is_refused(style):
    size = len(build("How many?", style=style).ids)
    assert build("How many?", context=size + 16, style=style).max_new_tokens == 16
    with pytest.raises(QuestionTooLongError, match=str(size)) as caught:
        build("How many?", context=size + 15, style=style, request_id="r1")
    assert "How many?" not in str(caught.value)
    assert caught.value.request_id == "r1"
    assert build("How many?", context=size + 5, new=5, style=style).max_new_tokens == 5


@pytest.mark.parametrize("question", ["", "  ", "\n\t"])
def test_empty(question):
    with pytest.raises(EmptyQuestionError):
        build(question)


def test_neighbours_of_one_role_become_one_turn():
    history = (Turn("user", "one"), Turn("user", "two"), Turn("assistant", " "), Turn("user", "three"))
    assert list(build("four", history=history).ids) == by_template("one\ntwo\nthree\nfour")


STRICT = (
    "{% for m in messages %}{% if m.role == 'system' or (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
)


def test_templates_that_refuse_a_system_role_or_a_reply_first():
    strict = tiny.tokenizer()
    strict.chat_template = STRICT
    history = (Turn("assistant", "I begin."), Turn("user", "hi"), Turn("assistant", "Hello."))
    text = strict.decode(build("How?", tokenizer=strict, history=history, config=PromptConfig(system="Be brief.")).ids)
    assert text.startswith("<|im_start|>user\nBe brief.\n\nhi<|im_end|>")
    assert text.endswith("How?<|im_end|>")


def test_a_question_beyond_the_bound_is_refused_with_both_numbers():
    tokenizer, most = tiny.tokenizer(), PromptConfig(max_question_tokens=40)
    assert prompts.build(tokenizer, Job("x" * 40), most, 512).ids
    with pytest.raises(QuestionTooLongError, match="has 41 tokens, and I take 40 at most") as refused:
        prompts.build(tokenizer, Job(f"  {'x' * 41}\n"), most, 512)
    assert "shorter" in str(refused.value.hint)
    long = (Turn("user", "y" * 100), Turn("assistant", "z" * 100))
    assert prompts.build(tokenizer, Job("x", history=long), most, 512).dropped_turns == 0  # the question alone is counted
