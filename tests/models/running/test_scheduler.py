"""One device thread: its order, its cancellation, its end."""

import asyncio
import threading

import pytest

from models.errors import AnswerCancelledError, LensNotFoundError, ModelError, ModelLoadingError
from models.fakes.engine import FakeEngine
from models.running.scheduler import Scheduler
from models.running.work import Priority
from models.types import Job


class Recorder(FakeEngine):
    """Notes what ran, in which thread."""

    def __init__(self, **options):
        super().__init__(**options)
        self.calls = []

    def answer(self, job, **options):
        self.calls.append((job.question, threading.current_thread()))
        return super().answer(job, **options)

    def trace(self, answer, *, k=10, lens=None):
        self.calls.append(("trace", threading.current_thread()))
        return super().trace(answer, k=k, lens=lens)


@pytest.fixture
async def scheduler():
    one = Scheduler(Recorder(gate=threading.Event()))
    yield one
    await one.aclose()
    assert not [t for t in threading.enumerate() if t.name == "forward-pass-device"]


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("waited too long")


async def test_answers_before_traces_and_first_come_first_served(scheduler):
    engine = scheduler.engine
    answer = FakeEngine().answer(Job("x"))
    first = asyncio.create_task(scheduler.answer(Job("first")))
    await until(lambda: engine.calls)
    others = [asyncio.create_task(scheduler.trace(answer))]
    others += [asyncio.create_task(scheduler.answer(Job(q))) for q in "abc"]
    await until(lambda: scheduler.waiting == 4)
    engine.gate.set()
    await asyncio.gather(first, *others)
    assert [name for name, _ in engine.calls] == ["first", "a", "b", "c", "trace"]
    assert {thread for _, thread in engine.calls}.isdisjoint({threading.current_thread()})


async def test_texts_arrive_on_the_loop_and_the_last_is_whole(scheduler):
    scheduler.engine.gate.set()
    seen = []
    answer = await scheduler.answer(
        Job("x"), on_text=lambda text: seen.append((text, threading.current_thread() is threading.main_thread()))
    )
    assert seen[-1] == (answer.text, True)
    assert all(on_loop for _, on_loop in seen)


async def test_slow_loop_gets_only_the_latest_text(scheduler):
    scheduler.engine.gate.set()
    seen = []
    task = asyncio.create_task(scheduler.answer(Job("x"), on_text=seen.append))
    await asyncio.sleep(0)
    threading.Event().wait(0.3)  # the loop is blocked while the whole answer streams
    answer = await task
    assert seen == [answer.text]


async def test_cancelling_the_task_stops_the_answer_and_frees_the_device(scheduler):
    task = asyncio.create_task(scheduler.answer(Job("first")))
    await until(lambda: scheduler.engine.calls)
    waiting = asyncio.create_task(scheduler.answer(Job("second")))
    await until(lambda: scheduler.waiting == 1)
    waiting.cancel()
    await asyncio.sleep(0)
    task.cancel()
    results = await asyncio.gather(task, waiting, return_exceptions=True)
    assert all(isinstance(r, asyncio.CancelledError) for r in results)
    assert scheduler.waiting == 0
    scheduler.engine.gate.set()
    assert (await scheduler.answer(Job("third"))).text
    assert [name for name, _ in scheduler.engine.calls] == ["first", "third"]


async def test_cancelled_flag_of_the_caller(scheduler):
    stop = threading.Event()
    task = asyncio.create_task(scheduler.answer(Job("x"), cancelled=stop.is_set))
    await until(lambda: scheduler.engine.calls)
    stop.set()
    with pytest.raises(AnswerCancelledError):
        await task


async def test_errors_travel_and_the_thread_lives_on():
    scheduler = Scheduler(FakeEngine(answer_error=RuntimeError("a defect")))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="a defect"):
            await scheduler.answer(Job("x"))
    await scheduler.aclose()


async def test_bounded():
    gate = threading.Event()
    scheduler = Scheduler(FakeEngine(gate=gate), limit=1)
    first = asyncio.create_task(scheduler.answer(Job("x")))
    await until(lambda: scheduler._running)
    second = asyncio.create_task(scheduler.answer(Job("x")))
    await asyncio.sleep(0)
    with pytest.raises(ModelError, match="Too many"):
        await scheduler.answer(Job("x"))
    gate.set()
    await asyncio.gather(first, second)
    await scheduler.aclose()


async def test_loads_in_the_device_thread():
    where = []

    def factory():
        where.append(threading.current_thread().name)
        return FakeEngine()

    scheduler = await Scheduler.load(factory)
    assert where == ["forward-pass-device"]
    assert (await scheduler.answer(Job("x"))).text
    await scheduler.aclose()


async def test_failed_load_leaves_no_thread():
    with pytest.raises(ZeroDivisionError):
        await Scheduler.load(lambda: 1 / 0)
    assert not [t for t in threading.enumerate() if t.name == "forward-pass-device"]


