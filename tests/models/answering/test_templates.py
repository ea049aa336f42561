"""Chat templates as they are found: each is tried, and what it does to its contents decides how it is used."""

import pytest

from models.answering import prompts, templates
from models.errors import ModelError
from models.types import Job, PromptConfig, Sampling, Turn
from tests.models import tiny

FOOT = "How many eyes does my foot have?"
NO_SYSTEM = (  # Phi-3-mini's first one
    "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>{{ m.content }}<|end|>{% elif m.role == 'assistant' %}"
    "{{ m.content }}<|im_end|>{% endif %}{% endfor %}"
)
PARTS = (
    "{% for m in messages %}{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}{% endif %}{% endfor %}"
    "<|end|>{% endfor %}"
)
NO_HISTORY = "<|im_start|>{{ messages[-1].content }}<|im_end|>"
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{{ '' }}{% endfor %}{% endfor %}{{ messages[0].content }}"
THINKS = tiny.CHAT.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
THOUGHT = tiny.CHAT.replace("assistant\n{% endif %}", "assistant\n<think>\n\n</think>\n\n{% endif %}")


def with_template(template):
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def text_of(tokenizer, question=FOOT, system=None, style=None, history=()):
    job = Job(question, history=history, style=style, sampling=Sampling(max_new_tokens=8))
    return tokenizer.decode(prompts.build(tokenizer, job, PromptConfig(system=system), 100_000).ids)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(templates, "SECONDS", 1.0)


def test_a_system_prompt_that_would_be_dropped_opens_the_first_question():
    tokenizer = with_template(NO_SYSTEM)
    assert text_of(tokenizer, system="Answer like a pirate.") == f"<|im_start|>Answer like a pirate.\n\n{FOOT}<|end|>"
    history = (Turn("user", "Hi."), Turn("assistant", "Ho."))
    assert text_of(tokenizer, system="Be brief.", history=history).startswith("<|im_start|>Be brief.\n\nHi.<|end|>Ho.")
    assert templates.of(tokenizer).notes == ()


def test_contents_as_lists_of_parts():
    tokenizer = with_template(PARTS)
    assert templates.of(tokenizer).parts
    assert text_of(tokenizer) == f"{FOOT}<|end|>"


def test_of_several_templates_the_default_and_else_one_that_works():
    tokenizer = with_template({"rag": "{{ documents[0] }}", "tool_use": NO_SYSTEM})
    assert templates.of(tokenizer).name == "tool_use"
    assert text_of(tokenizer) == f"<|im_start|>{FOOT}<|end|>"
    tokenizer.chat_template = {"tool_use": NO_SYSTEM, "default": tiny.CHAT}
    assert templates.of(tokenizer).name == "default"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for m in messages %}{{ m.content }", "cannot be filled in (TemplateSyntaxError)"),
        ("{{ tools | length }}{{ messages[0].content }}", "cannot be filled in (TypeError)"),
        ("{{ 1 // 0 }}{{ messages[0].content }}", "cannot be filled in (ZeroDivisionError)"),
        ("<|im_start|>user", "leaves the question out."),
        ("{{ messages[0].content }}", "leaves the question out of a conversation"),
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "changes what people type"),
        ("{% for m in messages %}{{ m.content | e }}{% endfor %}", "changes what people type"),
        ("{% for m in messages %}{{ m.content | tojson }}{% endfor %}", "changes what people type"),
        (ENDLESS, "does not come to an end"),
    ],
)
def test_what_cannot_be_used_is_said_and_the_story_answers(template, says):
    tokenizer = with_template(template)
    assert prompts.styles(tokenizer) == ("story",)
    assert says in templates.of(tokenizer).trouble
    assert text_of(tokenizer).endswith(f"Q: {FOOT}\nA:")
    with pytest.raises(ModelError, match="Its chat template"):
        text_of(tokenizer, style="chat")


def test_one_that_shows_no_history_is_used_and_said_so():
    tokenizer = with_template(NO_HISTORY)
    assert text_of(tokenizer) == f"<|im_start|>{FOOT}<|im_end|>"
    assert "remembers no conversation" in templates.of(tokenizer).notes[0]


def test_one_that_fails_on_a_later_question_fails_that_question_alone():
    tokenizer = with_template(tiny.CHAT + "{% if messages | length > 5 %}{{ none.x.y }}{% endif %}")
    history = (Turn("user", "Hi."), Turn("assistant", "Ho.")) * 3
    assert FOOT in text_of(tokenizer)
    with pytest.raises(ModelError, match="UndefinedError"):
        text_of(tokenizer, history=history)


def test_a_template_is_tried_once_and_anew_when_it_is_another(monkeypatch):
    tokenizer, tries = with_template(tiny.CHAT), []
    tried = templates._tried_out
    monkeypatch.setattr(templates, "_tried_out", lambda t: tries.append(t) or tried(t))
    for _ in range(3):
        text_of(tokenizer)
    tokenizer.chat_template = NO_SYSTEM
    text_of(tokenizer)
    assert len(tries) == 2


@pytest.mark.parametrize(
    ("template", "opens"), [(THINKS, ("<think>", "</think>")), (THOUGHT, None), (tiny.CHAT, None)], ids=["open", "closed", "none"]
)
def test_whether_it_opens_reasoning(template, opens):
    assert templates.of(with_template(template)).opens == opens


def test_with_what_it_ends_an_answer():
    ends = templates.of(with_template(tiny.CHAT)).ends
    assert [tiny.tokenizer().convert_ids_to_tokens(i) for i in ends] == ["<|im_end|>"]
    assert templates.of(with_template("{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}")).ends == frozenset()
