"""The average Jacobian against torch's slow one, a linear model that knows its own, and a run that was broken off."""

import pytest
import torch

from models.errors import LensTrainingError, ModelNotPulledError
from models.lenses import jacobian, store
from models.lenses.affine import AffineLens, Card
from models.lenses.states import Text
from models.loading.opening import open_model
from models.network import adapters
from models.reading import lens
from models.types import ModelConfig
from tests.models import tiny

IDS = tuple(tiny.ids_of("How many eyes does it have?"))
KINDS = ("llama", "gpt2", "gpt_neox", "gemma3_text", "gemma2", "granite", "opt", "opt-350m", "nanochat", "mixtral", "falcon_h1")


def rows_of(model, text, skip, rows=5):
    """(L, D, D) of one text, put together again."""
    parts = adapters.find(model)
    found = torch.zeros(len(parts.blocks), 32, 32)
    for at, part in jacobian.of_text(model, parts, text, skip=skip, rows=rows):
        found[:, at] = part
    return found


def slowly(model, ids, depth, first):
    """The same of one depth from torch's own Jacobian, (D, D): every output position by every state position."""
    parts, kept = adapters.find(model), {}

    def last(state):
        def instead(_block, args, kwargs):
            return ((state, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": state})

        handles = [
            parts.blocks[depth].register_forward_pre_hook(instead, with_kwargs=True),
            parts.norm.register_forward_pre_hook(lambda _norm, args: kept.update(out=args[0])),
        ]
        try:
            model(torch.tensor([ids]), use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return kept["out"][0, first:].sum(0)  # (D,): a one at every position that counts

    with torch.no_grad():
        state = {}
        handle = parts.blocks[depth].register_forward_pre_hook(
            lambda _block, args, kwargs: state.update(at=(args[0] if args else kwargs["hidden_states"]).clone()), with_kwargs=True
        )
        model(torch.tensor([ids]), use_cache=False)
        handle.remove()
    whole = torch.autograd.functional.jacobian(last, state["at"])  # (D, 1, S, D)
    return whole[:, 0, first:].mean(1)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_torchs_own_jacobian(kind):
    model = tiny.named(kind)
    found = rows_of(model, Text(IDS, 9), skip=3)
    for depth in (0, 3):
        wanted = slowly(model, IDS[:-1], depth, 8)
        assert torch.allclose(found[depth], wanted, atol=1e-4 * float(wanted.abs().max())), (kind, depth)


def test_every_pair_of_positions_counts_once():
    """By the definition: the mean over p of the sum over p' ≥ p of ∂ output[p'] / ∂ state[p], from the whole Jacobian."""
    model, first = tiny.model("llama"), 6
    parts = adapters.find(model)

    def after(state):
        at = torch.arange(state.shape[1])[None]
        causal = torch.full((at.shape[1], at.shape[1]), torch.finfo().min).triu(1)[None, None]
        return parts.blocks[3](state, causal, position_embeddings=model.model.rotary_emb(state, at))

    with torch.no_grad():
        state = model(torch.tensor([IDS[:-1]]), output_hidden_states=True, use_cache=False).hidden_states[3]
    whole = torch.autograd.functional.jacobian(after, state)[0, :, :, 0]  # (S, D, S, D)
    length = whole.shape[0]
    pairs = [sum(whole[q, :, p] for q in range(p, length)) for p in range(first, length)]
    assert torch.allclose(rows_of(model, Text(IDS, 1), skip=first)[3], torch.stack(pairs).mean(0), atol=1e-4)


def test_rows_at_once_change_nothing():
    model = tiny.model("llama")
    assert torch.allclose(rows_of(model, Text(IDS, 1), skip=3, rows=1), rows_of(model, Text(IDS, 1), skip=3, rows=32), atol=1e-5)


class Straight(torch.nn.Module):
    """A block that only multiplies."""

    def __init__(self, seed):
        super().__init__()
        drawn = torch.Generator().manual_seed(seed)
        self.by = torch.eye(32) + 0.1 * torch.randn(32, 32, generator=drawn)

    def forward(self, hidden_states, *_args, **_kwargs):
        return hidden_states @ self.by.T


@pytest.fixture
def linear():
    model = tiny.model("llama")
    for block in range(4):
        model.model.layers[block] = Straight(block)
    return model.eval()


def test_of_a_linear_model_it_is_the_product_and_the_lens_reads_the_end_at_every_depth(linear):
    made = jacobian.fit(linear, adapters.find(linear), [Text(IDS, 1), Text(IDS[::-1], 1)], jacobian.Recipe(skip=4))
    product = torch.eye(32)
    for depth in reversed(range(4)):
        product = product @ linear.model.layers[depth].by
        assert torch.allclose(made.mean[depth], product, atol=1e-4)
    assert max(made.error) < 1e-3  # the same at every text
    card = Card("jacobian", "tiny", None, "x", 4, 32, "float32", store.fingerprint(linear), 0, "model", {}, {})
    trace = lens.trace(linear, IDS[:5], IDS[5:], lens=AffineLens.of_matrices(made.mean, card))
    assert trace.meta["lens"] == "jacobian"
    assert trace.kl_to_final.max() < 1e-4
    assert (trace.top_ids[:, :, 0] == trace.top_ids[:, -1:, 0]).all()


def test_depth_l_is_the_models_own(llama):
    made = jacobian.fit(llama, adapters.find(llama), [Text(IDS, 1)], jacobian.Recipe(skip=4))
    assert made.error == ()
    card = Card("jacobian", "tiny", None, "x", 4, 32, "float32", store.fingerprint(llama), 0, "model", {}, {})
    mine = lens.trace(llama, IDS[:5], IDS[5:], lens=AffineLens.of_matrices(made.mean, card))  # checks itself, too
    plain = lens.trace(llama, IDS[:5], IDS[5:])
    assert (mine.top_probs[:, -1] == plain.top_probs[:, -1]).all()
    assert (mine.top_ids[:, :-1] != plain.top_ids[:, :-1]).any()


def texts(count=5):
    drawn = torch.Generator().manual_seed(3)
    return [Text(tuple(torch.randint(256, (14 + i,), generator=drawn).tolist()), 1) for i in range(count)]


RECIPE = jacobian.Recipe(skip=4, save_seconds=0.0)


def test_a_run_that_was_broken_off_goes_on_to_the_same_average(llama, tmp_path):
    parts, kept = adapters.find(llama), tmp_path / "a.checkpoint"
    whole = jacobian.fit(llama, parts, texts(), RECIPE)
    assert (whole.texts, whole.positions) == (5, sum(9 + i for i in range(5)))

    def stop(_stage, done, _of):
        if done > 2 * 32 + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jacobian.fit(llama, parts, texts(), RECIPE, checkpoint=kept, on_done=stop)
    seen = []
    again = jacobian.fit(
        llama, parts, texts(), RECIPE, checkpoint=kept, resume=True, on_done=lambda _s, done, _of: seen.append(done)
    )
    assert min(seen) > 2 * 32
    assert torch.equal(again.mean, whole.mean)
    assert (again.error, again.texts, again.positions) == (whole.error, whole.texts, whole.positions)
    with pytest.raises(LensTrainingError, match=r"other settings \(skip 4\)"):
        jacobian.fit(llama, parts, texts(), jacobian.Recipe(skip=5), checkpoint=kept, resume=True)
    with pytest.raises(LensTrainingError, match="another text"):
        jacobian.fit(llama, parts, texts(4), RECIPE, checkpoint=kept, resume=True)
    kept.write_bytes(b"nothing")
    with pytest.raises(LensTrainingError, match="damaged"):
        jacobian.fit(llama, parts, texts(), RECIPE, checkpoint=kept, resume=True)


def test_the_model_is_left_as_it_was(llama):
    wanted = [p.requires_grad for p in llama.parameters()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in llama.modules()]
    rows_of(llama, Text(IDS, 1), skip=3)
    assert [p.requires_grad for p in llama.parameters()] == wanted
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in llama.modules()] == hooks
    assert all(p.grad is None for p in llama.parameters())


def test_texts_that_are_too_short_are_said_so(llama):
    with pytest.raises(LensTrainingError, match="long enough"):
        jacobian.fit(llama, adapters.find(llama), [Text(IDS[:5], 1)], jacobian.Recipe())


@pytest.mark.real_model
def test_on_the_default_model_the_cached_prefix_changes_nothing():
    """Two rows, of a text whose first 20 positions are read without a graph, against one plain pass over all of it."""
    try:
        loaded = open_model(ModelConfig(), lambda _stage: None)
    except ModelNotPulledError as error:
        pytest.skip(error.for_user())
    model, parts = loaded.model, adapters.find(loaded.model)
    words = "A giraffe is tall, and its heart is large. How many eyes does my foot have? None, I think."
    ids = tuple(loaded.tokenizer(words)["input_ids"])
    at, mine = next(iter(jacobian.of_text(model, parts, Text(ids, 21), skip=16, rows=2)))
    assert (at.start, at.stop, len(mine)) == (0, 2, 30)
    states = {}
    handles = [
        block.register_forward_pre_hook(lambda _b, args, d=d: states.update({d: args[0]})) for d, block in enumerate(parts.blocks)
    ]
    handles.append(parts.norm.register_forward_pre_hook(lambda _n, args: states.update(end=args[0])))
    handles.append(model.get_input_embeddings().register_forward_hook(lambda _e, _a, out: out.detach().requires_grad_()))
    try:
        model(torch.tensor([ids[:-1]]), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    for row in range(2):
        found = torch.autograd.grad(states["end"][0, 20:, row].sum(), [states[d] for d in range(30)], retain_graph=True)
        for depth, gradient in enumerate(found):
            wanted = gradient[0, 20:].mean(0)
            assert torch.allclose(mine[depth, row], wanted, atol=2e-4 * float(wanted.abs().max())), depth
