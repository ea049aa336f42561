"""Who has the device when: shares, places of their own, and voices that come while people keep asking. A step is a second."""

import asyncio
import itertools
import threading
import time
from dataclasses import replace

import pytest

from models.errors import AnswerCancelledError, ModelError
from models.fakes.engine import FakeEngine
from models.findings import Findings
from models.running.scheduler import Scheduler
from models.running.shares import Shares
from models.running.waiting import FEW, MANY, TOGETHER, Dues, Waiting
from models.running.work import Priority, TraceWork, Work
from models.types import BatchEngine, Job, Piecewise, Prober

STEPS = 10
"""Of an answer."""
PIECES = 6
"""Of a sweep."""


class Clocked(FakeEngine):
    """Answers ten steps long, any number at once; second passes of six pieces; each step and piece is a second on its clock."""

    capacity = 32

    def __init__(self, *, steps=STEPS, pieces=PIECES):
        super().__init__()
        self.now = 0.0
        self.log = []
        self.hold = threading.Event()
        self.hold.set()
        self._steps, self._pieces, self._under_way = steps, pieces, {}

    def clock(self):
        return self.now

    def _second(self, what):
        self.hold.wait(10)
        time.sleep(0.001)  # the event loop keeps up
        self.now += 1
        self.log.append(what)

    def begin(self, job, *, on_text=None, cancelled=None):
        token = object()
        self._under_way[token] = [job, self._steps, cancelled]
        return token

    def step(self):
        self._second("answers")
        ended = []
        for token, entry in list(self._under_way.items()):
            entry[1] -= 1
            if entry[2]() or not entry[1]:
                del self._under_way[token]
                stopped = entry[2]()
                answer = replace(self.answer(entry[0]), seconds=float(self._steps))
                ended.append((token, AnswerCancelledError("stopped") if stopped else answer))
        return ended

    def traces(self, answers, *, k=10, lens=None):
        raise AssertionError("it can pause")

    def traces_in_pieces(self, answers, *, k=10, lens=None):
        for piece in range(self._pieces):
            self._second(f"{len(answers)} traces, {piece}")
            yield
        return [self.trace(answer, k=k, lens=lens) for answer in answers]

    def _in_pieces(self, name, count, result):
        for _ in range(count):
            self._second(name)
            yield
        return result

    def findings_in_pieces(self, answer, trace, *, question=None, watch=()):
        return self._in_pieces("findings", 2, Findings())

    def follow_in_pieces(self, answer, trace, words):
        return self._in_pieces("follow", 2, Findings())

    def why_in_pieces(self, answer, t, *, parts=("block",), seed=0):
        return self._in_pieces("why", 4, self.why(answer, t))

    def self_report_in_pieces(self, question, answer):
        return self._in_pieces("self-report", 1, self.self_report(question, answer))


@pytest.fixture
async def engine():
    return Clocked()


@pytest.fixture
async def scheduler(engine):
    one = Scheduler(engine, clock=engine.clock)
    yield one
    engine.hold.set()
    await one.aclose()


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("waited too long")


def test_the_scripted_engine_can_pause(engine):
    assert all(isinstance(engine, kind) for kind in (BatchEngine, Piecewise, Prober))


def test_others_have_their_share_and_save_nothing_up():
    shares = Shares(0.2)
    shares.answered(100)
    shares.others(1)
    assert not shares.others_may
    shares.answered(3)
    assert not shares.others_may
    shares.answered(1)
    assert shares.others_may
    shares.others(50)
    shares.forget()
    assert shares.others_may


ORDER = itertools.count()


async def work(priority, *, due=0.0):
    return Work((priority, next(ORDER)), lambda _stop: None, due=due)