async def test_cancelled_load_ends_its_thread():
    gate = threading.Event()
    task = asyncio.create_task(Scheduler.load(lambda: gate.wait() and FakeEngine()))
    await until(lambda: [t for t in threading.enumerate() if t.name == "forward-pass-device"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    await until(lambda: not [t for t in threading.enumerate() if t.name == "forward-pass-device"])


async def test_no_engine_yet():
    with pytest.raises(ModelLoadingError):
        await Scheduler().answer(Job("x"))


async def test_close_refuses_what_waits_and_stops_what_runs(scheduler):
    running = asyncio.create_task(scheduler.answer(Job("x")))
    await until(lambda: scheduler.engine.calls)
    waiting = asyncio.create_task(scheduler.answer(Job("y")))
    await until(lambda: scheduler.waiting == 1)
    await scheduler.aclose()
    for task in (running, waiting):
        with pytest.raises(AnswerCancelledError):
            await task
    with pytest.raises(AnswerCancelledError):
        await scheduler.answer(Job("z"))
    await scheduler.aclose()


def test_a_closed_loop_is_left_alone():
    gate = threading.Event()
    scheduler = Scheduler(FakeEngine(gate=gate))

    async def leave():
        task = asyncio.create_task(scheduler.answer(Job("x"), on_text=print))
        await until(lambda: scheduler._running)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(leave())
    gate.set()  # the thread now finishes for a loop that is gone
    asyncio.run(scheduler.aclose())
    assert not scheduler._thread.is_alive()


class Batches(FakeEngine):
    """A batch engine whose answers need three steps each; notes the order of what it does."""

    capacity = 2

    def __init__(self, **options):
        super().__init__(**options)
        self.under_way, self.calls = {}, []

    def begin(self, job, *, on_text=None, cancelled=None):
        if job.question == "bad":
            raise ModelError("no")
        token = object()
        self.under_way[token] = [job, 3, on_text, cancelled]
        return token

    def step(self):
        self.gate.wait(5)
        self.calls.append("+".join(job.question for job, *_ in self.under_way.values()))
        ended = []
        for token, entry in list(self.under_way.items()):
            job, left, on_text, cancelled = entry
            entry[1] -= 1
            if cancelled() or left == 1:
                del self.under_way[token]
                ended.append((token, AnswerCancelledError("stopped") if cancelled() else self.answer(job, on_text=on_text)))
        return ended

    def traces(self, answers, *, k=10, lens=None):
        self.calls.append(f"{len(answers)} traces of {k}")
        return [
            ModelError("not this one") if answer.text == "refuse" else self.trace(answer, k=k, lens=lens) for answer in answers
        ]

    def trace(self, answer, *, k=10, lens=None):
        self.calls.append("trace")
        return super().trace(answer, k=k, lens=lens)


@pytest.fixture
async def batches():
    one = Scheduler(Batches(gate=threading.Event()))
    yield one
    one.engine.gate.set()
    await one.aclose()


async def test_answers_share_steps_up_to_the_capacity(batches):
    tasks = [asyncio.create_task(batches.answer(Job(q))) for q in "abc"]
    await until(lambda: batches._running)
    batches.engine.gate.set()
    await asyncio.gather(*tasks)
    calls = batches.engine.calls
    assert all(call.count("+") < 2 for call in calls)
    assert "a+b" in calls
    assert calls[-1] == "c"


async def test_second_passes_wait_for_answers_and_then_run_together(batches):
    answer = FakeEngine().answer(Job("x"))
    asking = asyncio.create_task(batches.answer(Job("a")))
    await until(lambda: batches._running)
    dump = asyncio.create_task(batches.trace(answer, k=3, priority=Priority.DUMP))
    await asyncio.sleep(0)
    reading = [asyncio.create_task(batches.trace(answer, k=k)) for k in (3, 3, 5)]
    await until(lambda: batches.waiting == 4)
    batches.engine.gate.set()
    await asyncio.gather(asking, dump, *reading)
    calls = [call for call in batches.engine.calls if call != "trace"]
    assert calls == ["a", "a", "a", "2 traces of 3"]
    assert batches.engine.calls.count("trace") == 4
    assert (await dump).k == 3


async def test_second_passes_through_two_lenses_do_not_run_together():
    scheduler = Scheduler(Batches(gate=threading.Event(), lenses=("logit", "tuned")))
    answer = FakeEngine().answer(Job("x"))
    asking = asyncio.create_task(scheduler.answer(Job("a")))
    await until(lambda: scheduler._running)
    reading = [asyncio.create_task(scheduler.trace(answer, lens=lens)) for lens in (None, "tuned", None, "tuned")]
    missing = asyncio.create_task(scheduler.trace(answer, lens="jacobian"))
    await until(lambda: scheduler.waiting == 5)
    scheduler.engine.gate.set()
    _, *traces = await asyncio.gather(asking, *reading)
    assert [trace.meta["lens"] for trace in traces] == ["logit", "tuned", "logit", "tuned"]
    assert scheduler.engine.calls.count("2 traces of 10") == 2
    with pytest.raises(LensNotFoundError):
        await missing
    await scheduler.aclose()


async def test_a_second_pass_that_waited_long_goes_between_two_tokens(batches, monkeypatch):
    monkeypatch.setattr("models.running.waiting.LEAST_PATIENCE", 0.0)
    asking = asyncio.create_task(batches.answer(Job("a")))
    await until(lambda: batches._running)
    reading = asyncio.create_task(batches.trace(FakeEngine().answer(Job("x"))))
    await until(lambda: batches.waiting == 1)
    batches.engine.gate.set()
    await asyncio.gather(asking, reading)
    assert batches.engine.calls == ["a", "trace", "a", "a"]


async def test_one_that_cannot_begin_and_one_that_cannot_be_read_fail_alone(batches):
    batches.engine.gate.set()
    good, bad = await asyncio.gather(batches.answer(Job("a")), batches.answer(Job("bad")), return_exceptions=True)
    assert good.text
    assert isinstance(bad, ModelError)


async def test_closing_ends_what_is_under_way(batches):
    asking = asyncio.create_task(batches.answer(Job("a")))
    await until(lambda: batches._running)
    closing = asyncio.create_task(batches.aclose())
    await asyncio.sleep(0.05)
    batches.engine.gate.set()
    await closing
    with pytest.raises(AnswerCancelledError):
        await asking


async def test_a_defect_of_the_engine_reaches_everyone(batches, monkeypatch):
    monkeypatch.setattr(batches.engine, "step", lambda: 1 / 0)
    for result in await asyncio.gather(batches.answer(Job("a")), batches.answer(Job("b")), return_exceptions=True):
        assert isinstance(result, ZeroDivisionError)


async def test_the_thread_survives_an_engine_that_fails_and_goes_on(batches, monkeypatch):
    real, failures = batches.engine.step, [1 / 3]

    def step():
        if failures:
            raise ZeroDivisionError(failures.pop())
        return real()  # still holds the one that was given up

    monkeypatch.setattr(batches.engine, "step", step)
    batches.engine.gate.set()
    with pytest.raises(ZeroDivisionError):
        await batches.answer(Job("a"))
    assert (await batches.answer(Job("b"))).text
    assert batches.engine.calls[0] == "a+b"
    assert "a" not in batches.engine.calls[1].split("+")  # it was told to stop


async def test_a_sample_gives_way_to_an_answer_and_begins_anew(scheduler):
    engine = scheduler.engine
    sample = asyncio.create_task(scheduler.sample(Job("again")))
    await until(lambda: engine.calls)
    asking = asyncio.create_task(scheduler.answer(Job("a")))
    await until(lambda: len(engine.calls) == 2)  # the sample was given up while it waited for its first token
    assert not sample.done()
    engine.gate.set()
    assert (await asking).text == (await sample).text
    assert [name for name, _ in engine.calls] == ["again", "a", "again"]


async def test_a_sample_is_the_last_of_all_and_its_caller_may_cancel_it(scheduler):
    engine = scheduler.engine
    answer = FakeEngine().answer(Job("x"))
    first = asyncio.create_task(scheduler.answer(Job("first")))
    await until(lambda: engine.calls)
    samples = [asyncio.create_task(scheduler.sample(Job("again"))) for _ in range(2)]
    await until(lambda: scheduler.waiting == 2)
    samples.pop().cancel()
    reading = asyncio.create_task(scheduler.trace(answer, priority=Priority.DUMP))
    await until(lambda: scheduler.waiting == 2)
    engine.gate.set()
    await asyncio.gather(first, reading, *samples)
    assert [name for name, _ in engine.calls] == ["first", "trace", "again"]


async def test_closing_ends_a_sample(scheduler):
    sample = asyncio.create_task(scheduler.sample(Job("again")))
    await until(lambda: scheduler.engine.calls)
    await scheduler.aclose()
    with pytest.raises(AnswerCancelledError):
        await sample


async def test_in_a_batch_no_sample_runs_beside_an_answer_or_holds_up_a_second_pass(batches):
    sample = asyncio.create_task(batches.sample(Job("again")))
    await until(lambda: batches._running)
    asking = asyncio.create_task(batches.answer(Job("a")))
    reading = asyncio.create_task(batches.trace(FakeEngine().answer(Job("x"))))
    await until(lambda: batches.waiting == 2)
    batches.engine.gate.set()
    await asyncio.gather(sample, asking, reading)
    calls = batches.engine.calls
    assert calls.index("trace") < len(calls) - 3
    assert calls[-3:] == ["again"] * 3
    assert all(call in ("a", "again", "again+a", "trace") for call in calls)
    assert calls.count("again+a") <= 1  # the step in which it hears that it is not wanted