async def test_looks_take_no_place_of_a_question_and_a_voice_always_has_one():
    waiting = Waiting(2)
    for priority in (Priority.LOOK, Priority.DUMP, Priority.ANSWER, Priority.ANSWER):
        waiting.add(await work(priority))
    with pytest.raises(ModelError, match="Too many people are looking"):
        waiting.add(await work(Priority.LOOK))
    with pytest.raises(ModelError, match="Too many questions"):
        waiting.add(await work(Priority.ANSWER))
    for _ in range(100):
        waiting.add(await work(Priority.VOICE))
    assert len(waiting) == 104


async def test_what_is_late_for_longest_goes_first():
    waiting = Waiting(64)
    look, voice, dump = [await work(p, due=d) for p, d in ((Priority.LOOK, 3), (Priority.VOICE, 5), (Priority.DUMP, 1))]
    for one in (look, voice, dump):
        waiting.add(one)
    assert waiting.first is voice
    assert [waiting.late(now) for now in (0, 1, 9)] == [None, dump, dump]
    waiting.remove(dump)
    assert waiting.late(9) is look
    answer = FakeEngine().answer(Job("x"))
    second_pass, other = (
        TraceWork((priority, next(ORDER)), FakeEngine(), answer, {}, due=8.0) for priority in (Priority.VOICE, Priority.LOOK)
    )
    waiting.add(other)
    assert waiting.late(9) is look
    waiting.add(second_pass)
    assert waiting.late(7) is look
    assert waiting.late(9) is second_pass


def test_all_of_a_voice_is_due_when_its_second_pass_was():
    answer, other = (replace(FakeEngine().answer(Job(text)), seconds=4.0) for text in ("x", "y z"))
    dues = Dues()
    assert (dues.of(answer, 10.0), dues.of(other, 11.0), dues.of(answer, 20.0)) == (12.0, 13.0, 12.0)
    assert dues.of(replace(answer, seconds=0.1), 30.0) == 30.5
    for n in range(1000):
        dues.of(replace(answer, seed=n), 40.0)
    assert len(dues._dues) <= 256


async def test_many_late_voices_hold_new_answers_back_until_few_are_left():
    waiting = Waiting(64)
    voices = [await work(Priority.VOICE, due=1) for _ in range(MANY)]
    for voice in voices:
        waiting.add(voice)
    for _ in range(20):  # looks never do
        waiting.add(await work(Priority.LOOK, due=0))
    assert not waiting.holds(0)
    assert waiting.holds(1)
    for voice in voices[: MANY - FEW - 1]:
        waiting.remove(voice)
        assert waiting.holds(1)
    waiting.remove(voices[-1])
    assert not waiting.holds(1)


async def test_a_late_voice_goes_between_two_tokens_by_turns_and_in_pieces(scheduler, engine):
    engine.hold.clear()
    read = FakeEngine().answer(Job("x"))
    asking = asyncio.create_task(scheduler.answer(Job("a")))
    await until(lambda: scheduler._running)
    reading = asyncio.create_task(scheduler.trace(read))
    await until(lambda: scheduler.waiting == 1)
    engine.hold.set()
    await asyncio.gather(asking, reading)
    first = engine.log.index("1 traces, 0")
    assert first == 1  # late after half a second
    both = engine.log[first : first + 2 * PIECES - 1]
    assert both == [what for n in range(PIECES) for what in (f"1 traces, {n}", "answers")][:-1]


async def test_while_people_keep_asking_each_voice_begins_within_three_times_its_answer(scheduler, engine):
    begun, told = [], []

    async def voice(answer):
        asked = engine.now
        trace = await scheduler.trace(answer)
        begun.append(engine.now - asked - PIECES)
        await scheduler.voice(lambda one: one.findings_in_pieces(answer, trace), answer)
        await scheduler.voice(lambda one: one.self_report_in_pieces("x", answer), answer)
        told.append(engine.now - asked)

    voices = []

    async def asker():
        for _ in range(12):
            answer = await scheduler.answer(Job("x"))
            voices.append(asyncio.create_task(voice(answer)))

    await asyncio.gather(*(asker() for _ in range(4)))
    during = len(told)
    asked = engine.now
    await asyncio.gather(*voices)
    assert during > 30
    assert max(begun) <= 3 * STEPS
    assert engine.now - asked < 100
    assert engine.log.count("answers") >= 0.3 * asked


async def test_newcomers_wait_while_many_voices_are_late_and_are_not_refused(scheduler, engine):
    engine.hold.clear()
    answers = [FakeEngine().answer(Job(f"{n}")) for n in range(TOGETHER)]
    first = asyncio.create_task(scheduler.answer(Job("a")))
    await until(lambda: scheduler._running)
    voices = [asyncio.create_task(scheduler.trace(answer, k=n + 1)) for n, answer in enumerate(answers)]  # none goes with another
    await until(lambda: scheduler.waiting == TOGETHER)
    second = asyncio.create_task(scheduler.answer(Job("b")))
    await until(lambda: scheduler.waiting == TOGETHER + 1)
    engine.hold.set()
    await asyncio.gather(first, second, *voices)
    # its ten steps come when no more than a few are left
    last = [n for n, what in enumerate(engine.log) if what == "answers"][-STEPS]
    done = sum(what == f"1 traces, {PIECES - 1}" for what in engine.log[:last])
    assert done >= TOGETHER - FEW - 1


async def test_a_look_waits_for_answers_no_longer_than_its_patience(scheduler, engine):
    engine.hold.clear()
    answer = FakeEngine().answer(Job("x"))
    asking = asyncio.create_task(scheduler.answer(Job("a")))
    await until(lambda: scheduler._running)
    looking = asyncio.create_task(scheduler.call(lambda one: one.why_in_pieces(answer, 0)))
    await until(lambda: scheduler.waiting == 1)
    engine.hold.set()
    await asyncio.gather(asking, looking)
    assert engine.log[:6] == ["answers", "answers", "why", "answers", "why", "answers"]


async def test_nobody_waits_for_it_any_more(scheduler, engine):
    engine.hold.clear()
    answer = FakeEngine().answer(Job("x"))
    reading = asyncio.create_task(scheduler.trace(answer))
    await until(lambda: scheduler._running)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    engine.hold.set()
    await scheduler.answer(Job("a"))
    assert sum("traces" in what for what in engine.log) <= 2


async def test_closing_gives_up_what_is_half_read(scheduler, engine):
    engine.hold.clear()
    reading = asyncio.create_task(scheduler.trace(FakeEngine().answer(Job("x"))))
    await until(lambda: scheduler._running)
    closing = asyncio.create_task(scheduler.aclose())
    await asyncio.sleep(0.05)
    engine.hold.set()
    await closing
    with pytest.raises(AnswerCancelledError):
        await reading
    assert len(engine.log) <= 2


async def test_a_defect_between_two_pieces_reaches_who_waits(scheduler, engine):
    def broken(_engine):
        yield
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await scheduler.call(broken)
    assert (await scheduler.answer(Job("a"))).text


class OneByOne(FakeEngine):
    """No batches: an answer takes ten seconds at one go, a second pass six."""

    def __init__(self):
        super().__init__()
        self.now, self.log = 0.0, []

    def answer(self, job, **hooks):
        time.sleep(0.002)
        self.now += STEPS
        self.log.append("answer")
        return replace(super().answer(job, **hooks), seconds=float(STEPS))

    def trace(self, answer, *, k=10, lens=None):
        time.sleep(0.002)
        self.now += PIECES
        self.log.append("trace")
        return super().trace(answer, k=k, lens=lens)


async def test_an_engine_without_batches_takes_turns_too():
    engine = OneByOne()
    scheduler = Scheduler(engine, clock=lambda: engine.now)
    voices = []

    async def asker():
        for _ in range(10):
            voices.append(asyncio.create_task(scheduler.trace(await scheduler.answer(Job("x")))))

    await asyncio.gather(*(asker() for _ in range(4)))
    assert engine.log[:-TOGETHER].count("trace") > 20
    await asyncio.gather(*voices)
    await scheduler.aclose()
